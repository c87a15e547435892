"""Schedules: temperature, weight of the count, bands and their records, convergence."""

from collections import deque

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.upstream.gmcr import schedules
from tests.helpers.reference import REFERENCE


def test_temperature_drops_as_upstreams_loop_does():
    now, expected = 1.0, []
    for epoch in range(1, 40):
        expected.append(now)
        if epoch % 3 == 0:
            now = max(now - 0.1, 0.4)
    ours = jax.vmap(lambda e: schedules.gate_temperature(e, drop=0.1, every=3))(jnp.arange(39))
    np.testing.assert_allclose(ours, expected, rtol=1e-6)
    assert schedules.gate_temperature(5000, every=0) == 1


def test_coefficient_agrees_with_the_reference():
    update = jax.jit(
        lambda old, row: (schedules.next_count_weight(old, *row, 12, penalty_error_ratio=0.8),) * 2
    )
    rows = jnp.asarray(REFERENCE["coefficient/inputs"], jnp.float32)
    ours = jax.lax.scan(update, jnp.float32(0), rows)[1]
    np.testing.assert_allclose(ours, REFERENCE["coefficient"], rtol=1e-6)


def test_coefficient_as_meant_balances_penalty_and_error():
    """Without smoothing the weight times the share in use, 3 of 12, is the error."""
    weight = schedules.next_count_weight(0.0, 0.001, 0.02, 3, 12, smoothing=0.0)
    assert weight * 3 / 12 == pytest.approx(0.02)
    assert schedules.next_count_weight(1.0, 0.005, 0.02, 3, 12) == pytest.approx(0.95)


@pytest.mark.parametrize(("criterion", "threshold"), [("R2", 0.97), ("nMSE", 0.03)])
def test_bands_agree_with_the_reference(criterion, threshold):
    found = schedules.fit_levels(criterion, threshold)
    names = REFERENCE[f"band/{criterion}/names"].tolist()
    assert [schedules.level_name(band) for band in found] == names
    index = jax.vmap(lambda v: schedules.level_index(v, found, criterion))
    ours = index(jnp.asarray(REFERENCE["band/values"], jnp.float32))
    assert ours.tolist() == REFERENCE[f"band/{criterion}/index"].tolist()


def test_no_band_above_a_threshold_near_one():
    assert schedules.fit_levels("R2", 0.999) == ()
    assert schedules.level_index(0.9995, (), "R2") == -1


@pytest.mark.parametrize(
    ("bad", "match"),
    [(("r2", 0.9, 0.1), "criterion"), (("R2", 1.0, 0.1), "1.0"), (("R2", 0.9, 0.0), "positive")],
)
def test_bad_bands(bad, match):
    with pytest.raises(ValueError, match=match):
        schedules.fit_levels(*bad)


def test_records_keep_the_fewest_components_then_the_best_fit():
    update = jax.jit(schedules.update_records, static_argnums=3)
    records, replaced = schedules.empty_records(2), []
    # Band, count, R2: the first; more; as many and worse; as many and equal; fewer and worse; none.
    for band, count, r2 in [(1, 5, 0.98), (1, 6, 0.99), (1, 5, 0.97), (1, 5, 0.98), (1, 4, 0.9),
                            (-1, 1, 1.0)]:  # fmt: skip
        new = schedules.LevelRecords(
            *(jnp.full(1, v) for v in (1 - r2, r2, 0.5)), jnp.full(1, count)
        )
        records, at = update(records, new, jnp.int32(band), "R2")
        replaced.append(at.tolist())
    assert replaced == [[False, b] for b in (True, False, False, True, True, False)]
    assert records.count.tolist() == [-1, 4]
    np.testing.assert_allclose(records.r2, [0, 0.9])


def test_records_by_nmse():
    new = schedules.LevelRecords(jnp.array([0.1]), jnp.array([0.5]), jnp.zeros(1), jnp.array([3]))
    kept, _ = schedules.update_records(schedules.empty_records(1), new, jnp.int32(0), "nMSE")
    better = new._replace(nmse=jnp.array([0.09]), r2=jnp.array([0.4]))
    worse = new._replace(nmse=jnp.array([0.11]), r2=jnp.array([0.6]))
    assert schedules.update_records(kept, better, jnp.int32(0), "nMSE")[1].all()
    assert not schedules.update_records(kept, worse, jnp.int32(0), "nMSE")[1].any()


def upstreams_stops(nmse, energy, window, tolerance=0.01, ratio=0.5):
    """The test of `BaseEBgMCR.fit`, written out over lists."""
    reached = left = False
    last, energies, first, stops = deque(maxlen=window), [], None, []
    for fit, e in zip(nmse, energy, strict=True):
        (last.append(fit) if reached else energies.append(e))
        if fit < tolerance:
            reached, first = True, sum(energies) / len(energies)
        if reached and len(last) == window and sum(last) / window > tolerance:
            left = True
        stops.append(reached and left and first is not None and e <= first * ratio)
    return stops


@pytest.mark.parametrize("seed", range(6))
def test_convergence_is_upstreams(seed):
    rng = np.random.default_rng(seed)
    nmse = (0.02 * rng.uniform(size=60)).astype(np.float32)
    energy = rng.uniform(0.1, 1, 60).astype(np.float32)
    update = jax.jit(lambda s, row: schedules.update_convergence(s, *row))
    _, stops = jax.lax.scan(update, schedules.initial_convergence(5), (nmse, energy))
    expected = upstreams_stops(nmse.tolist(), energy.tolist(), 5)
    assert stops.tolist() == expected
    assert any(expected)
