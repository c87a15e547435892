"""Signs of over-merging, read without labels from a fixed set of views.

The criterion is the mutual information of the labels of two augmented views at the same points of
the scene, I(a; b) = sum p_ab log(p_ab / (p_a p_b)) in nats, over the whole probe. It falls when
clusters merge, for then the entropy of the labels falls, and when labels turn into noise, for then
the views agree no more. At most it is the entropy of the usage, and log k.

Source: the criterion is that of Ji, Henriques & Vedaldi 2019, "Invariant Information Clustering",
used here to choose a state and not to train one.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Integer, Key

from jaxhsi import metrics
from jaxhsi.dgc.algorithm import DGC, Batch
from jaxhsi.dgc.views import ViewOptions, augment, cut_pairs, matched
from jaxhsi.normalisation import BandStats


class Probe(NamedTuple):
    """Views of windows, drawn once for a whole run.

    Attributes:
        crops: two augmented views of each window, then the first of them as it is in the cube.
        valid: pixels of the two views that are valid; those of the third are the first's.
        maps: affine maps from crop to window, of the two views.
    """

    crops: Float[Array, "n 3 h w c"]
    valid: Bool[Array, "n 2 h w"]
    maps: Float[Array, "n 2 2 3"]


class Seen(NamedTuple):
    """What a state makes of a probe; all that has to leave the devices.

    Attributes:
        pairs: matched points by their label in the first view and in the second.
        labels: of the clean views, -1 where not valid.
        nearest: distance of each centre to the nearest other one; None where the method has no
            embedding, or a single cluster.
        variance: of the embedding of the clean views, summed over its dimensions; None likewise.
    """

    pairs: Int[Array, "k k"]
    labels: Int[Array, "n h w"]
    nearest: Float[Array, " k"] | None
    variance: Float[Array, ""] | None


class Look(NamedTuple):
    """Figures of one state; None where there is nothing to tell.

    Attributes:
        mutual_information: the criterion, in nats, 0..log k.
        agreement: share of matched points that have the same label in both views, 0..1.
        effective_clusters: exp of the entropy of the usage over the clean views, 1..k.
        nmi: of the clean labels against those of the last look, 0..1.
        vi: variation of information between the same, in nats, 0..2 log k.
        nearest_centre: distance of the two closest centres.
        mean_nearest_centre: mean over the centres of the distance to the nearest other one.
        variance: of the embedding.
    """

    mutual_information: float
    agreement: float | None
    effective_clusters: float
    nmi: float | None
    vi: float | None
    nearest_centre: float | None
    mean_nearest_centre: float | None
    variance: float | None


def draw_probe(key: Key[Array, ""], batch: Batch, stats: BandStats, options: ViewOptions) -> Probe:
    """Cut and augment a pair of views of each window, as a training step does.

    Args:
        key: for the draws.
        batch: windows of all training cubes.
        stats: of the bands, for the augmentation.
        options: how pairs of views are drawn and augmented.
    """

    def draw(drawn: tuple) -> Probe:
        # One window after the other compiles three times faster than all at once, and is run once.
        keys, window, valid = drawn
        [maps], [crops], [inside] = cut_pairs(keys[:1], window[None], valid[None], options)
        changed = jax.lax.map(lambda view: augment(*view, stats, options), (keys[1:], crops))
        changed = jnp.where(inside[..., None], changed, 0)
        return Probe(jnp.concatenate([changed, crops[:1]]), inside, maps)

    keys = jax.random.split(key, (len(batch.window), 3))
    return jax.lax.map(draw, (keys, batch.window, batch.valid))


def look(method: DGC, clusters: int, state: Any, probe: Probe) -> Seen:
    """Label the views and count matched points; to be jitted, it changes no state.

    Args:
        method: whose state it is.
        clusters: number of clusters k.
        state: of the method.
        probe: from :func:`draw_probe`.
    """

    def one(view: Array) -> tuple:
        # One view after the other: the method is compiled once, for a third of the memory.
        x = jax.lax.dynamic_index_in_dim(probe.crops, view, axis=1, keepdims=False)
        valid = jax.lax.dynamic_index_in_dim(probe.valid, view % 2, axis=1, keepdims=False)
        labels, _ = method.predict(state, x, valid)
        if method.embed is None:
            return labels, None, None
        z, centres = method.embed(state, x, valid)
        return labels, nearest_other(centres), total_variance(z, valid)

    labels, nearest, variance = jax.lax.map(one, jnp.arange(3))
    return Seen(
        count_pairs(labels[:2].swapaxes(0, 1), probe.valid, probe.maps, clusters),
        labels[2],
        None if nearest is None or clusters < 2 else nearest[2],
        None if variance is None else variance[2],
    )


def count_pairs(
    labels: Int[Array, "n 2 h w"],
    valid: Bool[Array, "n 2 h w"],
    maps: Float[Array, "n 2 2 3"],
    clusters: int,
) -> Int[Array, "k k"]:
    """Count the points that both views show by their two labels, on the grids of both views.

    Between pixels the other view's label is the one with the largest bilinear weight.
    """
    votes = jax.nn.one_hot(labels, clusters)
    seen, both = jax.vmap(matched)(maps, votes, valid)
    seen = seen.argmax(-1)
    mine_first = jnp.arange(2)[:, None, None] == 0
    first, second = jnp.where(mine_first, labels, seen), jnp.where(mine_first, seen, labels)
    # Points that do not count go to a row that is cut off.
    first = jnp.where(both, first, clusters)
    table = jnp.zeros((clusters + 1, clusters), jnp.int32)
    return table.at[first.reshape(-1), second.reshape(-1)].add(1)[:clusters]


def nearest_other(centres: Float[Array, "k d"]) -> Float[Array, " k"]:
    """Euclidean distance of each centre to the nearest other one, inf where there is none."""
    apart = jnp.square(centres[:, None] - centres).sum(-1)
    return jnp.sqrt(jnp.where(jnp.eye(len(centres), dtype=bool), jnp.inf, apart).min(1))


def total_variance(z: Float[Array, "*n d"], valid: Bool[Array, "*n"]) -> Float[Array, ""]:
    """Mean squared distance of embeddings to their mean, over the valid pixels."""
    weight = valid[..., None] / jnp.maximum(valid.sum(), 1)
    axes = tuple(range(valid.ndim))
    mean = (weight * z).sum(axes)
    return (weight * jnp.square(z - mean)).sum()


def describe(seen: Seen, before: Integer[np.ndarray, "n h w"] | None) -> Look:
    """Figures of a look, on the host.

    Args:
        seen: from :func:`look`, moved to the host.
        before: clean labels at the last look, or None at the first.
    """
    pairs, clusters = np.asarray(seen.pairs, np.int64), len(seen.pairs)
    usage = np.bincount(seen.labels[seen.labels >= 0], minlength=clusters)
    change = None if before is None else metrics.confusion(seen.labels, before, clusters, clusters)
    return Look(
        mutual_information=max(metrics.mutual_information(pairs), 0.0),
        agreement=float(np.trace(pairs) / pairs.sum()) if pairs.any() else None,
        effective_clusters=float(np.exp(metrics.entropy(usage))),
        nmi=None if change is None else metrics.nmi(change),
        vi=None if change is None else metrics.variation_of_information(change),
        nearest_centre=None if seen.nearest is None else float(np.min(seen.nearest)),
        mean_nearest_centre=None if seen.nearest is None else float(np.mean(seen.nearest)),
        variance=None if seen.variance is None else float(seen.variance),
    )
