"""Parity with the PyTorch reference, replayed from `tests/golden/make_gmcr.py`; the variants."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.gmcr import mixing
from jaxhsi.upstream.gmcr import schedules
from jaxhsi.upstream.gmcr.adamw import zero_moments
from jaxhsi.upstream.gmcr.algorithm import joint
from jaxhsi.upstream.gmcr.checkpoint import from_state_dict, settings_from_options, to_state_dict
from jaxhsi.upstream.gmcr.generator import PoolNoise, pool_output
from jaxhsi.upstream.gmcr.options import JointOptions
from jaxhsi.upstream.gmcr.state import State

GOLDEN = Path(__file__).parents[2] / "golden"
BATCH, EPOCHS, STEPS = 4, 5, 4
CASES = {"single": (6,), "pools": (5, 5), "sparse": (4,)}
TINY = JointOptions(pool_sizes=(3,), batch_size=4)
# Compiled in half the time; what little runs is none the slower.
quick = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


@functools.cache
def golden(name):
    with np.load(GOLDEN / f"gmcr_{name}.npz") as file:
        return dict(file)


def part(arrays, prefix, mark="/"):
    start = prefix + mark
    return {k.removeprefix(start): v for k, v in arrays.items() if k.startswith(start)}


def options_for(name):
    return JointOptions(
        pool_sizes=CASES[name],
        learnable_pools=(True, False) if name == "pools" else None,
        sparse_components=name == "sparse",
        batch_size=BATCH,
        temperature_drop=0.1,
        temperature_drop_every=2,
        penalty_nmse=2.0,
        energy_weight=0.05,
        ambiguity_weight=0.3,
    )


@functools.cache
def method(name):
    """Each compiled function is shared by the tests that use it."""
    made = joint(golden(name)["x"].shape[1], options_for(name))
    return made._replace(update=quick(made.update), assess=quick(made.assess))


@functools.cache
def gradient_of(name):
    return quick(jax.grad(method(name).loss, has_aux=True))


def params_of(name, prefix):
    tensors = part(golden(name), prefix)
    settings = settings_from_options(options_for(name), golden(name)["x"].shape[1])
    return tuple(from_state_dict(part(tensors, str(i), "."), s) for i, s in enumerate(settings))


def tensors_of(name, params):
    settings = settings_from_options(options_for(name), golden(name)["x"].shape[1])
    each = (to_state_dict(p, s) for p, s in zip(params, settings, strict=True))
    return {f"{i}.{k}": v for i, tensors in enumerate(each) for k, v in tensors.items()}


def noise_of(name, pick, training=True):
    """PoolNoise of all pools, ``pick`` being applied to the arrays (steps, batch, ...)."""

    def get(pool, kind):
        array = golden(name).get(f"noise/{pool}/{kind}")
        return None if array is None else jnp.asarray(pick(array))

    kinds = ("gumbel", "normal", "sparse_gumbel", "sparse_normal")
    if not training:
        kinds = ("eval_gumbel", None, "sparse_eval_gumbel", None)
    return tuple(PoolNoise(*(k and get(i, k) for k in kinds)) for i in range(len(CASES[name])))


def close(actual, expected, rtol=1e-4):
    """Within rtol of each value, or 1e-5 of the largest one (gradients cancel)."""
    scale = np.abs(expected).max()
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=rtol, atol=1e-5 * scale)


@functools.cache
def replay(name):
    """The 20 steps and five evaluations of the reference, with its draws."""
    arrays, run = golden(name), method(name)
    x = jnp.asarray(arrays["x"])
    params, zero = params_of(name, "start"), jnp.int32(0)
    state = State(zero, zero, jnp.zeros(()), params, zero_moments(params))
    infos, evaluations, coefficients = [], [], []
    for epoch in range(EPOCHS):
        order = arrays["order"][epoch].astype(int)
        for number in range(STEPS):
            rows, step = order[number * BATCH : (number + 1) * BATCH], epoch * STEPS + number
            noise = noise_of(name, lambda a, s=step, r=rows: a[s, : len(r)])
            state, info = run.update(noise, state, x[rows])
            infos.append(info)
        steps = slice(epoch * STEPS, (epoch + 1) * STEPS)
        noise = noise_of(name, lambda a, s=steps: np.concatenate(a[s])[: len(x)], False)
        evaluation = run.assess(noise, state.params, x)
        evaluations.append(evaluation)
        coefficient = schedules.next_count_weight(
            state.count_weight,
            evaluation.nmse,
            evaluation.mse,
            info.mean_energy,
            sum(CASES[name]),
            nmse_threshold=2.0,
        )
        coefficients.append(state.count_weight)
        state = state._replace(epoch=state.epoch + 1, count_weight=coefficient)
    stack = lambda rows: jax.tree.map(lambda *a: np.stack(a), *rows)  # noqa: E731
    return state, stack(infos), stack(evaluations), coefficients


every = pytest.mark.parametrize("name", CASES)


@every
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_forward_in_both_modes_is_the_references(name, mode):
    arrays, training = part(golden(name), f"forward/{mode}"), mode == "train"
    # The first pool alone.
    last = "1" if name == "sparse" else "0"
    noise = PoolNoise(
        *(
            None if v is None else jnp.asarray(v)
            for v in (
                arrays[f"gumbel{last}"],
                arrays.get(f"normal{last}"),
                arrays["gumbel0"] if name == "sparse" else None,
                arrays.get("normal0") if name == "sparse" else None,
            )
        )
    )
    temperature = 1.0 if training else 0.01
    model, params = method(name).pools[0], params_of(name, "start")[0]
    look = quick(functools.partial(pool_output, model), static_argnums=4)(
        params, jnp.asarray(golden(name)["x"][:BATCH]), noise, temperature, training
    )
    close(look.reconstruction, arrays["synthesized_pattern"])
    close(look.gates, arrays["effective_indices"])
    close(look.concentrations * look.gates, arrays["concentration"][..., 0])
    close(-look.energies, arrays["select_energy"])
    if name == "sparse":
        close(-look.channel_energies, arrays["sparsity_energy"])


@every
def test_each_loss_term_is_the_references(name):
    arrays, (_, infos, _, _) = golden(name), replay(name)
    close(infos.terms.reconstruction, arrays["train/reconstruct_error"])
    close(infos.terms.ambiguity, arrays["train/component_similarity"])
    close(infos.terms.count, arrays["train/count"])
    close(infos.terms.energy, arrays["train/energy"])
    close(infos.loss, arrays["train/loss"])


@every
@pytest.mark.parametrize("step", [0, STEPS])
def test_gradients_are_the_references(name, step):
    """Of the first step, and of one with a weight of the count."""
    arrays = golden(name)
    rows = arrays["order"][step // STEPS].astype(int)[:BATCH]
    noise = noise_of(name, lambda a: a[step])
    gradient = gradient_of(name)(
        params_of(name, f"weights{step}") if step else params_of(name, "start"),
        jnp.asarray(arrays["x"][rows]),
        noise,
        1.0,
        jnp.float32(replay(name)[3][step // STEPS]),
    )[0]
    theirs, ours = part(arrays, f"gradient{step}"), tensors_of(name, gradient)
    unread = {k for k in ours if k.endswith("component_sparsity.energy") and name != "sparse"}
    fixed = {"1.vanilla_components"} if name == "pools" else set()
    assert ours.keys() - unread - fixed == theirs.keys()
    for key, expected in theirs.items():
        close(ours[key], expected)


@every
def test_twenty_steps_of_adamw_follow_the_reference(name):
    state, _, _, _ = replay(name)
    theirs, start = part(golden(name), "end"), part(golden(name), "start")
    for key, value in tensors_of(name, state.params).items():
        if key.endswith("component_sparsity.energy") and name != "sparse":
            assert np.array_equal(theirs[key], start[key])  # no gradient: torch leaves it, too
            continue
        error, moved = (np.linalg.norm(theirs[key] - a) for a in (value, start[key]))
        assert error <= 1e-3 * moved + 1e-6, key
    assert state.step == EPOCHS * STEPS


def test_a_fixed_library_stays():
    state, _, _, _ = replay("pools")
    assert np.array_equal(state.params[1]["pool"], golden("pools")["start/1.vanilla_components"])
    assert not np.array_equal(
        state.params[0]["pool"], golden("pools")["start/0.vanilla_components"]
    )


@every
def test_streamed_scores_energy_and_count_are_the_references(name):
    arrays, (_, infos, evaluations, _) = golden(name), replay(name)
    close(evaluations.nmse, arrays["eval/nMSE"])
    close(evaluations.r2, arrays["eval/R2"])
    close(infos.mean_energy[STEPS - 1 :: STEPS], arrays["eval/mean_energy"])
    assert np.array_equal(evaluations.num_open, arrays["eval/effective_components"])


@every
def test_checkpoint_bands_are_the_references(name):
    """What upstream writes to result.csv of each band's folder."""
    arrays, (_, infos, evaluations, _) = golden(name), replay(name)
    edges = schedules.fit_levels("nMSE", 0.999, 0.005)
    records = schedules.empty_records(len(edges))
    for e in range(EPOCHS):
        found = jax.tree.map(lambda a, e=e: jnp.asarray(a[e]), evaluations)
        energy = jnp.asarray(infos.mean_energy[(e + 1) * STEPS - 1])
        new = schedules.LevelRecords(found.nmse, found.r2, energy, found.num_open)
        band = schedules.level_index(found.nmse, edges, "nMSE")
        records, _ = schedules.update_records(records, new, band, "nMSE")
    kept = {
        schedules.level_name(edge): [float(field[i]) for field in records]
        for i, edge in enumerate(edges)
        if records.count[i] >= 0
    }
    assert sorted(kept) == list(arrays["bands/name"])
    close([kept[n] for n in sorted(kept)], arrays["bands/row"])


