"""Deep Global Clustering as ``init`` and ``step``: a student, its slow teacher, a mixture.

The clusters are those of a mixture fitted in closed form (`jaxhsi.dgc.gaussian_mixture`). What it says of a
pixel is weighed against what the pixel's neighbours say (`jaxhsi.dgc.spatial_prior`), as far as they are
independent witnesses. A student sees augmented views and is asked to tell, at every pixel, what
the two say of the clean pixel and what the teacher says of the same scene point in the *other*
view. Only the mixture's own posterior ever moves the clusters, so the student cannot talk itself
into merging them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Key

from jaxhsi.dgc import gaussian_mixture as mixtures
from jaxhsi.dgc.gaussian_mixture import Geometry, Mixture
from jaxhsi.dgc.losses import cross_entropy, masked_mean, mean_usage
from jaxhsi.dgc.merge_tree import Relations, relations, sample_relations
from jaxhsi.dgc.networks import Encoder
from jaxhsi.dgc.pca_embedding import Stem, embed, fit_stem
from jaxhsi.dgc.spatial_prior import (
    Residuals,
    fresh_context,
    independence,
    log_prior,
    no_residuals,
    residuals,
    surprise,
)
from jaxhsi.dgc.views import ViewOptions, augment, cut_pairs, matched
from jaxhsi.functional_module import Params
from jaxhsi.metrics import ACTIVE_SHARE
from jaxhsi.normalisation import Normalisation

MOST_DIMENSIONS = 8  # of an embedding that is not asked for
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
        params: of the student: ``encoder`` and ``context``.
        teacher: slow mean of ``params``; it predicts.
        optimizer: state of optax.
        stem: closed-form embedding, frozen.
        mixture: global dictionary of clusters.
        usage: running share of the pixels that the teacher gives each cluster.
        residuals: running means of how the residuals of neighbours go together.
        relations: running means of pairs of clusters in what the teacher says, for
            :func:`jaxhsi.dgc.merge_tree.merge_tree`.
    """

    step: Int[Array, ""]
    params: Params
    teacher: Params
    optimizer: Any
    stem: Stem
    mixture: Mixture
    usage: Float[Array, " k"]
    residuals: Residuals
    relations: Relations


class Info(NamedTuple):
    """Diagnostics of one step; nothing in it is needed to go on.

    Attributes:
        loss: what was minimised.
        anchor: cross-entropy of the student against mixture and neighbours, in nats.
        consistency: cross-entropy against the teacher in the other view, in nats.
        surprise: of the pixels under the priors of their neighbourhoods, in nats.
        independence: of the neighbours, see :func:`jaxhsi.dgc.spatial_prior.independence`.
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
    surprise: Float[Array, ""]
    independence: Float[Array, ""]
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
        dim: d of the embedding; if not given as many as there are clusters, up to 8. Clusters of
            one covariance differ in k - 1 directions; more of them add noise to their borders.
        consistency: weight a of the other view against 1 - a for the mixture. At 0.5 the
            student drifts from the evidence over a thousand steps; at 0.1 it does not.
        neighbours: how many pixels away the context reaches; 0 leaves it out.
        teacher_rate: how fast the teacher follows the student.
        dictionary_rate: how fast the clusters follow the data.
        starts: K-means++ starts of the mixture; the likeliest is kept. Among 32 it was missed by
            far on two seeds in ten (SalinasA, 8 clusters).
    """

    normalisations: tuple[Normalisation, ...] = ("snv", "band")
    dim: int | None = None
    consistency: float = 0.1
    neighbours: int = 2
    teacher_rate: float = 0.02
    dictionary_rate: float = 0.01
    starts: int = 64

    def dimensions(self, clusters: int, bands: int) -> int:
        """Size of the embedding for so many clusters and bands."""
        return min(self.dim or min(clusters, MOST_DIMENSIONS), bands)


class _ClosedForm(NamedTuple):
    """Spectra in stem and mixture: embedding, whitened embedding, logits of the mixture."""

    v: Float[Array, "n h w d"]
    z: Float[Array, "n h w d"]
    evidence: Float[Array, "n h w k"]


