"""Mixtures: upstream's rules, and each of the harder stages by its own defining property."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxhsi.data.synthetic.component_spectra import (
    make_near_duplicates,
    peak_spectra,
    pure_spectra,
    random_sparse_mask,
)
from jaxhsi.data.synthetic.measurement_errors import (
    add_measurement_errors,
    ar1,
    baselines,
    channel_deviations,
    noise_deviation,
)
from jaxhsi.data.synthetic.mixing_models import bilinear, detector_saturation
from jaxhsi.data.synthetic.mixture_options import MixtureOptions
from jaxhsi.data.synthetic.mixtures import draw_concentrations, mixtures

KEY = jax.random.key(0)
SMALL = {"num_components": 5, "bands": 24, "max_mixed": 3}


@pytest.fixture(scope="module")
def paper():
    """The paper's set of 16 components at 20 dB."""
    return mixtures(KEY, 64, MixtureOptions())


def test_the_papers_set_has_its_shapes_and_rules(paper):
    assert [part.shape for part in paper] == [(64, 512), (64, 512), (64, 16), (16, 512)]
    counts = (paper.concentrations > 0).sum(1)
    assert (counts.min(), counts.max()) == (1, 4)
    present = paper.concentrations[paper.concentrations > 0]
    assert present.min() >= 1
    assert present.max() <= 10
    np.testing.assert_allclose(jnp.linalg.norm(paper.components, axis=1), 1, rtol=1e-5)
    assert paper.components.min() >= 0
    assert paper.data.min() == np.float32(1e-6)
    np.testing.assert_allclose(
        paper.clean, paper.concentrations @ paper.components, rtol=1e-5, atol=1e-6
    )


def test_the_papers_noise_is_20_db_and_bounds_any_fit(paper):
    # Clamping takes some noise away again: at 20 dB about 1 value in 20 is clamped.
    noise = ((paper.data - paper.clean) ** 2).mean(1)
    decibels = 10 * jnp.log10((paper.clean**2).mean(1) / noise)
    assert abs(float(decibels.mean()) - 20) < 0.5
    # The true mixture's R2 at 20 dB, as measured on upstream's generator: 0.971 to 0.974.
    total = ((paper.data - paper.data.mean(0)) ** 2).sum()
    assert 0.968 < 1 - noise.sum() * 512 / total < 0.976


def test_random_spectra_are_orthogonal_before_their_absolute_value():
    spectra = pure_spectra(KEY, MixtureOptions(non_negative=False, num_components=6, bands=20))
    np.testing.assert_allclose(spectra @ spectra.T, np.eye(6), atol=1e-5)
    assert spectra.min() < 0


def test_more_components_than_bands_can_be_drawn():
    assert pure_spectra(KEY, MixtureOptions(num_components=30, bands=8)).shape == (30, 8)


@pytest.mark.parametrize(("norm", "size"), [(1, 1.0), (3, 1.0), (None, None)])
def test_the_norm_is_as_asked(norm, size):
    spectra = pure_spectra(KEY, MixtureOptions(**SMALL, orthogonal=False, norm=norm))
    lengths = jnp.linalg.norm(spectra, norm or 2, axis=1)
    if size is None:
        assert jnp.ptp(lengths) > 0.1
    else:
        np.testing.assert_allclose(lengths, size, rtol=1e-5)


@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 2**31), share=st.floats(0, 0.88))
def test_masks_hold_their_zeros_and_no_empty_row(seed, share):
    mask = np.asarray(random_sparse_mask(jax.random.key(seed), (5, 9), share))
    assert set(np.unique(mask)) <= {0.0, 1.0}
    assert mask.any(1).all()
    given_back = int(share * 45) - (mask == 0).sum()
    assert 0 <= given_back <= 5


def test_sparse_data_keep_their_zeros_and_are_clamped_at_zero():
    options = MixtureOptions(**SMALL, sparsity=0.6, snr_db=3.0, orthogonal=False)
    made = mixtures(KEY, 40, options)
    zero = made.clean == 0
    assert zero.sum() > 50
    assert (made.data[zero] == 0).all()
    assert made.data.min() == 0


def test_given_components_are_mixed_as_they_are():
    given_ = np.asarray([[1.0, 0, 2], [0, 3, 1]], np.float32)
    made = mixtures(KEY, 20, MixtureOptions(max_mixed=2, snr_db=None), given_)
    np.testing.assert_array_equal(made.components, given_)
    np.testing.assert_allclose(made.data, made.concentrations @ given_, rtol=1e-6)
    signed = mixtures(KEY, 20, MixtureOptions(max_mixed=2, snr_db=None), -given_)
    assert signed.data.max() <= 0


def test_more_mixed_than_components_given_is_refused():
    with pytest.raises(ValueError, match="max_mixed=4 is out of range; give 1 to 2"):
        mixtures(KEY, 20, MixtureOptions(), np.ones((2, 5), np.float32))


