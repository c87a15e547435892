import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxhsi.data.cube import open_cube
from jaxhsi.data.stream import standardised_reader
from jaxhsi.data.windows import WindowReader, read_window
from jaxhsi.sharding import compile_prediction, device_mesh, replicate
from jaxhsi.training.tile_labels import label_tiles, label_writer
from jaxhsi.upstream.dgc.algorithm import prototype_dgc, upstream_optimizer
from jaxhsi.upstream.dgc.centroids import kmeans_centroids
from jaxhsi.upstream.dgc.encoder import upstream_encoder
from jaxhsi.upstream.dgc.options import PrototypeOptions
from tests.helpers.cubes import make_cube
from tests.helpers.dgc_method import VIEWS, first_state, method, stirred
from tests.helpers.scenes import BANDS, blobs


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    """A method whose spatial layers do something, and a cube that has a hole."""
    dgc = method()
    values = blobs(2, 60)[0][:, :48].copy()
    values[30, 20] = np.nan
    cube = make_cube(tmp_path_factory.mktemp("cube"), "blobs", values)
    state = first_state(dgc)
    return dgc, state._replace(teacher_params=stirred(state.teacher_params)), cube


def whole_map(
    setting, tile: int, read: WindowReader = read_window, ahead: int = 1, devices: int = 1
) -> np.ndarray:
    dgc, state, cube = setting
    labels, mesh = np.full(cube.shape[:2], -9), device_mesh(devices)
    predict, state = compile_prediction(mesh, dgc.predict), replicate(mesh, state)
    cut = {"halo": dgc.halo, "full_rows": dgc.full_rows, "tile_size": tile}
    cut |= {"ahead": ahead, "tiles_per_call": devices}
    for part in label_tiles(predict, state, cube, **cut, read=read):
        labels[part.slices] = part.labels
    return labels


@pytest.mark.parametrize("tile", [7, 16, 33, 47])
def test_labels_do_not_depend_on_the_tiles(setting, tile):
    whole = whole_map(setting, 1000)
    assert whole[30, 20] == -1
    assert len(np.unique(whole)) > 2
    np.testing.assert_array_equal(whole_map(setting, tile), whole)


@pytest.mark.parametrize("ahead", [0, 2])
def test_labels_do_not_depend_on_what_is_read_ahead(setting, ahead):
    np.testing.assert_array_equal(whole_map(setting, 16, ahead=ahead), whole_map(setting, 16))


@pytest.mark.parametrize(("tile", "devices"), [(16, 8), (33, 3), (1000, 8)])
def test_labels_do_not_depend_on_the_devices(setting, tile, devices):
    np.testing.assert_array_equal(
        whole_map(setting, tile, devices=devices), whole_map(setting, tile)
    )


def test_a_tile_that_cannot_be_read_is_an_error_whichever_thread_reads(setting):
    def read(cube, y0, x0, height, width):
        if y0 > 0:
            raise ConnectionError("the server is gone")
        return read_window(cube, y0, x0, height, width)

    for ahead in (0, 1):
        with pytest.raises(ConnectionError, match="the server is gone"):
            whole_map(setting, 16, read, ahead)


def test_tiles_of_full_rows_hold_no_more_pixels_than_others(setting):
    _, state, cube = setting
    sizes = []

    def predict(state, x, valid):
        sizes.append(valid.size)
        return np.zeros(valid.shape, np.int32), np.ones(valid.shape, np.float32)

    for part in label_tiles(predict, state, cube, halo=0, full_rows=True, tile_size=20):
        assert part.labels.shape[1] == cube.shape[1]
    assert max(sizes) <= 20 * 20


@pytest.mark.parametrize("tile", [9, 31])
def test_upstreams_labels_do_not_depend_on_the_tiles_either(setting, tile):
    """Its encoder wraps over the ends of rows: tiles then span the full width."""
    encoder = upstream_encoder(BANDS, 4)
    options = PrototypeOptions(mean_shift_iterations=2)
    dgc = prototype_dgc(encoder, 3, 4, upstream_optimizer(), options, VIEWS)
    _, _, cube = setting
    assert dgc.full_rows
    read = standardised_reader([cube])
    state = dgc.init(jax.random.key(1))
    z = dgc.forward(state.params, jnp.asarray(read(cube, 0, 0, 20, 20)[0])[None]).embeddings
    # Random ones lie far from all pixels.
    spread = kmeans_centroids(jax.random.key(0), z.reshape(-1, 4), 3)
    case = (dgc, state._replace(params=state.params | {"centroids": spread}), cube)
    whole = whole_map(case, 1000, read)
    assert len(np.unique(whole)) > 2
    np.testing.assert_array_equal(whole_map(case, tile, read), whole)


def test_a_halo_that_is_too_small_shows(setting):
    """The test above can fail: without the halo the seams are wrong."""
    dgc, state, cube = setting
    cut = whole_map((dataclasses.replace(dgc, halo=0), state, cube), 7)
    assert (cut != whole_map(setting, 1000)).any()


def test_written_maps_are_whole_and_agree(setting, tmp_path):
    dgc, state, cube = setting
    with label_writer(tmp_path, cube, ["labelled"]) as stores:
        tiles = label_tiles(
            jax.jit(dgc.predict), state, cube, halo=dgc.halo, full_rows=False, tile_size=32
        )
        for number, part in enumerate(tiles):
            stores.write(part, number)
    plain = np.load(tmp_path / "blobs.npy")
    store = open_cube(tmp_path / "blobs.zarr")
    np.testing.assert_array_equal(store.array.read().result()[..., 0], plain)
    assert plain.dtype == np.int16
    assert store.history[-1] == "labelled"
    confidence = open_cube(tmp_path / "blobs-confidence.zarr").array.read().result()
    assert confidence[30, 20, 0] == 0
    assert (confidence[plain >= 0] > 0.3).all()
    assert not list(tmp_path.glob("*partial*"))


def test_an_interrupted_map_is_not_taken_for_whole(setting, tmp_path):
    cube = setting[2]
    with pytest.raises(KeyboardInterrupt), label_writer(tmp_path, cube, ["labelled"]):
        raise KeyboardInterrupt
    assert not (tmp_path / "blobs.npy").exists()
    assert not (tmp_path / "blobs.zarr").exists()
