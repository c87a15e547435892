"""Parity with the PyTorch reference, replayed from `tests/golden/make_dgc.py`, and the variants."""

import dataclasses
import functools
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxhsi.dgc.networks import patch_encoder
from jaxhsi.upstream.dgc.algorithm import prototype_dgc, upstream_optimizer
from jaxhsi.upstream.dgc.checkpoint import from_state_dict, to_state_dict, upstream_settings
from jaxhsi.upstream.dgc.encoder import upstream_encoder
from jaxhsi.upstream.dgc.loss_terms import ViewPair
from jaxhsi.upstream.dgc.losses import random_balanced_labels
from jaxhsi.upstream.dgc.options import BalanceOptions, LossWeights, PrototypeOptions

GOLDEN = Path(__file__).parents[2] / "golden"
BANDS, DIM, CLUSTERS = 11, 8, 4
TERMS = {
    "orthogonality": "orth",
    "usage_entropy": "bal",
    "uniform_assignment": "unif",
    "grid_consistency": "cons",
}


def golden(name):
    with np.load(GOLDEN / f"dgc_{name}.npz") as file:
        return dict(file)


def part(arrays, prefix):
    return {
        k.removeprefix(f"{prefix}/"): v for k, v in arrays.items() if k.startswith(f"{prefix}/")
    }


def params_of(arrays, prefix, bias):
    encoder = {"spectral_kernel_size": 9, "embed_dim": DIM, "bias": bias}
    settings = upstream_settings(BANDS, encoder, {"embed_dim": DIM, "n_clusters": CLUSTERS})
    return from_state_dict(part(arrays, prefix), settings)


def last(x):
    """From the reference's (..., c, h, w)."""
    return jnp.asarray(np.moveaxis(x.astype(np.float32), -3, -1))


@functools.cache
def method(bias=False, rate=1e-4, **options):
    """Each compiled function is shared by the tests that use it."""
    encoder = upstream_encoder(BANDS, DIM, bias=bias)
    dgc = prototype_dgc(
        encoder, CLUSTERS, DIM, upstream_optimizer(rate), PrototypeOptions(**options)
    )
    names = ("init", "loss", "predict")
    chex.clear_trace_counter()  # it takes two methods' functions for the same one
    update = jax.jit(
        chex.assert_max_traces(lambda *inputs: dgc.update(*inputs), n=1), donate_argnums=0
    )
    return dataclasses.replace(
        dgc, update=update, **{name: jax.jit(getattr(dgc, name)) for name in names}
    )


def first_state():
    return method().init(jax.random.key(0))


def pair_of(arrays, step=None):
    crops, pseudo = arrays["crops"], arrays["pseudo"]
    kick = arrays.get("kick", np.zeros((CLUSTERS, DIM)))
    if step is not None:
        crops, pseudo, kick = crops[step], pseudo[step], kick[step]
    return ViewPair(last(crops), jnp.asarray(pseudo, jnp.int32), jnp.asarray(kick, jnp.float32))


def close(actual, expected, rtol=1e-4, scale=None):
    """Within rtol of each value, or 1e-5 of the largest one (gradients cancel)."""
    atol = 1e-5 * np.abs(expected).max() if scale is None else scale
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=rtol, atol=atol)


@pytest.fixture(scope="module")
def forward():
    arrays = golden("forward")
    dgc = method(bias=True)
    params = params_of(arrays, "weights", bias=True)
    total, gradient = jax.jit(jax.value_and_grad(dgc.loss, has_aux=True))(params, pair_of(arrays))
    return arrays, total, gradient


def test_embeddings_shifts_probabilities_and_labels_are_the_references(forward):
    arrays, (_, (_, look, _)), _ = forward
    close(look.embeddings[0], np.moveaxis(arrays["approx/z"], 1, -1))
    close(look.shifted_embeddings[0], np.moveaxis(arrays["approx/shifted"], 1, -1))
    close(look.probabilities[0], arrays["approx/p"])
    assert np.array_equal(look.probabilities[0].argmax(-1), arrays["approx/labels"])