def test_by_default_a_sample_mixes_no_more_components_than_there_are():
    assert MixtureOptions(num_components=3, bands=24).max_mixed == 3
    assert MixtureOptions(num_components=5, rare=2, bands=24).max_mixed == 3
    assert MixtureOptions(num_components=4, bands=24).max_mixed == 4
    made = mixtures(KEY, 40, MixtureOptions(num_components=2, bands=24))
    assert set((made.concentrations > 0).sum(1).tolist()) == {1, 2}


def test_dense_mixing_has_every_component_in_every_sample():
    options = MixtureOptions(num_components=6, bands=8, min_mixed=6, max_mixed=None)
    assert (draw_concentrations(KEY, 30, 6, options) > 0).all()


def test_rare_components_are_in_as_many_samples_as_asked():
    options = MixtureOptions(num_components=6, bands=8, max_mixed=2, rare=2, rare_samples=3)
    present = np.asarray(draw_concentrations(KEY, 30, 6, options) > 0)
    assert present[:, 4:].sum(0).tolist() == [3, 3]
    assert present[:, :4].sum(1).max() == 2
    assert present[:, :4].sum(1).min() == 1
    with pytest.raises(ValueError, match="n=2 is out of range; give 3 or more"):
        mixtures(KEY, 2, options)


@pytest.mark.parametrize("form", ["gaussian", "lorentzian"])
def test_peaks_are_smooth_positive_and_overlap(form):
    spectra = peak_spectra(KEY, (8, 400), 4, form)
    assert spectra.min() >= 0
    assert jnp.abs(jnp.diff(spectra, axis=1)).max() < 0.25  # 0.01 wide: 4 channels
    unit = spectra / jnp.linalg.norm(spectra, axis=1, keepdims=True)
    overlap = unit @ unit.T - jnp.eye(8)
    assert overlap.max() > 0.3


def test_a_lone_peak_has_the_height_and_width_of_its_form():
    # At one width from the middle a Gaussian has exp(-1/2), a Lorentzian 1/2 of its height.
    for form, drop in (("gaussian", np.exp(-0.5)), ("lorentzian", 0.5)):
        [curve] = np.asarray(peak_spectra(jax.random.key(3), (1, 20001), 1, form))
        wide = (curve > drop * curve.max()).sum() / 2 / 20000
        assert 0.2 <= curve.max() <= 1
        assert 0.01 <= wide <= 0.06


@settings(deadline=None, max_examples=6)
@given(seed=st.integers(0, 2**31), cosine=st.sampled_from([0.9, 0.98, 0.999]))
def test_twins_have_their_cosine_and_stay_non_negative(seed, cosine):
    spectra = jnp.abs(jax.random.normal(jax.random.key(seed), (5, 12)))
    turned = make_near_duplicates(spectra, cosine)
    unit = turned / jnp.linalg.norm(turned, axis=1, keepdims=True)
    for i in (0, 2):
        before = (
            spectra[i]
            @ spectra[i + 1]
            / jnp.linalg.norm(spectra[i])
            / jnp.linalg.norm(spectra[i + 1])
        )
        np.testing.assert_allclose(unit[i] @ unit[i + 1], max(cosine, before), atol=2e-6)
    np.testing.assert_allclose(
        turned[jnp.array([0, 2, 4])], spectra[jnp.array([0, 2, 4])], rtol=1e-5
    )
    np.testing.assert_allclose(
        jnp.linalg.norm(turned, axis=1), jnp.linalg.norm(spectra, axis=1), rtol=1e-5
    )
    assert turned.min() >= -1e-6


def test_saturation_is_linear_for_small_strength_and_levels_off():
    x = jnp.linspace(0.1, 2, 12).reshape(2, 6)
    np.testing.assert_allclose(detector_saturation(x, 1e-4), x, rtol=5e-4)
    assert detector_saturation(100 * x, 1.0).max() < 100 * jnp.sqrt((x**2).mean())
    flat = jnp.ones((1, 3))  # RMS 1, so 1 - exp(-1) of it is left at strength 1
    np.testing.assert_allclose(detector_saturation(flat, 1.0), 1 - np.exp(-1), rtol=1e-6)


def test_bilinear_mixing_adds_the_products_of_pairs():
    # One sample of 2 s0 + 3 s1 with s0 = (1, 0, 1), s1 = (1, 2, 0): the sum is (5, 6, 2), the
    # product of the parts (6, 0, 0), and the RMS sqrt(65 / 3).
    amounts, spectra = jnp.array([[2.0, 3.0]]), jnp.array([[1.0, 0, 1], [1, 2, 0]])
    expected = np.array([[5 + 0.5 * 6 / np.sqrt(65 / 3), 6, 2]])
    np.testing.assert_allclose(bilinear(amounts, spectra, 0.5), expected, rtol=1e-6)


