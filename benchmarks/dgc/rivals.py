"""Other ways to segment a cube without labels, each told the number of clusters.

All see the same spectra as the default method: MiniBatchKMeans and a Gaussian mixture on 16
principal components of normalised spectra; SLIC superpixels (Achanta et al. 2012), whose mean
spectra are clustered by K-means; the communities of a graph in which a pixel is tied to its
neighbours in the image and to those most like it (Leiden; Traag, Waltman & van Eck 2019), with the
resolution that gives the number asked for.
"""

from collections.abc import Callable, Iterator

import igraph
import jax.numpy as jnp
import leidenalg
import numpy as np
from skimage.segmentation import slic
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors

from jaxhsi import metrics
from jaxhsi.config.dgc import DGCConfig
from jaxhsi.data.spectra_sample import sample_spectra
from jaxhsi.data.tiles import Tile
from jaxhsi.normalisation import Normalisation, band_stats, normalise
from jaxhsi.workflows.dgc_inputs import DGCInputs

COMPONENTS = 16
KMEANS = ("none", "band", "l2", "log")  # normalisations
SUPERPIXELS = 600  # of an image of 256 x 256 pixels, fewer in a smaller one
MOST_NODES = 12_000  # of a graph
TIES = 10  # to the pixels most like it

Image = np.ndarray  # (h, w, m), principal components
Label = Callable[[Image], np.ndarray]
Reduce = Callable[[np.ndarray], np.ndarray]  # spectra (..., c) to principal components (..., m)


def rivals(config: DGCConfig, task: DGCInputs) -> Iterator[tuple[str, dict]]:
    """Name and scores of each rival that the size of the cubes allows."""
    spectra = sample_spectra(
        task.train_cubes, config.stream.sample_size, config.seed, read_window_fn=task.window_reader
    ).spectra
    reducers = {kind: _reducer(kind, spectra, config.seed) for kind in KMEANS}

    def scored(label: Label, kind: Normalisation) -> dict:
        return _scores(config, task, label, reducers[kind])

    for kind, reduce in reducers.items():
        model = MiniBatchKMeans(config.num_clusters, n_init=3, random_state=config.seed)
        yield f"k-means, {kind}", scored(_pixels(model.fit(reduce(spectra))), kind)
    model = GaussianMixture(config.num_clusters, n_init=2, random_state=config.seed)
    yield "Gaussian mixture", scored(_pixels(model.fit(reducers["band"](spectra))), "band")
    for kind in ("band", "l2"):
        yield f"SLIC + k-means, {kind}", scored(_superpixels(config), kind)
    if len(task.label_cubes) == 1 and np.prod(task.label_cubes[0].shape[:2]) <= MOST_NODES:
        yield "Leiden, spatial graph", scored(_communities(config), "band")


def _reducer(kind: Normalisation, spectra: np.ndarray, seed: int) -> Reduce:
    """Spectra to principal components, fitted to a sample over all training cubes."""
    stats = band_stats(jnp.asarray(spectra))

    def flat(x: np.ndarray) -> np.ndarray:
        return np.asarray(normalise(kind, jnp.asarray(x.reshape(-1, x.shape[-1])), stats))

    pca = PCA(COMPONENTS, random_state=seed).fit(flat(spectra))

    def reduce(x: np.ndarray) -> np.ndarray:
        return pca.transform(flat(x)).reshape(*x.shape[:-1], COMPONENTS)

    return reduce


def _scores(config: DGCConfig, task: DGCInputs, label: Label, reduce: Reduce) -> dict:
    counts = np.zeros((config.num_clusters, len(task.class_names)), np.int64)
    for cube in task.label_cubes:
        whole = Tile(0, 0, *cube.shape[:2])
        values, _ = task.window_reader(cube, *whole)
        truth = task.ground_truth(cube).read(*whole.slices)
        counts += metrics.confusion_matrix(label(reduce(values)).astype(int), truth, *counts.shape)
    return metrics.clustering_scores(counts)


def _pixels(model: MiniBatchKMeans | GaussianMixture) -> Label:
    """Of a fitted model, pixel by pixel."""
    return lambda image: model.predict(image.reshape(-1, COMPONENTS)).reshape(image.shape[:2])


def _superpixels(config: DGCConfig) -> Label:
    """Of each image by itself: K-means over few superpixels has no sample to be fitted to."""

    def label(image: Image) -> np.ndarray:
        scaled = image / image.std()
        count = max(50, SUPERPIXELS * image.shape[0] * image.shape[1] // 256**2)
        parts = slic(scaled, count, compactness=0.1, channel_axis=-1, start_label=0)
        flat, size = parts.ravel(), np.bincount(parts.ravel())
        means = np.stack([np.bincount(flat, band.ravel()) for band in np.moveaxis(image, -1, 0)], 1)
        means = means / size[:, None]
        model = KMeans(config.num_clusters, n_init=10, random_state=config.seed)
        return model.fit(means, sample_weight=size).labels_[parts]

    return label


def _communities(config: DGCConfig) -> Label:
    def label(image: Image) -> np.ndarray:
        graph, weights = _graph(image)
        low, high, best = 1e-3, 10.0, None
        for _ in range(20):  # bisection of the resolution, on a logarithmic scale
            middle = float(np.sqrt(low * high))
            found = leidenalg.find_partition(
                graph,
                leidenalg.RBConfigurationVertexPartition,
                weights=weights,
                resolution_parameter=middle,
                seed=config.seed,
            )
            off = abs(len(found) - config.num_clusters)
            if best is None or off < best[0]:
                best = off, np.array(found.membership)
            low, high = (middle, high) if len(found) < config.num_clusters else (low, middle)
            if not off:
                break
        # More communities than clusters are asked for cannot be counted: the last ones go together.
        return np.minimum(best[1], config.num_clusters - 1).reshape(image.shape[:2])

    return label


def _graph(image: Image) -> tuple[igraph.Graph, np.ndarray]:
    height, width, _ = image.shape
    flat, number = image.reshape(height * width, -1), np.arange(height * width)
    grid = number.reshape(height, width)
    across = np.stack([grid[:, :-1].ravel(), grid[:, 1:].ravel()], 1)
    down = np.stack([grid[:-1].ravel(), grid[1:].ravel()], 1)
    _, like = NearestNeighbors(n_neighbors=TIES + 1).fit(flat).kneighbors(flat)
    alike = np.stack([np.repeat(number, TIES), like[:, 1:].ravel()], 1)
    edges = np.concatenate([across, down, alike])
    distance = np.linalg.norm(flat[edges[:, 0]] - flat[edges[:, 1]], axis=1)
    return igraph.Graph(len(number), edges), np.exp(-((distance / np.median(distance)) ** 2))