def test_each_loss_term_is_the_references(forward):
    arrays, (total, (terms, _, _)), _ = forward
    close(total, arrays["loss/total"])
    close(terms.compactness, arrays["loss/comp1"] + arrays["loss/comp2"])
    for ours, theirs in TERMS.items():
        close(getattr(terms, ours), arrays[f"loss/{theirs}"])
    assert terms.overlap_consistency == terms.assignment_entropy == 0


def test_gradients_are_the_references(forward):
    arrays, _, gradient = forward
    theirs = part(arrays, "gradient")
    ours = to_state_dict(gradient)
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        # The gradient of the bandwidth is a small difference of large sums over pixels.
        close(ours[name], expected, rtol=1e-3 if name.endswith("bandwidth") else 1e-4)


def replay(name):
    arrays = golden(name)
    dgc = method(rate=float(arrays["rate"]))
    params = params_of(arrays, "start", bias=False)
    state = first_state()._replace(params=params)
    infos, labels = [], []
    for step in range(len(arrays["crops"])):
        pair = pair_of(arrays, step)
        state, info = dgc.update(state, pair)
        infos.append(info)
        flat = pair.crops.reshape(-1, *pair.crops.shape[2:])
        labels.append(dgc.predict(state, flat)[0].reshape(pair.crops.shape[:-1]))
    infos = jax.tree.map(lambda *a: np.stack(a), *infos)
    return arrays, state, infos, np.stack(labels)


@pytest.mark.parametrize("name", ["update", "trajectory"])
def test_full_updates_follow_the_reference(name):
    """One update with a kicked dead centroid; 20 updates of clip, AdamW, second forward, EMA."""
    arrays, state, infos, labels = replay(name)
    close(infos.loss, arrays["loss/total"])
    # Where the 20 steps have parted by rounding, a ReLU that flips shows in the gradient first.
    close(infos.gradient_norm, arrays["gradient_norm"], rtol=1e-3)
    close(infos.terms.compactness, arrays["loss/comp1"] + arrays["loss/comp2"])
    for ours, theirs in TERMS.items():
        close(getattr(infos.terms, ours), arrays[f"loss/{theirs}"], scale=1e-6)
    assert (labels == arrays["labels"]).mean() >= 0.9999
    theirs = part(arrays, "end")
    for key, value in to_state_dict(state.params).items():
        # In norm: AdamW turns the rounding of a vanishing gradient into a whole step.
        assert np.linalg.norm(value - theirs[key]) <= 1e-4 * np.linalg.norm(theirs[key]), key
    assert state.step == len(arrays["crops"])


def test_the_dead_centroid_was_kicked_not_averaged():
    arrays = golden("update")
    start, end = (arrays[f"{k}/cluster.cluster_centers"][2] for k in ("start", "end"))
    moved = end / np.linalg.norm(end) - start
    assert 0.02 < np.linalg.norm(moved) < 0.5
    assert (end < 0).all()  # an average of embeddings, which are all >= 0, would pull it up


def scene(key, batch=2, size=8):
    return jax.random.normal(key, (2, batch, size, size, BANDS))


def labelled(crops, **more):
    n = int(np.prod(crops.shape[1:4]))
    labels = jnp.stack([random_balanced_labels(jax.random.key(i), n, CLUSTERS) for i in range(2)])
    return ViewPair(crops, labels, jnp.zeros((CLUSTERS, DIM)), **more)


REPAIRED = LossWeights(
    usage_entropy=-1.0,
    uniform_assignment=0.0,
    grid_consistency=0.0,
    overlap_consistency=1.0,
    assignment_entropy=0.1,
)


def test_terms_without_weight_are_not_computed_and_others_are():
    dgc = method(loss_weights=REPAIRED, zero_padding=False, scrambled_pixels=False)
    params = first_state().params
    views = jnp.tile(jnp.eye(2, 3), (2, 2, 1, 1))
    _, (terms, look, _) = dgc.loss(params, labelled(scene(jax.random.key(1)), affine_maps=views))
    assert terms.uniform_assignment == terms.grid_consistency == 0
    # Identical maps: the overlap is the whole grid, the term upstream's own.
    p = look.probabilities + 1e-6
    divergence = ((p[0] - p[1]) * jnp.log(p[0] / p[1])).sum(-1).mean() / 2
    assert terms.overlap_consistency == pytest.approx(float(divergence), rel=1e-4)
    assert terms.assignment_entropy > 0