def test_noise_is_counted_over_non_zero_channels():
    clean = jnp.array([[3.0, 0, 0, 4], [0, 0, 0, 0]])  # mean square 12.5 over two channels
    expected = [[np.sqrt(12.5 / 100)], [0]]
    np.testing.assert_allclose(noise_deviation(clean, 20.0), expected, rtol=1e-6)


def test_correlated_noise_has_its_variance_and_correlation():
    noise = ar1(jax.random.normal(KEY, (200, 300)), 0.8)
    assert abs(float(noise.std()) - 1) < 0.02
    assert abs(float((noise[:, 1:] * noise[:, :-1]).mean()) - 0.8) < 0.02
    assert abs(float((noise[:, 3:] * noise[:, :-3]).mean()) - 0.8**3) < 0.03


def test_channels_differ_by_their_spread_and_keep_the_noise_power():
    deviations = channel_deviations(KEY, 2000, 0.5)
    np.testing.assert_allclose((deviations**2).mean(), 1, rtol=1e-5)
    assert abs(float(jnp.log(deviations).std()) - 0.5) < 0.03


def test_baselines_are_cubic_curves_of_size_one():
    curves = baselines(KEY, 4, 50)
    np.testing.assert_allclose((curves**2).mean(1), 1, rtol=1e-5)
    fits = np.polynomial.polynomial.polyfit(
        np.linspace(-1, 1, 50), np.asarray(curves).T, 3, full=True
    )
    assert np.all(fits[1][0] < 1e-8)


def test_drift_and_offset_have_their_sizes():
    clean = jnp.array([[3.0, 4, 0, 0], [1, 1, 1, 1]])  # RMS 2.5 and 1, of both sqrt(29 / 8)
    drift = add_measurement_errors(KEY, clean, MixtureOptions(snr_db=None, drift=0.2)) - clean
    np.testing.assert_allclose(jnp.sqrt((drift**2).mean(1)), [0.5, 0.2], rtol=1e-5)
    shift = add_measurement_errors(KEY, clean, MixtureOptions(snr_db=None, offset=0.3)) - clean
    np.testing.assert_allclose(shift, 0.3 * np.sqrt(29 / 8), rtol=1e-5)


def test_every_hard_option_at_once():
    options = MixtureOptions(
        num_components=6,
        bands=30,
        max_mixed=3,
        spectra="lorentzian",
        sparsity=0.1,
        twin_cosine=0.95,
        rare=1,
        mixing="detector_saturation",
        correlation=0.5,
        channel_spread=0.3,
        drift=0.1,
        offset=0.1,
    )
    first, again = (mixtures(KEY, 12, options) for _ in range(2))
    for a, b in zip(first, again, strict=True):
        assert jnp.isfinite(a).all()
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_components": 0}, "num_components=0 is out of range; give 1 or more"),
        ({"max_mixed": 17}, "max_mixed=17 is out of range; give 1 to 16"),
        ({"min_mixed": 5}, "max_mixed=4 is out of range; give 5 to 16"),
        ({"max_concentration": 0.5}, "max_concentration=0.5 is out of range; give 1 or more"),
        ({"min_concentration": -1.0}, "min_concentration=-1"),
        ({"sparsity": 1.0}, "sparsity=1.0 is out of range; give 0 to 0.998"),
        ({"norm": 0}, "norm=0"),
        ({"snr_db": -3.0}, "snr_db=-3"),
        ({"snr_db": float("nan")}, "snr_db=nan"),
        ({"correlation": 1.0}, "correlation=1.0 is out of range; give 0 to 0.9999"),
        ({"twin_cosine": 1.1}, "twin_cosine=1.1"),
        ({"rare": 16}, "rare=16 is out of range; give 0 to 15"),
        ({"drift": -0.1}, "drift=-0.1"),
        ({"strength": 0.0}, "strength=0.0"),
    ],
)
def test_options_out_of_range_are_refused_by_name(wrong, message):
    with pytest.raises(ValueError, match=message):
        MixtureOptions(**wrong)


def test_cosmic_rays_hit_a_share_of_the_values():
    clean = mixtures(jax.random.key(4), 200, MixtureOptions(bands=64, snr_db=None))
    hit = mixtures(jax.random.key(4), 200, MixtureOptions(bands=64, snr_db=None, spikes=0.02))
    added = (hit.data - clean.data) / jnp.sqrt((clean.clean**2).mean(1, keepdims=True))
    share = float((added > 0.5).mean())
    assert share == pytest.approx(0.02, abs=0.005)
    sizes = np.asarray(added)[np.asarray(added > 0.5)]
    assert sizes.min() > 1 - 1e-4
    assert sizes.max() < 6 + 1e-4
    assert float(jnp.abs(added).sum()) == pytest.approx(float(sizes.sum()), rel=1e-3)
