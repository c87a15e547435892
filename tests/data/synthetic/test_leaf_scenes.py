import time
import tracemalloc
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxhsi.data.synthetic.leaf_scenes import BACKGROUND, LESION, TISSUE, LeafScene


@cache
def whole(scene):
    return scene.window(0, 0, scene.size, scene.size)


def sick(**options):
    return LeafScene(**{"size": 160, "seed": 5, "lesion_share": 0.015, **options})


def bands(scene, *nanometres):
    return [int(np.argmin(np.abs(scene.wavelengths - nm))) for nm in nanometres]


@st.composite
def spans(draw, size=160):
    start = draw(st.integers(0, size - 1))
    return start, draw(st.integers(1, size - start))


@settings(max_examples=30, deadline=None)
@given(spans(), spans())
def test_a_window_is_the_slice_of_the_whole_bit_for_bit(rows, columns):
    cube, labels = sick().window(rows[0], columns[0], rows[1], columns[1])
    cut = np.s_[rows[0] : sum(rows), columns[0] : sum(columns)]
    np.testing.assert_array_equal(cube, whole(sick())[0][cut])
    np.testing.assert_array_equal(labels, whole(sick())[1][cut])


def test_same_seed_same_scene_and_other_seed_another():
    again = sick().window(0, 0, 160, 160)
    np.testing.assert_array_equal(again[0], whole(sick())[0])
    other = whole(sick(seed=6))
    assert (other[1] != whole(sick())[1]).mean() > 0.02
    assert (other[0] != whole(sick())[0]).mean() > 0.9


def test_shape_types_and_ranges():
    scene = sick()
    cube, labels = whole(scene)
    assert cube.shape == scene.shape == (160, 160, 301)
    assert (scene.wavelengths[0], scene.wavelengths[-1]) == (400, 1000)
    assert (cube.dtype, labels.dtype) == (np.float32, np.uint8)
    assert np.isfinite(cube).all()
    assert cube.min() >= 0
    assert 0.4 < cube.max() <= 1.5
    np.testing.assert_array_equal(np.unique(labels), [BACKGROUND, TISSUE, LESION])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("share", [0.004, 0.01, 0.02])
def test_lesions_cover_the_share_asked_for(seed, share):
    labels = whole(LeafScene(64, seed, lesion_share=share))[1]
    assert (labels == LESION).mean() == pytest.approx(share, rel=0.2)


@pytest.mark.parametrize("seed", range(6))
def test_leaves_cover_about_half(seed):
    labels = whole(LeafScene(64, seed))[1]
    assert 0.35 < (labels != BACKGROUND).mean() < 0.60


def test_healthy_scenes_have_no_lesion_and_come_up_by_themselves():
    assert not (whole(sick(lesion_share=0.0))[1] == LESION).any()
    drawn = np.array([(whole(LeafScene(64, seed))[1] == LESION).mean() for seed in range(24)])
    assert 2 <= (drawn == 0).sum() <= 12  # a quarter
    assert 0.8 * 0.004 < drawn[drawn > 0].min() < drawn.max() < 1.2 * 0.02


def test_spectra_look_like_their_class():
    scene = sick(noise_scale=0.0, stripe_deviation=0.0)
    cube, labels = whole(scene)
    blue, green, red, infrared = bands(scene, 450, 550, 670, 800)
    cloth, tissue, lesion = (cube[labels == label].mean(0) for label in range(3))
    assert tissue[infrared] > 4 * tissue[red]  # the red edge
    assert tissue[green] > 1.3 * tissue[red]  # green to the eye
    assert lesion[red] > lesion[green] > lesion[blue]  # brown
    assert cloth.max() < 0.2
    assert 0.02 < np.median(cube[labels == BACKGROUND]) < 0.12


def test_halo_is_yellow_tissue_around_the_lesion():
    scene = sick(noise_scale=0.0, stripe_deviation=0.0, glare_scale=0.0)
    cube, labels = whole(scene)
    red, infrared = bands(scene, 620, 800)
    lesion = np.pad(labels == LESION, 3)
    near = np.any([np.roll(lesion, (dy, dx), (0, 1)) for dy in (-3, 3) for dx in (-3, 3)], 0)
    ring = near[3:-3, 3:-3] & (labels == TISSUE)
    yellowness = cube[..., red] / cube[..., infrared]  # free of shading
    assert yellowness[ring].mean() > 1.5 * yellowness[labels == TISSUE].mean()