def test_overlap_needs_the_maps():
    dgc = method(loss_weights=REPAIRED)
    with pytest.raises(ValueError, match="affine maps"):
        dgc.loss(first_state().params, labelled(scene(jax.random.key(1))))


def test_invalid_pixels_leave_terms_usage_and_labels():
    dgc = method(zero_padding=False, scrambled_pixels=False)
    state = first_state()
    crops = scene(jax.random.key(1))
    valid = jnp.ones(crops.shape[:-1], bool).at[:, :, :, 5:].set(False)
    pair = labelled(crops, valid=valid)
    _, (terms, look, _) = dgc.loss(state.params, pair)
    kept = look.probabilities[:, :, :, :5]
    entropy = [-(u * jnp.log(u)).sum() for u in kept.mean((1, 2, 3)) + 1e-6]
    assert terms.usage_entropy == pytest.approx(float(sum(entropy)) / 2, rel=1e-5)
    divergence = ((kept[0] - kept[1]) * jnp.log((kept[0] + 1e-6) / (kept[1] + 1e-6))).sum(-1) / 2
    assert terms.grid_consistency == pytest.approx(float(divergence.mean()), rel=1e-3)
    labels, confidence = dgc.predict(state, crops[0], valid[0])
    assert (labels[~valid[0]] == -1).all()
    assert (confidence[~valid[0]] == 0).all()
    assert (labels[valid[0]] >= 0).all()


def test_the_full_form_with_a_fixed_bandwidth_trains():
    dgc = method(all_pairs=True, learn_bandwidth=False)
    state, info = dgc.update(first_state(), labelled(scene(jax.random.key(1))))
    assert state.params["log_bandwidth"] == first_state().params["log_bandwidth"]
    assert info.bandwidth == pytest.approx(1.0)
    assert jnp.isfinite(info.loss)
    assert info.gradient_norm > 0
    assert state.step == 1


def test_predict_by_full_row_tiles_with_the_halo_agrees():
    dgc = method(zero_padding=False)
    state = first_state()
    x = jax.random.normal(jax.random.key(1), (1, 48, 9, BANDS))
    whole, _ = dgc.predict(state, x)
    tile, _ = dgc.predict(state, x[:, 20 - dgc.halo : 28 + dgc.halo])
    assert np.array_equal(tile[:, dgc.halo : -dgc.halo], whole[:, 20:28])
    assert dgc.full_rows


def test_bfloat16_trains():
    encoder = upstream_encoder(BANDS, DIM, dtype=jnp.bfloat16)
    dgc = prototype_dgc(encoder, CLUSTERS, DIM, upstream_optimizer(), PrototypeOptions())
    state, info = jax.jit(dgc.update)(first_state(), labelled(scene(jax.random.key(1))))
    assert {a.dtype for a in jax.tree.leaves(state.params)} == {jnp.dtype("float32")}
    assert jnp.isfinite(info.loss)


# Switches that repair the method --------------------------------------------------------------


@pytest.mark.parametrize("kind", ["entropy_floor", "uncertainty", "famo"])
def test_every_balance_steps_with_finite_terms(kind):
    weights = LossWeights(usage_entropy=-1.0, grid_consistency=0.0, uniform_assignment=0.0)
    dgc = method(
        mean_shift_iterations=0, loss_weights=weights, balance=BalanceOptions(kind, 0.2, 3)
    )
    state, info = first_state_of(dgc), None
    for step in range(2):
        state, info = dgc.update(state, labelled(scene(jax.random.key(step))))
    chex.assert_tree_all_finite((state, info))
    assert len(info.term_weights) == 3  # compactness, orthogonality, usage
    if kind.endswith("floor"):
        np.testing.assert_allclose(info.term_weights, [1.0, 0.001, 1.0])
        assert info.cluster_bonuses.max() > 0
    else:
        assert (info.cluster_bonuses == 0).all()


def test_the_loss_is_the_weighted_sum_and_the_price():
    weights = LossWeights(usage_entropy=-2.0, grid_consistency=0.0, uniform_assignment=0.0)
    dgc = method(mean_shift_iterations=0, loss_weights=weights)
    total, (terms, _, _) = dgc.loss(first_state().params, labelled(scene(jax.random.key(1))))
    usage = np.log(CLUSTERS) - terms.usage_entropy
    expected = terms.compactness + 0.001 * terms.orthogonality + 2 * usage
    assert total == pytest.approx(float(expected), rel=1e-5)


