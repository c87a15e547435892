import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads

from jaxhsi.dgc.spatial_prior import (
    EXPONENT_SCALE,
    SHARE_FLOOR,
    NeighbourPrior,
    ResidualStatistics,
    effective_sample_ratio,
    init_neighbour_prior,
    init_residual_statistics,
    negative_pseudo_likelihood,
    neighbour_logits,
    residual_statistics,
)

K = 3


def trusting(radius: int = 1, exponent: float = 1.0) -> NeighbourPrior:
    return init_neighbour_prior(radius)._replace(exponent=jnp.array(exponent / EXPONENT_SCALE))


def posteriors(seed: int, *shape: int) -> jax.Array:
    return jax.nn.softmax(2 * jax.random.normal(jax.random.key(seed), (*shape, K)))


def everywhere(p: jax.Array) -> jax.Array:
    return jnp.ones(p.shape[:-1], bool)


@pytest.mark.parametrize("radius", [0, 1, 2])
def test_fresh_parameters_say_nothing(radius):
    p = posteriors(0, 2, 6, 7)
    found = neighbour_logits(init_neighbour_prior(radius), p, everywhere(p))
    chex.assert_trees_all_close(found, jnp.full_like(p, -np.log(K)), atol=1e-6)


def test_the_mean_of_the_neighbours_by_hand():
    p = posteriors(1, 1, 5, 5)
    share = (np.asarray(p[0, 1:4, 1:4]).sum((0, 1)) - np.asarray(p[0, 2, 2])) / 8
    expected = (share + SHARE_FLOOR) / (share + SHARE_FLOOR).sum()
    found = jnp.exp(neighbour_logits(trusting(), p, everywhere(p)))[0, 2, 2]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_weights_of_neighbours_count():
    p = posteriors(2, 1, 3, 3)
    right_alone = jnp.full((3, 3), -30.0).at[1, 2].set(30.0)
    context = NeighbourPrior(right_alone, jnp.array(1 / EXPONENT_SCALE))
    share = np.asarray(p[0, 1, 2]) + SHARE_FLOOR
    found = jnp.exp(neighbour_logits(context, p, everywhere(p)))[0, 1, 1]
    np.testing.assert_allclose(found, share / share.sum(), rtol=1e-5)


@pytest.mark.parametrize("radius", [1, 2])
def test_a_pixel_is_told_by_all_near_it_and_never_by_itself(radius):
    p = posteriors(3, 1, 9, 9)

    def told(p):
        return neighbour_logits(trusting(radius), p, everywhere(p))[0, 4, 4, 0]

    felt = np.abs(np.asarray(jax.grad(told)(p)))[0].max(-1) > 0
    expected = np.zeros((9, 9), bool)
    expected[4 - radius : 5 + radius, 4 - radius : 5 + radius] = True
    expected[4, 4] = False
    np.testing.assert_array_equal(felt, expected)


def test_invalid_neighbours_say_nothing():
    p, q = posteriors(4, 1, 6, 6), posteriors(5, 1, 6, 6)
    valid = everywhere(p).at[0, 2, 3].set(False)
    changed = p.at[0, 2, 3].set(q[0, 2, 3])
    found, other = (neighbour_logits(trusting(), x, valid) for x in (p, changed))
    chex.assert_trees_all_close(found, other, atol=1e-6)
    alone = jnp.zeros_like(valid).at[0, 0, 0].set(True)
    lonely = neighbour_logits(trusting(), p, alone)[0, 0, 0]
    chex.assert_trees_all_close(lonely, jnp.full(K, -np.log(K)), atol=1e-6)