X = jnp.asarray(np.abs(np.random.default_rng(0).normal(size=(10, 5))), jnp.float32)


@pytest.fixture(scope="module")
def tiny():
    return joint(5, TINY)


@pytest.fixture(scope="module")
def start(tiny):
    return quick(tiny.init)


@pytest.fixture(scope="module")
def epoch(tiny):
    return quick(tiny.epoch)


def test_an_epoch_is_its_steps_and_its_evaluation(tiny, start, epoch):
    key, x = jax.random.key(1), X
    state = start(jax.random.key(0))
    after, info = epoch(key, state, x)
    k_order, k_noise, k_evaluation = jax.random.split(key, 3)
    order = jax.random.permutation(k_order, len(x))
    step = quick(lambda key, state, x: tiny.update(tiny.draw(key, len(x)), state, x))
    for number, rows in enumerate((order[:4], order[4:8], order[8:])):
        state, _ = step(jax.random.fold_in(k_noise, number), state, x[rows])
    for ours, theirs in zip(
        jax.tree.leaves(after.params), jax.tree.leaves(state.params), strict=True
    ):
        close(ours, theirs)

    @quick
    def assess(key, params, x):
        return tiny.assess(tiny.draw(jax.random.fold_in(key, 0), len(x), False), params, x)

    close(info.evaluation, assess(k_evaluation, state.params, x))
    assert (after.step, after.epoch) == (3, 1)