def first_state_of(dgc, key=0, **more):
    return jax.tree.map(jnp.copy, dgc.init(jax.random.key(key), **more))


def test_the_floor_keeps_a_cluster_that_upstreams_term_would_empty():
    """From a random start that is in one cluster after a step; the floor brings all four back."""
    least = {}
    for kind in ("fixed", "share_floor"):
        weights = LossWeights(uniform_assignment=0.0, grid_consistency=0.0)
        dgc = method(
            rate=1e-2,
            mean_shift_iterations=0,
            loss_weights=weights,
            scrambled_pixels=False,
            balance=BalanceOptions(kind, 0.1, 5),
        )
        state = first_state_of(dgc)
        for step in range(130):
            state, _ = dgc.update(state, labelled(scene(jax.random.key(step))))
        least[kind] = float(state.running_usage.min())
    assert least["fixed"] < 1e-3
    assert least["share_floor"] > 0.03


def test_a_start_from_data_embeds_principal_components_and_uses_every_cluster():
    spectra = jax.random.normal(jax.random.key(3), (400, BANDS)) * jnp.linspace(3, 0.1, BANDS)
    dgc = method(mean_shift_iterations=0, data_initialisation=True)
    state = first_state_of(dgc, spectra=spectra)
    pixels = spectra[:64].reshape(64, 1, 1, BANDS)
    look = dgc.forward(state.params, pixels)
    _, axes = np.linalg.eigh(np.cov(spectra, rowvar=False))
    parts = spectra[:64] @ axes[:, ::-1][:, : DIM // 2]
    z = np.maximum(np.concatenate([parts, -parts], 1), 0)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    np.testing.assert_allclose(look.embeddings[:, 0, 0], z, atol=1e-4)
    assert np.bincount(look.probabilities[:, 0, 0].argmax(-1), minlength=CLUSTERS).min() > 0
    again = first_state_of(dgc, spectra=spectra)
    chex.assert_trees_all_equal(state, again)


def test_a_start_from_data_needs_data_and_an_encoder_that_has_one():
    with pytest.raises(ValueError, match="give spectra"):
        method(mean_shift_iterations=0, data_initialisation=True).init(jax.random.key(0))
    encoder = patch_encoder(BANDS, ("none",), DIM)
    with pytest.raises(ValueError, match="no data-driven start"):
        prototype_dgc(
            encoder, CLUSTERS, DIM, upstream_optimizer(), PrototypeOptions(data_initialisation=True)
        )


def test_a_dead_cluster_is_revived_when_it_is_due_without_its_old_moments():
    options = {
        "mean_shift_iterations": 0,
        "revive_clusters": True,
        "balance": BalanceOptions(averaging_batches=2),
        "scrambled_pixels": False,
    }
    dgc = method(**options)
    state = first_state_of(dgc)
    state, _ = dgc.update(state, labelled(scene(jax.random.key(0))))
    # The opposite of all embeddings, which are >= 0: no pixel is assigned to it.
    far = -jnp.ones(DIM) / jnp.sqrt(DIM)
    params = state.params | {"centroids": state.params["centroids"].at[1].set(far)}
    dead = jnp.array([0.4, 0.0, 0.3, 0.3])
    state = state._replace(params=params, running_usage=dead)
    unrevived = method(**(options | {"revive_clusters": False}))
    pair = labelled(scene(jax.random.key(1)))
    left, _ = unrevived.update(jax.tree.map(jnp.copy, state), pair)
    state, _ = dgc.update(state, pair)
    assert state.params["centroids"][1].min() >= 0  # a pixel's embedding
    assert left.params["centroids"][1].max() < 0
    others = np.array([0, 2, 3])
    np.testing.assert_allclose(
        state.params["centroids"][others], left.params["centroids"][others], rtol=1e-6
    )
    moments = optax.tree.get(state.optimizer_state, "mu")["centroids"]
    assert (moments[1] == 0).all()
    assert (moments[others] != 0).any()
    assert state.running_usage[1] == pytest.approx(2e-3)
