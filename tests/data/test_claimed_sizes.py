"""Files that claim what they do not hold, or hold more than a machine has memory for."""

import io
import json
import os
import zipfile

import numpy as np
import pytest

from jaxhsi.data.cube import open_cube
from jaxhsi.data.formats import npz
from jaxhsi.data.ingest.preview import preview_ingest
from jaxhsi.data.spectra_sample import sample_spectra
from jaxhsi.data.tables.table import open_table
from jaxhsi.data.tables.table_options import TableOptions
from jaxhsi.data.tiles import count_tiles, numbered_tile, split_into_tiles


def header(shape: tuple[int, ...], dtype: str = "<f4") -> bytes:
    stream = io.BytesIO()
    described = {"shape": shape, "fortran_order": False, "descr": dtype}
    np.lib.format.write_array_header_1_0(stream, described)
    return stream.getvalue()


def test_arrays_that_are_not_used_are_not_unpacked(tmp_path, monkeypatch):
    spectra = np.random.default_rng(0).random((6, 9), np.float32)
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, X=spectra, unused=np.zeros(10**7, np.uint8))
    unpacked = []
    read_array = np.lib.format.read_array

    def recorded(file, **options):
        array = read_array(file, **options)
        unpacked.append(array.size)
        return array

    monkeypatch.setattr(np.lib.format, "read_array", recorded)
    table = open_table(str(path), TableOptions(key="X"))
    np.testing.assert_array_equal(table.spectra, spectra)
    assert set(unpacked) == {54}


def test_a_header_that_claims_more_than_there_is_is_refused(tmp_path):
    path = tmp_path / "lies.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X.npy", header((10**6, 10**6)) + bytes(100))
    with pytest.raises(ValueError, match=r"lies.npz .*X.npy claims 4,000,000,000,000 bytes .* 100"):
        npz.read_headers(path)


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="this system does not tell its memory")
def test_an_array_larger_than_the_memory_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "large.npz"
    np.savez_compressed(path, X=np.zeros((50, 60, 70)))
    monkeypatch.setattr(os, "sysconf", lambda _: 100)  # a hundred pages of a hundred bytes
    with pytest.raises(ValueError, match=r"large.npz .*'X' has 0\.0 GB when it is unpacked"):
        npz.load_member(path, "X")


def test_pickled_objects_are_refused(tmp_path):
    path = tmp_path / "objects.npz"
    np.savez(path, X=np.array([{"a": 1}], object))
    with pytest.raises(ValueError, match=r"objects\.npz: 'X' holds pickled objects"):
        open_table(str(path), TableOptions())


def claimed_store(folder, shape: tuple[int, int, int]):
    """A Zarr store of zeros without a chunk."""
    chunks = [min(n, 64) for n in shape]
    metadata = {"zarr_format": 2, "shape": shape, "chunks": chunks, "dtype": "<f4"}
    metadata |= {"compressor": None, "fill_value": 0, "order": "C", "filters": None}
    folder.mkdir()
    (folder / ".zarray").write_text(json.dumps(metadata))
    return folder


def test_a_large_plane_is_sampled_without_a_list_of_its_tiles(tmp_path):
    cube = open_cube(claimed_store(tmp_path / "wide.zarr", (10**6, 10**6, 3)))
    sample = sample_spectra([cube], 100, seed=0, max_tiles=3)
    assert sample.spectra.shape == (100, 3)
    assert sample.num_read == 3 * 64**2


def test_more_pixels_than_any_disk_holds_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"wide\.zarr claims 1,000,000,000 x 1,000,000,000 pixels"):
        open_cube(claimed_store(tmp_path / "wide.zarr", (10**9, 10**9, 3)))


def test_more_bands_than_can_be_worked_with_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"bands\.zarr claims 1,000,000,000 bands"):
        open_cube(claimed_store(tmp_path / "bands.zarr", (10, 10, 10**9)))
    assert open_cube(claimed_store(tmp_path / "many.zarr", (4, 4, 10_000))).shape[2] == 10_000


def test_tiles_are_numbered_as_they_are_listed():
    for plane, tile in (((7, 10), (3, 4)), ((1, 1), (5, 5)), ((8, 8), (4, 4))):
        listed = list(split_into_tiles(plane, tile))
        assert count_tiles(plane, tile) == len(listed)
        assert [numbered_tile(plane, tile, i) for i in range(len(listed))] == listed


def test_a_file_of_a_billion_bands_is_refused(tmp_path):
    path = tmp_path / "bands.npy"
    with path.open("wb") as npy_file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (1, 1, 10**9)}
        np.lib.format.write_array_header_1_0(npy_file, header)
        npy_file.truncate(npy_file.tell() + 10**9)  # sparse
    with pytest.raises(ValueError, match=r"bands\.npy claims 1,000,000,000 bands; up to"):
        preview_ingest(path)