def test_signal_to_noise_is_that_of_a_camera():
    clean, noisy = (whole(sick(noise_scale=noise))[0] for noise in (0.0, 1.0))
    scene = sick()
    tissue = whole(scene)[1] == TISSUE
    decibel = {}
    for nm in (410, 800):
        band = bands(scene, nm)[0]
        signal, error = clean[tissue, band], noisy[tissue, band] - clean[tissue, band]
        decibel[nm] = 20 * np.log10(signal.mean() / error.std())
    assert 30 < decibel[800] < 40
    assert decibel[410] < decibel[800] - 10


def test_glare_is_flat_over_bands_and_shadow_falls_on_cloth_alone():
    plain = {"noise_scale": 0.0, "stripe_deviation": 0.0}
    cube, labels = whole(sick(**plain))
    glare = cube - whole(sick(glare_scale=0.0, **plain))[0]
    assert glare.max() > 0.08
    np.testing.assert_allclose(np.ptp(glare, axis=-1), 0, atol=1e-5)
    assert glare[labels == BACKGROUND].mean() < 0.01 * glare[labels == TISSUE].mean()
    unshadowed = whole(sick(shadow_strength=0.0, **plain))[0]
    shade = cube[..., 100] / unshadowed[..., 100]
    assert shade[labels == BACKGROUND].min() < 0.5
    assert shade[labels == TISSUE].mean() > 0.98


def test_stripes_run_along_columns_and_are_smooth_over_bands():
    gain = whole(sick(noise_scale=0.0))[0] / whole(sick(noise_scale=0.0, stripe_deviation=0.0))[0]
    np.testing.assert_allclose(gain, np.broadcast_to(gain[:1], gain.shape), rtol=1e-5)
    assert 0.006 < (gain[0] - 1).std() < 0.015
    assert np.abs(np.diff(gain[0], axis=-1)).max() < 0.003


def test_edges_mix_cloth_and_leaf():
    scene = sick(noise_scale=0.0, stripe_deviation=0.0, glare_scale=0.0, lesion_share=0.0)
    cube, labels = whole(scene)
    step = np.abs(np.diff(labels.astype(int), axis=1)) == 1  # the margin crosses here
    infrared = cube[..., bands(scene, 800)[0]]
    left, right = infrared[:, :-1][step], infrared[:, 1:][step]
    inside, outside = np.maximum(left, right), np.minimum(left, right)
    deep = np.median(infrared[labels == TISSUE])
    assert np.median(inside) < 0.95 * deep
    assert np.median(outside) > 1.3 * np.median(infrared[labels == BACKGROUND])


def test_a_far_window_of_the_largest_scene_is_quick_and_small():
    scene = LeafScene(4096, 1)
    scene.window(0, 0, 1, 1)
    tracemalloc.start()
    started = time.perf_counter()
    cube, _ = scene.window(4000, 3000, 96, 96)
    seconds, peak = time.perf_counter() - started, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert cube.shape == (96, 96, 301)
    assert seconds < 5
    assert peak < 64 * 2**20  # the whole cube has 20 GB


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 63}, "choose 64..4096"),
        ({"size": 4097}, "choose 64..4096"),
        ({"seed": -1}, "seed=-1"),
        ({"lesion_share": 0.03}, "lesion_share=0.03"),
        ({"lesion_share": float("nan")}, "lesion_share=nan"),
        ({"noise_scale": -1.0}, "must be >= 0"),
        ({"shadow_strength": 1.5}, "shadow in 0..1"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        LeafScene(**{"size": 64, **options})


@pytest.mark.parametrize("window", [(-1, 0, 8, 8), (0, 60, 8, 8), (0, 0, 0, 8), (64, 0, 1, 1)])
def test_windows_outside_are_refused(window):
    with pytest.raises(ValueError, match="does not fit"):
        LeafScene(64).window(*window)
