"""Mean-shift against its definition, pixel by pixel, and the reference's recorded values."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxhsi.upstream.dgc import mean_shift
from jaxhsi.upstream.dgc.centroids import unit

GOLDEN = Path(__file__).parents[2] / "golden" / "dgc_forward.npz"


def slow(z, width, iterations, kernel, mask, border):
    """The definition, in double precision, one pixel after the other."""
    z, r = np.asarray(z, float), kernel // 2
    pads = ((0, 0), (r, r), (r, r), (0, 0))
    near = np.pad(z, pads)
    known = np.pad(np.asarray(mask), pads[:3], constant_values=border)
    points = z.copy()
    for _ in range(iterations):
        for i, y, x in np.ndindex(z.shape[:3]):
            window = np.s_[i, y : y + kernel, x : x + kernel]
            distance = ((near[window] - points[i, y, x]) ** 2).sum(-1)
            weight = known[window] * np.exp(-distance / (2 * width**2))
            moved = (weight[..., None] * near[window]).sum((0, 1))
            points[i, y, x] = moved / (weight.sum() + 1e-6)
    return points


def embeddings(seed, *shape):
    return unit(jax.random.normal(jax.random.key(seed), shape))


shift = jax.jit(mean_shift.local_mean_shift, static_argnums=(2, 3, 5))


@given(
    seed=st.integers(0, 99),
    form=st.sampled_from([(1, 1, 3, True), (7, 4, 5, True), (5, 9, 5, False), (4, 6, 3, False)]),
    width=st.floats(0.3, 2),
)
@settings(max_examples=12, deadline=None)
def test_local_mean_shift_is_its_definition(seed, form, width):
    height, columns, kernel, border = form
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(2, height, columns, 3)).astype(np.float32)
    mask = rng.random(z.shape[:3]) < 0.8
    fast = shift(z, np.float32(width), 2, kernel, mask, border)
    np.testing.assert_allclose(fast, slow(z, width, 2, kernel, mask, border), rtol=1e-3, atol=1e-4)


def test_without_a_mask_every_pixel_counts():
    z, mask = embeddings(0, 1, 6, 7, 4), jnp.ones((1, 6, 7), bool)
    for border in (True, False):
        free = shift(z, np.float32(1.0), 3, 5, None, border)
        np.testing.assert_allclose(free, slow(z, 1.0, 3, 5, mask, border), atol=1e-5)


def test_the_border_pulls_edges_to_zero_only_where_asked():
    flat = jnp.ones((1, 8, 8, 2)) / 2**0.5
    kept = shift(flat, np.float32(1.0), 5, 5, None, False)
    np.testing.assert_allclose(kept, flat, rtol=1e-5)
    pulled = np.linalg.norm(shift(flat, np.float32(1.0), 5, 5, None, True), axis=-1)
    assert pulled[0, 0, 0] < 0.7
    assert pulled[0, 4, 4] == pytest.approx(1, rel=1e-5)


def test_only_the_last_iteration_carries_gradient():
    """d/dz of the last step alone, from points that are held still."""
    z, probe = embeddings(1, 1, 6, 5, 3), jax.random.normal(jax.random.key(2), (1, 6, 5, 3))
    still = shift(z, np.float32(0.8), 2, 5, None, False)

    def last(near, width):
        shape = (1, 6, 5, 6, 5)
        apart = np.abs(np.subtract.outer(np.arange(6), np.arange(6)))[:, None, :, None]
        across = np.abs(np.subtract.outer(np.arange(5), np.arange(5)))[None, :, None, :]
        window = np.broadcast_to((apart <= 2) & (across <= 2), shape)
        square = jnp.square(still[:, :, :, None, None] - near[:, None, None]).sum(-1)
        weight = window * jnp.exp(-square / (2 * width**2))
        moved = jnp.einsum("byxYX,bYXd->byxd", weight, near)
        return (probe * moved / (weight.sum((3, 4))[..., None] + 1e-6)).sum()

    def ours(z, width):
        return (probe * mean_shift.local_mean_shift(z, width, 3)).sum()

    expected, found = (jax.jit(jax.grad(f, (0, 1)))(z, np.float32(0.8)) for f in (last, ours))
    for actual, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("form", ["approx", "full"])
def test_values_and_gradients_are_the_references(form):
    with np.load(GOLDEN) as file:
        arrays = dict(file)
    last = {
        name: jnp.asarray(np.moveaxis(arrays[name], 1, -1))
        for name in ("approx/z", "probe", f"{form}/moved", f"{form}/dz")
    }

    def total(z, log_width):
        width = mean_shift.bandwidth(log_width)
        if form == "full":
            moved = mean_shift.full_mean_shift(z, width, 5)
        else:
            moved = mean_shift.local_mean_shift(z, width, 5, zero_border=True)
        return (moved * last["probe"]).sum(), moved

    log_width = jnp.asarray(arrays["weights/cluster.log_bandwidth"])
    (dz, dwidth), moved = jax.jit(jax.grad(total, (0, 1), has_aux=True))(
        last["approx/z"], log_width
    )
    np.testing.assert_allclose(moved, last[f"{form}/moved"], rtol=1e-4, atol=1e-6)
    scale = np.abs(last[f"{form}/dz"]).max()
    np.testing.assert_allclose(dz, last[f"{form}/dz"], rtol=1e-4, atol=1e-5 * scale)
    # A sum over all pixels that cancels to a small part of its terms.
    np.testing.assert_allclose(dwidth, arrays[f"{form}/dlog_bandwidth"], rtol=1e-3, atol=1e-5)


def test_bandwidth_and_its_inverse():
    widths = jnp.array([0.1, 1.0, 5.0])
    for width in widths:
        assert mean_shift.bandwidth(mean_shift.log_bandwidth(width)) == pytest.approx(float(width))
    assert mean_shift.bandwidth(jnp.float32(0.0)) == pytest.approx(np.log(2))


def test_soft_assignment_is_a_softmax_of_cosines():
    z = jnp.array([[3.0, 0.0], [0.0, 0.0]])
    p = mean_shift.soft_assignment(z, jnp.array([[1.0, 0.0], [0.6, 0.8]]), temperature=0.4)
    assert p[0, 0] == pytest.approx(1 / (1 + np.exp(-1)))
    assert p[1].tolist() == [0.5, 0.5]


def test_zero_embeddings_have_finite_gradients():
    def total(z):
        shifted = mean_shift.local_mean_shift(z, jnp.float32(1.0))
        return jnp.square(mean_shift.soft_assignment(shifted, jnp.eye(2))).sum()

    assert jnp.isfinite(jax.jit(jax.grad(total))(jnp.zeros((1, 5, 5, 2)))).all()


@pytest.mark.parametrize("kernel", [1, 4])
def test_a_window_without_a_centre_is_refused(kernel):
    with pytest.raises(ValueError, match=f"kernel {kernel} has no centre; give an odd number"):
        mean_shift.local_mean_shift(jnp.zeros((1, 5, 5, 2)), jnp.float32(1.0), window_side=kernel)


def test_no_iteration_is_the_identity():
    z = embeddings(0, 1, 3, 3, 2)
    assert mean_shift.local_mean_shift(z, jnp.float32(1.0), 0) is z
