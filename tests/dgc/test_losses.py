"""Loss terms: values by hand, masks, gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxhsi.dgc import losses
from jaxhsi.upstream.dgc import losses as upstream_losses

LOG2 = float(np.log(2))


def draw(seed, *shape):
    p = np.exp(2 * np.random.default_rng(seed).normal(size=shape)).astype(np.float32)
    return p / p.sum(-1, keepdims=True)


def test_compactness_by_hand():
    """Cosines 1 and 0 with weights 0.75, 0.25, then -1 and 0 with 0.5 each: (0.25 + 1.5) / 2."""
    z = jnp.array([[1.0, 0.0], [-1.0, 0.0]])
    p = jnp.array([[0.75, 0.25], [0.5, 0.5]])
    assert upstream_losses.compactness(z, p, jnp.eye(2)) == pytest.approx(0.875)
    assert upstream_losses.compactness(z, p, jnp.eye(2), jnp.array([True, False])) == pytest.approx(
        0.25
    )


def test_compactness_never_rewards_beyond_a_cosine_of_one():
    assert (
        upstream_losses.compactness(jnp.ones((1, 2)), jnp.ones((1, 1)), 3 * jnp.ones((1, 2))) == 0
    )


def test_orthogonality_by_hand():
    """Off-diagonal 0.6 twice, a diagonal of 4 instead of 1: 2 * (0.6 * 2)^2 + 9."""
    centroids = jnp.array([[1.0, 0.0], [1.2, 1.6]])
    assert upstream_losses.orthogonality(centroids) == pytest.approx(2 * 1.44 + 9, rel=1e-6)
    assert upstream_losses.orthogonality(jnp.eye(3, 5)) == 0


def test_usage_entropy_is_log_k_for_equal_use_and_zero_for_one_cluster():
    hard = jax.nn.one_hot(jnp.array([0, 1, 0, 1]), 2)
    assert upstream_losses.usage_entropy(hard) == pytest.approx(LOG2, abs=1e-5)
    assert upstream_losses.usage_entropy(hard, jnp.array([1, 0, 1, 0], bool)) == pytest.approx(
        0, abs=2e-5
    )


def test_assignment_entropy_of_hard_and_of_undecided_pixels():
    p = jnp.array([[1.0, 0.0], [0.5, 0.5]])
    assert upstream_losses.assignment_entropy(p) == pytest.approx(LOG2 / 2, abs=1e-5)
    assert upstream_losses.assignment_entropy(p, jnp.array([0.0, 3.0])) == pytest.approx(
        LOG2, abs=1e-5
    )


def test_overlap_consistency_by_hand():
    """KL of (0.8, 0.2) and (0.2, 0.8) is 0.6 log 4 either way."""
    p = jnp.array([[0.8, 0.2], [0.5, 0.5]])
    q = jnp.array([[0.2, 0.8], [0.5, 0.5]])
    both = 0.6 * np.log(4)
    assert upstream_losses.overlap_consistency(p, q) == pytest.approx(both / 2, rel=1e-4)
    matched = jnp.array([True, False])
    assert upstream_losses.overlap_consistency(p, q, matched) == pytest.approx(both, rel=1e-4)


def test_cross_entropy_by_hand():
    target = jnp.array([[1.0, 0.0], [0.5, 0.5]])
    log_p = jnp.log(jnp.array([[0.25, 0.75], [0.5, 0.5]]))
    assert losses.cross_entropy(target, log_p) == pytest.approx(1.5 * LOG2)


@given(seed=st.integers(0, 2**31 - 1))
@settings(max_examples=15, deadline=None)
def test_consistency_is_symmetric_positive_and_zero_on_itself(seed):
    p, q = draw(seed, 6, 3), draw(seed + 1, 6, 3)
    overlap = TERMS["overlap"]
    assert overlap(p, q, None) == pytest.approx(float(overlap(q, p, None)), rel=1e-5)
    assert overlap(p, q, None) > 0
    assert overlap(p, p, None) == 0


TERMS = {
    "compactness": lambda a, b, mask: upstream_losses.compactness(a, b, jnp.eye(3), mask),
    "usage": lambda a, b, mask: upstream_losses.usage_entropy(a, mask),
    "entropy": lambda a, b, mask: upstream_losses.assignment_entropy(a, mask),
    "overlap": upstream_losses.overlap_consistency,
    "cross": lambda a, b, mask: losses.cross_entropy(b, jnp.log(a), mask),
}
TERMS = {name: jax.jit(term) for name, term in TERMS.items()}
GRADIENTS = {name: jax.jit(jax.value_and_grad(term)) for name, term in TERMS.items()}


@pytest.mark.parametrize("name", TERMS)
def test_masked_pixels_leave_the_loss_and_its_gradient(name):
    """The masked value equals that of the kept pixels alone, even beside infinities."""
    a, b = draw(0, 2, 4, 3), draw(1, 2, 4, 3)
    mask = np.zeros((2, 4), bool)
    mask[0, 1] = mask[1, 3] = True
    kept = TERMS[name](a[mask], b[mask], None)
    value, gradient = GRADIENTS[name](a, b, mask)
    np.testing.assert_allclose(value, kept, rtol=1e-6)
    assert np.isfinite(gradient).all()
    assert (np.asarray(gradient)[~mask] == 0).all()
    broken, _ = GRADIENTS[name](np.where(mask[..., None], a, np.float32(np.nan)), b, mask)
    np.testing.assert_allclose(broken, kept, rtol=1e-6)


@pytest.mark.parametrize("name", TERMS)
def test_no_pixel_at_all_is_zero_with_a_zero_gradient(name):
    a, b, none = draw(0, 2, 4, 3), draw(1, 2, 4, 3), np.zeros((2, 4), bool)
    value, gradient = GRADIENTS[name](a, b, none)
    assert np.abs(value) < 1e-4  # the entropy of no usage is that of its epsilons
    assert (np.asarray(gradient) == 0).all()


@pytest.mark.parametrize("name", ["usage", "entropy", "overlap"])
def test_one_hot_probabilities_have_finite_gradients(name):
    hard = np.eye(3, dtype=np.float32)
    assert np.isfinite(GRADIENTS[name](hard, np.roll(hard, 1, 0), None)[1]).all()


def test_a_float_mask_weighs_pixels():
    values = jnp.array([1.0, 4.0, jnp.inf])
    assert losses.masked_mean(values, jnp.array([1.0, 0.5, 0.0])) == pytest.approx(2.0)
    p = jnp.array([[1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(losses.mean_usage(p, jnp.array([3.0, 1.0])), [0.75, 0.25])
