"""Deep Global Clustering as ``init`` and ``step``: a student, its slow teacher, a mixture.

The clusters are those of a mixture fitted in closed form (`jaxhsi.dgc.mixture`). A student sees
augmented views and is asked to tell, at every pixel, what the mixture says of the clean pixel
and what the teacher says of the same scene point in the *other* view. Only the mixture's own
posterior ever moves the clusters, so the student cannot talk itself into merging them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key

from jaxhsi.dgc import mixture as mixtures
from jaxhsi.dgc.encoder import Encoder
from jaxhsi.dgc.granularity import Relations, relations, sample_relations
from jaxhsi.dgc.losses import cross_entropy, masked_mean, mean_usage
from jaxhsi.dgc.mixture import Geometry, Mixture
from jaxhsi.dgc.stem import Stem, embed, fit_stem
from jaxhsi.dgc.views import ViewOptions, augment, cut_pairs, matched
from jaxhsi.functional import Params
from jaxhsi.metrics import ACTIVE_SHARE
from jaxhsi.spectral import Normalisation

USAGE_RATE = 0.02  # of the running mean of cluster usage: about the last fifty batches


class Batch(NamedTuple):
    """Windows of cubes.

    Attributes:
        window: raw spectra; zero where not valid.
        valid: pixels whose bands are all finite and not the no-data value.
    """

    window: Float[Array, "b h w c"]
    valid: Bool[Array, "b h w"]


class DGC(NamedTuple):
    """A clustering method as pure functions; every method of this package has this form.

    Attributes:
        init: ``init(key, spectra (n, c)) -> state`` from spectra drawn over the whole data set.
        step: ``step(key, state, batch) -> (state, info)``; jit it and donate the state.
        predict: ``predict(state, x (b, h, w, c), valid (b, h, w)) -> (labels, confidence)``.
        halo: margin in pixels that a tile needs to be labelled like the whole image.
        full_rows: tiles must span the full width of the cube.
        embed: ``embed(state, x, valid) -> (z (b, h, w, d), centres (k, d))``, where labels come
            from distances between the two; None where they do not. It is watched, no more.
    """

    init: Callable[..., Any]
    step: Callable[..., tuple[Any, Any]]
    predict: Callable[..., tuple[Int[Array, "b h w"], Float[Array, "b h w"]]]
    halo: int
    full_rows: bool
    embed: Callable[..., tuple[Float[Array, "b h w d"], Float[Array, "k d"]]] | None = None


class State(NamedTuple):
    """All that a checkpoint needs.

    Attributes:
        step: number of steps taken.
        params: of the student.
        teacher: slow mean of ``params``; it predicts.
        optimizer: state of optax.
        stem: closed-form embedding, frozen.
        mixture: global dictionary of clusters.
        usage: running share of the pixels that the teacher gives each cluster.
        relations: running means of pairs of clusters in what the teacher says, for
            :func:`jaxhsi.dgc.granularity.merge_tree`.
    """

    step: Int[Array, ""]
    params: Params
    teacher: Params
    optimizer: Any
    stem: Stem
    mixture: Mixture
    usage: Float[Array, " k"]
    relations: Relations


class Info(NamedTuple):
    """Diagnostics of one step; nothing in it is needed to go on.

    Attributes:
        loss: what was minimised.
        anchor: cross-entropy of the student against the mixture, in nats.
        consistency: cross-entropy against the teacher in the other view, in nats.
        agreement: share of matched pixels that student and teacher label alike.
        overlap: share of the crops' pixels that have a match in the other view.
        valid: share of the crops' pixels that are valid.
        usage: see :class:`State`.
        active: clusters with a running share above :data:`jaxhsi.metrics.ACTIVE_SHARE`.
        gradient_norm: before clipping.
    """

    loss: Float[Array, ""]
    anchor: Float[Array, ""]
    consistency: Float[Array, ""]
    agreement: Float[Array, ""]
    overlap: Float[Array, ""]
    valid: Float[Array, ""]
    usage: Float[Array, " k"]
    active: Int[Array, ""]
    gradient_norm: Float[Array, ""]


@dataclass(frozen=True)
class Options:
    """What a user may set.

    Attributes:
        normalisations: of the spectra, for the stem and the first layer.
        dim: d of the embedding.
        consistency: weight a of the other view against 1 - a for the mixture. At 0.5 the
            student drifts from the evidence over a thousand steps; at 0.1 it does not.
        teacher_rate: how fast the teacher follows the student.
        dictionary_rate: how fast the clusters follow the data.
        starts: K-means++ starts of the mixture; the likeliest is kept.
    """

    normalisations: tuple[Normalisation, ...] = ("snv", "band")
    dim: int = 6
    consistency: float = 0.1
    teacher_rate: float = 0.02
    dictionary_rate: float = 0.01
    starts: int = 8


class _Targets(NamedTuple):
    """What the student is asked to say about its views, and where; all without gradient."""

    posterior: Float[Array, "n h w k"]
    teacher: Float[Array, "n h w k"]
    seen: Float[Array, "n h w k"]
    valid: Bool[Array, "n h w"]
    matched: Bool[Array, "n h w"]


def teacher_student(
    encoder: Encoder,
    optimizer: optax.GradientTransformation,
    clusters: int,
    options: Options,
    view_options: ViewOptions,
) -> DGC:
    """The default method; see the module's docstring.

    Args:
        encoder: of the form of :func:`jaxhsi.dgc.encoder.patch_encoder`.
        optimizer: for the student, e.g. ``optax.chain(clip_by_global_norm(1), adamw(...))``.
        clusters: number of clusters k.
        options: of the method.
        view_options: how pairs of views are drawn and augmented.
    """

    def init(key: Key[Array, ""], spectra: Float[Array, "n c"]) -> State:
        k_mixture, k_encoder = jax.random.split(key)
        stem = fit_stem(spectra, options.normalisations, min(options.dim, spectra.shape[1]))
        v = jax.jit(embed, static_argnums=1)(stem, options.normalisations, spectra)
        mixture = mixtures.fit_mixture(k_mixture, v, clusters, options.starts)
        params = encoder.init(k_encoder)
        teacher = jax.tree.map(jnp.copy, params)  # donated buffers may not be shared
        usage = jnp.copy(mixture.share)
        related = sample_relations(jax.jit(mixtures.posterior)(v, mixture))
        start = jnp.zeros((), jnp.int32)
        return State(start, params, teacher, optimizer.init(params), stem, mixture, usage, related)

    def logits(params: Params, state: State, shape: Geometry, x: Array, v: Array, valid: Array):
        """Of the encoder with given parameters for spectra x and their closed-form embedding v."""
        start = v @ shape.whitening * valid[..., None]
        z = encoder.apply(params, x, start, valid, state.stem.stats)
        return mixtures.logits(z, shape.centres)

    def look(state: State, shape: Geometry, x: Array, valid: Array, views: Array) -> tuple:
        """What mixture and teacher say of clean views (2 b of them), and the new statistics."""
        v = embed(state.stem, options.normalisations, x)
        posterior = jax.nn.softmax(mixtures.logits(v @ shape.whitening, shape.centres))
        teacher = jax.nn.softmax(logits(state.teacher, state, shape, x, v, valid))
        pairs = (len(views), 2)
        seen, both = jax.vmap(matched)(
            views,
            teacher.reshape(*pairs, *teacher.shape[1:]),
            valid.reshape(*pairs, *valid.shape[1:]),
        )
        statistics = mixtures.statistics(
            v.reshape(-1, v.shape[-1]), posterior.reshape(-1, clusters), valid.reshape(-1)
        )
        targets = _Targets(
            posterior, teacher, seen.reshape(teacher.shape), valid, both.reshape(valid.shape)
        )
        return targets, statistics

    def loss(params: Params, state: State, shape: Geometry, x: Array, targets: _Targets) -> tuple:
        v = embed(state.stem, options.normalisations, x)
        log_p = jax.nn.log_softmax(logits(params, state, shape, x, v, targets.valid))
        anchor = cross_entropy(targets.posterior, log_p, targets.valid)
        consistency = cross_entropy(targets.seen, log_p, targets.matched)
        alike = log_p.argmax(-1) == targets.seen.argmax(-1)
        agreement = masked_mean(alike.astype(jnp.float32), targets.matched)
        total = (1 - options.consistency) * anchor + options.consistency * consistency
        return total, (anchor, consistency, agreement)

    def step(key: Key[Array, ""], state: State, batch: Batch) -> tuple[State, Info]:
        keys = jax.random.split(key, (batch.window.shape[0], 3))
        views, clean, valid = cut_pairs(keys[:, 0], batch.window, batch.valid, view_options)
        clean, valid = clean.reshape(-1, *clean.shape[2:]), valid.reshape(-1, *valid.shape[2:])
        shape = mixtures.geometry(state.mixture)
        targets, statistics = look(state, shape, clean, valid, views)
        seen = jax.vmap(augment, in_axes=(0, 0, None, None))(
            keys[:, 1:].reshape(-1), clean, state.stem.stats, view_options
        )
        (total, terms), gradient = jax.value_and_grad(loss, has_aux=True)(
            state.params, state, shape, seen, targets
        )
        updates, optimizer_state = optimizer.update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        usage = _follow(state.usage, mean_usage(targets.teacher, valid), USAGE_RATE, valid)
        info = Info(
            total,
            *terms,
            overlap=targets.matched.mean(),
            valid=valid.mean(),
            usage=usage,
            active=(usage > ACTIVE_SHARE).sum(),
            gradient_norm=optax.tree.norm(gradient),
        )
        state = State(
            state.step + 1,
            params,
            optax.incremental_update(params, state.teacher, options.teacher_rate),
            optimizer_state,
            state.stem,
            _follow(state.mixture, statistics, options.dictionary_rate, valid),
            usage,
            _follow(state.relations, relations(targets.teacher, valid), USAGE_RATE, valid),
        )
        return state, info

    def predict(
        state: State, x: Float[Array, "b h w c"], valid: Bool[Array, "b h w"]
    ) -> tuple[Int[Array, "b h w"], Float[Array, "b h w"]]:
        shape = mixtures.geometry(state.mixture)
        v = embed(state.stem, options.normalisations, x)
        p = jax.nn.softmax(logits(state.teacher, state, shape, x, v, valid))
        return jnp.where(valid, p.argmax(-1), -1).astype(jnp.int32), jnp.where(valid, p.max(-1), 0)

    return DGC(init, step, predict, encoder.halo, encoder.full_rows)


def _follow(slow: Any, fast: Any, rate: float, valid: Bool[Array, "..."]) -> Any:
    """Moving average of statistics; a batch without any valid pixel leaves them as they are."""
    rate = jnp.where(valid.any(), rate, 0.0)
    return optax.incremental_update(fast, slow, rate)