class _Targets(NamedTuple):
    """What the student is asked to say about its views, and where; all without gradient."""

    anchor: Float[Array, "n h w k"]
    teacher: Float[Array, "n h w k"]
    seen: Float[Array, "n h w k"]
    valid: Bool[Array, "n h w"]
    matched: Bool[Array, "n h w"]


class _Still(NamedTuple):
    """Windows as they are, looked at pixel by pixel."""

    evidence: Float[Array, "b h w k"]
    valid: Bool[Array, "b h w"]


def teacher_student(
    encoder: Encoder,
    optimizer: optax.GradientTransformation,
    clusters: int,
    options: Options,
    view_options: ViewOptions,
) -> DGC:
    """The default method; see the module's docstring.

    Args:
        encoder: of the form of :func:`jaxhsi.dgc.networks.patch_encoder`.
        optimizer: for the student, e.g. ``optax.chain(clip_by_global_norm(1), adamw(...))``.
        clusters: number of clusters k.
        options: of the method.
        view_options: how pairs of views are drawn and augmented.
    """

    def init(key: Key[Array, ""], spectra: Float[Array, "n c"]) -> State:
        k_mixture, k_encoder = jax.random.split(key)
        dim = options.dimensions(clusters, spectra.shape[1])
        stem = fit_stem(spectra, options.normalisations, dim)
        v = jax.jit(embed, static_argnums=1)(stem, options.normalisations, spectra)
        mixture = mixtures.fit_mixture(k_mixture, v, clusters, options.starts)
        params = {"encoder": encoder.init(k_encoder), "context": fresh_context(options.neighbours)}
        return State(
            step=jnp.zeros((), jnp.int32),
            params=params,
            teacher=jax.tree.map(jnp.copy, params),  # donated buffers may not be shared
            optimizer=optimizer.init(params),
            stem=stem,
            mixture=mixture,
            usage=jnp.copy(mixture.share),
            residuals=no_residuals(),
            relations=sample_relations(jax.jit(mixtures.posterior)(v, mixture)),
        )

    def closed_form(state: State, shape: Geometry, x: Array) -> _ClosedForm:
        v = embed(state.stem, options.normalisations, x)
        z = v @ shape.whitening
        return _ClosedForm(v, z, mixtures.logits(z, shape.centres))

    def encode(params: Params, state: State, x: Array, known: _ClosedForm, valid: Array) -> Array:
        """The encoder's embedding with given parameters."""
        z = known.z * valid[..., None]
        return encoder.apply(params["encoder"], x, z, valid, state.stem.stats)

    def heard(params: Params, state: State, known: _ClosedForm, valid: Array) -> Array:
        """What the neighbours add to the logits."""
        around = log_prior(params["context"], jax.nn.softmax(known.evidence), valid)
        # The context learns from pixels that it does not see, never from its own answers.
        return lax.stop_gradient(independence(state.residuals) * around)

    def logits(params: Params, state: State, shape: Geometry, x: Array, valid: Array) -> Array:
        """What the encoder says of pixels, and their neighbours, with given parameters."""
        known = closed_form(state, shape, x)
        z = encode(params, state, x, known, valid)
        return mixtures.logits(z, shape.centres) + heard(params, state, known, valid)

    def look(state: State, shape: Geometry, x: Array, valid: Array, views: Array) -> tuple:
        """What is to be said of clean views (2 b of them), and the new statistics."""
        known = closed_form(state, shape, x)
        v, posterior = known.v, jax.nn.softmax(known.evidence)
        around = heard(state.teacher, state, known, valid)
        z = encode(state.teacher, state, x, known, valid)
        anchor = jax.nn.softmax(known.evidence + around)
        teacher = jax.nn.softmax(mixtures.logits(z, shape.centres) + around)
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
            anchor, teacher, seen.reshape(teacher.shape), valid, both.reshape(valid.shape)
        )
        return targets, statistics

    def loss(
        params: Params, state: State, shape: Geometry, x: Array, targets: _Targets, still: _Still
    ) -> tuple:
        log_p = jax.nn.log_softmax(logits(params, state, shape, x, targets.valid))
        anchor = cross_entropy(targets.anchor, log_p, targets.valid)
        consistency = cross_entropy(targets.seen, log_p, targets.matched)
        alike = log_p.argmax(-1) == targets.seen.argmax(-1)
        agreement = masked_mean(alike.astype(jnp.float32), targets.matched)
        around = log_prior(params["context"], jax.nn.softmax(still.evidence), still.valid)
        unseen = surprise(around, still.evidence, still.valid)
        total = (1 - options.consistency) * anchor + options.consistency * consistency
        return total + unseen, (anchor, consistency, unseen, agreement)

    def look_still(state: State, shape: Geometry, batch: Batch) -> tuple[_Still, Residuals]:
        """The middle of the windows as it is: pixels of turned views share their noise."""
        first = (batch.window.shape[1] - view_options.crop) // 2
        middle = slice(first, first + view_options.crop)
        valid = batch.valid[:, middle, middle]
        known = closed_form(state, shape, batch.window[:, middle, middle])
        found = residuals(known.z, jax.nn.softmax(known.evidence), shape.centres, valid)
        return _Still(known.evidence, valid), found

    def step(key: Key[Array, ""], state: State, batch: Batch) -> tuple[State, Info]:
        keys = jax.random.split(key, (batch.window.shape[0], 3))
        views, clean, valid = cut_pairs(keys[:, 0], batch.window, batch.valid, view_options)
        clean, valid = clean.reshape(-1, *clean.shape[2:]), valid.reshape(-1, *valid.shape[2:])
        shape = mixtures.geometry(state.mixture)
        targets, statistics = look(state, shape, clean, valid, views)
        still, found = look_still(state, shape, batch)
        seen = jax.vmap(augment, in_axes=(0, 0, None, None))(
            keys[:, 1:].reshape(-1), clean, state.stem.stats, view_options
        )
        (total, terms), gradient = jax.value_and_grad(loss, has_aux=True)(
            state.params, state, shape, seen, targets, still
        )
        updates, optimizer_state = optimizer.update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        anchor, consistency, unseen, agreement = terms
        usage = _follow(state.usage, mean_usage(targets.teacher, valid), USAGE_RATE, valid)
        info = Info(
            loss=total,
            anchor=anchor,
            consistency=consistency,
            surprise=unseen,
            independence=independence(state.residuals),
            agreement=agreement,
            overlap=targets.matched.mean(),
            valid=valid.mean(),
            usage=usage,
            active=(usage > ACTIVE_SHARE).sum(),
            gradient_norm=optax.tree.norm(gradient),
        )
        state = State(
            step=state.step + 1,
            params=params,
            teacher=optax.incremental_update(params, state.teacher, options.teacher_rate),
            optimizer=optimizer_state,
            stem=state.stem,
            mixture=_follow(state.mixture, statistics, options.dictionary_rate, valid),
            usage=usage,
            residuals=_follow(state.residuals, found, USAGE_RATE, still.valid),
            relations=_follow(
                state.relations, relations(targets.teacher, valid), USAGE_RATE, valid
            ),
        )
        return state, info

    def predict(
        state: State, x: Float[Array, "b h w c"], valid: Bool[Array, "b h w"]
    ) -> tuple[Int[Array, "b h w"], Float[Array, "b h w"]]:
        shape = mixtures.geometry(state.mixture)
        p = jax.nn.softmax(logits(state.teacher, state, shape, x, valid))
        return jnp.where(valid, p.argmax(-1), -1).astype(jnp.int32), jnp.where(valid, p.max(-1), 0)

    def seen_by_teacher(state: State, x: Array, valid: Array) -> tuple[Array, Array]:
        """Whitened embeddings, and the centres that they are compared with."""
        shape = mixtures.geometry(state.mixture)
        return encode(state.teacher, state, x, closed_form(state, shape, x), valid), shape.centres

    halo = max(encoder.halo, options.neighbours)
    return DGC(init, step, predict, halo, encoder.full_rows, seen_by_teacher)


def _follow(slow: Any, fast: Any, rate: float, valid: Bool[Array, "..."]) -> Any:
    """Moving average of statistics; a batch without any valid pixel leaves them as they are."""
    rate = jnp.where(valid.any(), rate, 0.0)
    return optax.incremental_update(fast, slow, rate)