def test_an_ensemble_of_seeds_is_its_members(tiny, start, epoch):
    seeds, x = jax.random.split(jax.random.key(2), 2), X
    states = quick(jax.vmap(tiny.init))(seeds)
    states, infos = quick(jax.vmap(tiny.epoch, (0, 0, None)))(seeds, states, x)
    for i, seed in enumerate(seeds):
        alone, info = epoch(seed, start(seed), x)
        member = jax.tree.map(lambda a, i=i: a[i], states)
        for ours, theirs in zip(
            jax.tree.leaves(member.params), jax.tree.leaves(alone.params), strict=True
        ):
            close(ours, theirs)
        close(infos.evaluation.nmse[i], info.evaluation.nmse)


def test_unmix_is_the_evaluations_forward_pass(tiny, start):
    params = start(jax.random.key(0)).params
    unmixed = quick(tiny.unmix)(params, X)
    close(unmixed.concentrations @ unmixed.components, unmixed.reconstruction)
    assert set(np.unique(unmixed.gates)) <= {0.0, 1.0}
    assert (np.asarray(unmixed.concentrations)[np.asarray(unmixed.gates) == 0] == 0).all()
    # At temperature 0.01 the threshold of 0.9999994 asks for a difference of energies of 0.143.
    noise = PoolNoise(jnp.zeros((len(X), 3, 2)))
    evaluated = quick(functools.partial(pool_output, tiny.pools[0]), static_argnums=4)
    look = evaluated(params[0], X, noise, 1.0, False)
    difference = look.energies[..., 1] - look.energies[..., 0]
    assert np.array_equal(unmixed.gates, difference > 0.01 * np.log(0.9999994 / 6e-7))


def test_pools_of_different_sizes_and_a_library_are_trained():
    library = X[:4]
    options = JointOptions(
        pool_sizes=(3, 4), learnable_pools=(True, False), batch_size=10, hidden_width_factor=None
    )
    made = joint(5, options, [None, library])
    begun = quick(made.init)(jax.random.key(0))
    state, info = quick(made.epoch)(jax.random.key(0), begun, X)
    assert np.array_equal(state.params[1]["pool"], library)
    assert not np.array_equal(state.params[0]["pool"], begun.params[0]["pool"])
    assert jnp.isfinite(info.loss)
    assert jax.eval_shape(made.unmix, state.params, X).components.shape == (7, 5)


def test_bfloat16_products_train_float32_parameters():
    options = JointOptions(pool_sizes=(3,), bfloat16=True, hidden_layers=1)
    made = joint(5, options, aggregate=mixing.fixed_stray_light())
    step = quick(lambda key: made.update(made.draw(key, len(X)), made.init(key), X))
    state, info = step(jax.random.key(0))
    assert {a.dtype for a in jax.tree.leaves(state.params)} == {jnp.dtype("float32")}
    assert jnp.isfinite(info.loss)


def test_contradictory_options_are_refused():
    with pytest.raises(ValueError, match="2 pools by pool_sizes and 1 by learnable_pools"):
        joint(5, JointOptions(pool_sizes=(3, 4), learnable_pools=(True,)))
    with pytest.raises(ValueError, match=r"library 0 has shape \(3, 4\)"):
        joint(5, TINY, [jnp.ones((3, 4))])
    with pytest.raises(ValueError, match="mixes linearly"):
        joint(5, JointOptions(sparse_components=True), aggregate=mixing.fixed_stray_light())