def test_surprise_by_hand():
    prior = jnp.log(jnp.array([[0.5, 0.5], [0.9, 0.1], [0.2, 0.8]]))
    evidence = jnp.log(jnp.array([[0.2, 0.6], [1.0, 0.5], [7.0, 7.0]]))
    expected = -(np.log(0.4) + np.log(0.95)) / 2
    found = negative_pseudo_likelihood(prior, evidence, jnp.array([True, True, False]))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_gradients():
    p = posteriors(6, 1, 5, 5)
    evidence = jnp.log(posteriors(7, 1, 5, 5))
    context = NeighbourPrior(
        0.3 * jax.random.normal(jax.random.key(8), (5, 5)), jnp.array(0.7 / EXPONENT_SCALE)
    )

    def loss(near, exponent):
        return negative_pseudo_likelihood(
            neighbour_logits(NeighbourPrior(near, exponent), p, everywhere(p)), evidence
        )

    check_grads(loss, tuple(context), order=1, modes=("rev",), rtol=0.02, eps=1e-2)


def learnt_exponent(labels: np.ndarray, noise: float) -> float:
    """Trust after fitting the likelihood of labels seen through noise."""
    rng = np.random.default_rng(0)
    seen = np.eye(K)[labels] + noise * rng.standard_normal((*labels.shape, K))
    evidence = jnp.asarray(seen / noise**2, jnp.float32)[None]
    p = jax.nn.softmax(evidence)
    context, optimizer = init_neighbour_prior(1), optax.adam(2e-3)
    state = optimizer.init(context)

    @jax.jit
    def step(context, state):
        gradient = jax.grad(
            lambda c: negative_pseudo_likelihood(neighbour_logits(c, p, everywhere(p)), evidence)
        )(context)
        updates, state = optimizer.update(gradient, state, context)
        return optax.apply_updates(context, updates), state

    for _ in range(150):
        context, state = step(context, state)
    return float(EXPONENT_SCALE * context.exponent)


def test_neighbours_are_trusted_as_far_as_they_predict():
    rng = np.random.default_rng(1)
    blocks = np.kron(rng.integers(0, K, (5, 5)), np.ones((8, 8), int))
    salt = rng.integers(0, K, (40, 40))
    assert learnt_exponent(blocks, 0.5) > 0.8
    assert abs(learnt_exponent(salt, 0.5)) < 0.3


def correlation_of(field: np.ndarray) -> ResidualStatistics:
    """Residuals of pixels that are all of one cluster at the origin."""
    z = jnp.asarray(field, jnp.float32)[None]
    p = jnp.ones((1, *field.shape[:2], 1))
    return residual_statistics(
        z, p, jnp.zeros((1, field.shape[-1])), jnp.ones((1, *field.shape[:2]), bool)
    )


def test_independence_of_noise_and_of_texture():
    rng = np.random.default_rng(2)
    noise = rng.standard_normal((40, 40, 2))
    assert float(effective_sample_ratio(correlation_of(noise))) > 0.85
    assert float(effective_sample_ratio(correlation_of(np.ones((5, 5, 2))))) == 0.0
    smooth = (noise[1:, 1:] + noise[:-1, 1:] + noise[1:, :-1] + noise[:-1, :-1]) / 2
    r = 0.5  # neighbours share two of four values
    expected = ((1 - r) / (1 + r)) ** 2
    assert float(effective_sample_ratio(correlation_of(smooth))) == pytest.approx(
        expected, abs=0.04
    )
    assert float(effective_sample_ratio(init_residual_statistics())) == 0.0


def test_pairs_across_clusters_and_invalid_pixels_are_left_out():
    z = jnp.array([[1.0, 1.0, 9.0, 5.0]])[..., None][None]
    p = jax.nn.one_hot(jnp.array([[[0, 0, 1, 1]]]), 2)
    centres = jnp.array([[0.0], [8.0]])
    both = residual_statistics(z, p, centres, jnp.ones((1, 1, 4), bool))
    # pairs (1, 1) in the first cluster and (1, -3) in the second
    chex.assert_trees_all_close(
        both, ResidualStatistics(jnp.array(-1.0), jnp.array(3.0)), atol=1e-5
    )
    first = residual_statistics(z, p, centres, jnp.array([[[True, True, True, False]]]))
    chex.assert_trees_all_close(
        first, ResidualStatistics(jnp.array(1.0), jnp.array(1.0)), atol=1e-5
    )
