"""Slab by slab: an interrupted write goes on, is never taken for whole, and says what failed."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorstore as ts

from jaxhsi.data.cube import open_cube
from jaxhsi.data.ingest import resumable_writer
from jaxhsi.data.ingest.resumable_writer import split_into_slabs, write_resumable_cube
from jaxhsi.data.tiles import Tile
from jaxhsi.data.zarr_writer import cube_metadata, default_chunk_shape, default_shard_shape
from jaxhsi.storage.file_lock import FOLDER_LOCK

SHAPE = (150, 70, 3)
VALUES = np.random.default_rng(0).integers(0, 2**16, SHAPE).astype(np.uint16)


@pytest.fixture(autouse=True)
def small_slabs(monkeypatch):
    monkeypatch.setattr(resumable_writer, "MAX_SLAB_BYTES", 1)  # one block each: 3 x 2 slabs


def write(path: Path, facts=(), stop: int | None = None, overwrite=False, **description) -> int:
    """Write up to slab `stop`, and return where it began."""
    metadata = cube_metadata(SHAPE, VALUES.dtype, **description)
    with write_resumable_cube(
        path, metadata, facts, bytes_per_pixel=6, overwrite=overwrite
    ) as cube:
        for i, place in enumerate(cube.slab_tiles[cube.num_done :], cube.num_done):
            if i == stop:
                raise KeyboardInterrupt
            cube.write_slab(VALUES[place.slices], {"after": i})
        cube.finish({"statistics": {"pixels": 1}})
        return cube.num_done


def interrupt(path: Path, stop: int, **options) -> None:
    with pytest.raises(KeyboardInterrupt):
        write(path, stop=stop, **options)


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_slabs_are_whole_pieces_within_the_limit(monkeypatch):
    monkeypatch.setattr(resumable_writer, "MAX_SLAB_BYTES", 2 * 64 * 64 * 12)
    found = split_into_slabs((150, 200), (64, 64), 12)
    assert {(tile.y0, tile.x0) for tile in found} == {
        (row, column) for row in (0, 64, 128) for column in (0, 128)
    }
    assert found[-1] == Tile(128, 128, 22, 72)
    monkeypatch.setattr(resumable_writer, "MAX_SLAB_BYTES", 8 * 64 * 64 * 12)
    assert len(split_into_slabs((150, 200), (64, 64), 12)) == 2


def test_slabs_of_tiled_files_follow_each_other_within_a_tile(monkeypatch):
    monkeypatch.setattr(resumable_writer, "MAX_SLAB_BYTES", 4 * 64 * 64 * 12)
    slabs = split_into_slabs((256, 256), (64, 64), 12, block_shape=(256, 128))
    assert [tuple(slab) for slab in slabs] == [
        (y0, x0, 64, 128) for x0 in (0, 128) for y0 in (0, 64, 128, 192)
    ]
    strips = split_into_slabs((256, 256), (64, 64), 12, block_shape=(8, 256))
    assert strips == split_into_slabs((256, 256), (64, 64), 12)


@pytest.mark.parametrize("stop", range(6))
def test_resumed_write_is_the_same_byte_for_byte(tmp_path, stop):
    write(tmp_path / "whole.zarr", history=["a"])
    interrupt(tmp_path / "a.zarr", stop, history=["a"])
    (partial,) = tmp_path.glob("a.zarr.partial-*")
    with pytest.raises(ValueError, match="interrupted write"):
        open_cube(partial)
    assert write(tmp_path / "a.zarr", history=["a"]) == stop
    assert files(tmp_path / "a.zarr") == files(tmp_path / "whole.zarr")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zarr", "whole.zarr"]
    cube = open_cube(tmp_path / "a.zarr")
    np.testing.assert_array_equal(cube.array.read().result(), VALUES)
    assert (cube.history, cube.statistics) == (("a",), {"pixels": 1})


def test_state_comes_back_with_the_slabs(tmp_path):
    interrupt(tmp_path / "a.zarr", 4)
    with write_resumable_cube(
        tmp_path / "a.zarr", cube_metadata(SHAPE, "uint16"), (), bytes_per_pixel=6
    ) as cube:
        assert (cube.num_done, cube.resume_state) == (4, {"after": 3})
        for place in cube.slab_tiles[4:]:
            cube.write_slab(VALUES[place.slices], None)
        cube.finish({})
    np.testing.assert_array_equal(open_cube(tmp_path / "a.zarr").array.read().result(), VALUES)


def test_other_facts_or_metadata_begin_anew_and_clear_what_is_ours(tmp_path):
    path = tmp_path / "a.zarr"
    foreign = tmp_path / "a.zarr.partial-foreign"
    foreign.mkdir()
    interrupt(path, 3)
    assert len(list(tmp_path.glob("a.zarr.partial-*"))) == 2
    interrupt(path, 2, facts=("other",))
    assert len(list(tmp_path.glob("a.zarr.partial-*"))) == 2
    assert write(path, history=["b"]) == 0
    assert sorted(tmp_path.iterdir()) == [path, foreign]


def test_what_an_earlier_version_began_is_begun_anew_and_said(tmp_path, caplog):
    partial = tmp_path / "a.zarr.partial-0123abcd"
    (partial / "c" / "0").mkdir(parents=True)  # the array itself, not in a group
    (partial / FOLDER_LOCK).touch()
    with caplog.at_level("INFO"):
        assert write(tmp_path / "a.zarr") == 0
    assert "a.zarr.partial-0123abcd, which is not whole" in caplog.text
    assert not partial.exists()


def overtaken(path: Path) -> None:
    """Write a cube while another one is written to the same place."""
    with write_resumable_cube(path, cube_metadata(SHAPE, "uint16"), 1, bytes_per_pixel=6) as slow:
        slow.write_slab(VALUES[slow.slab_tiles[0].slices], None)
        assert write(path, facts=2) == 0
        for place in slow.slab_tiles[1:]:
            slow.write_slab(VALUES[place.slices] + 1, None)
        slow.finish({})


def test_what_another_process_writes_is_left_alone(tmp_path):
    path = tmp_path / "a.zarr"
    with pytest.raises(FileExistsError, match="delete it"):
        overtaken(path)
    np.testing.assert_array_equal(open_cube(path).array.read().result(), VALUES)


def test_second_writer_of_the_same_cube_waits_for_the_first(tmp_path):
    path, seen = tmp_path / "a.zarr", []

    def second() -> None:
        try:
            write(path)
        except FileExistsError as error:
            seen.append(error)

    with write_resumable_cube(path, cube_metadata(SHAPE, "uint16"), (), bytes_per_pixel=6) as cube:
        thread = threading.Thread(target=second)
        thread.start()
        for place in cube.slab_tiles:
            cube.write_slab(VALUES[place.slices], None)
        cube.finish({})
        assert thread.is_alive()
    thread.join(20)
    assert len(seen) == 1
    assert list(tmp_path.iterdir()) == [path]


def write_one_slab(path: Path, error: Exception | None = None) -> None:
    with write_resumable_cube(path, cube_metadata(SHAPE, "uint16"), (), bytes_per_pixel=6) as cube:
        cube.write_slab(VALUES[cube.slab_tiles[0].slices], None)
        if error is not None:
            raise error
        cube.finish({})


def test_error_of_the_data_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="bad"):
        write_one_slab(tmp_path / "a.zarr", ValueError("bad"))
    assert list(tmp_path.iterdir()) == []


def test_cube_must_be_written_whole(tmp_path):
    with pytest.raises(ValueError, match="1 of 6 blocks"):
        write_one_slab(tmp_path / "a.zarr")
    assert list(tmp_path.iterdir()) == []


def test_full_disk_names_the_place_and_goes_on(tmp_path, monkeypatch):
    path, commit, left = tmp_path / "a.zarr", ts.Transaction.commit_async, [3]

    class Failed:
        def result(self):
            raise ValueError(
                'RESOURCE_EXHAUSTED: Error writing local file "c/0": No space left on device '
                "[os_error_code='28'] [tensorstore_spec='{}']"
            )

    def until_full(self):
        left[0] -= 1
        return commit(self) if left[0] >= 0 else Failed()

    with monkeypatch.context() as patched:
        patched.setattr(ts.Transaction, "commit_async", until_full)
        with pytest.raises(OSError, match=r"a\.zarr\.partial-\w+ cannot be written: No space left"):
            write(path)
    assert not path.exists()
    assert write(path) == 3
    np.testing.assert_array_equal(open_cube(path).array.read().result(), VALUES)


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"cannot be written: Not a directory"):
        write(tmp_path / "file" / "a.zarr")


def test_overwrite_replaces_stores_alone(tmp_path):
    path = tmp_path / "a.zarr"
    write(path, history=["old"])
    with pytest.raises(FileExistsError, match="delete it"):
        write(path, history=["new"])
    interrupt(path, 2, history=["new"], overwrite=True)
    assert open_cube(path).history == ("old",)  # until the new one is whole
    assert write(path, history=["new"], overwrite=True) == 2
    assert open_cube(path).history == ("new",)
    assert list(tmp_path.iterdir()) == [path]
    (tmp_path / "papers").mkdir()
    with pytest.raises(FileExistsError, match="is no cube"):
        write(tmp_path / "papers", overwrite=True)


def test_power_cut_before_anything_was_noted(tmp_path):
    path = tmp_path / "a.zarr"
    interrupt(path, 3)
    (partial,) = tmp_path.glob("a.zarr.partial-*")
    (partial / "progress.json").unlink()
    assert (partial / FOLDER_LOCK).is_file()
    assert write(path) == 0
    np.testing.assert_array_equal(open_cube(path).array.read().result(), VALUES)


def test_shards_hold_whole_blocks_within_the_limit():
    assert default_shard_shape((4096, 1024, 301), (64, 64, 301), 602) == (64, 1024, 301)
    assert default_shard_shape((4096, 4096, 301), (64, 64, 301), 602) == (
        64,
        1408,
        301,
    )  # 3 of even width
    assert default_shard_shape((4096, 100, 301), (64, 64, 301), 602) == (832, 128, 301)
    assert default_shard_shape((4096, 1024, 29), (64, 64, 29), 1160) == (
        64,
        512,
        29,
    )  # of 580 bands read
    assert default_shard_shape((64, 64, 5), (64, 64, 5), 10**9) == (64, 64, 5)
    tiled = default_shard_shape((4096, 4096, 512), (16, 16, 512), 2048, (256, 256))
    assert tiled == (64, 256, 512), "no wider than a tile of the file"


def test_sharded_cube_is_read_by_blocks_and_has_standard_metadata(tmp_path):
    block = default_chunk_shape(SHAPE, 2)
    metadata = cube_metadata(SHAPE, "uint16", chunk_shape=block, shard_shape=(128, 128, 3))
    with write_resumable_cube(tmp_path / "a.zarr", metadata, (), bytes_per_pixel=6) as cube:
        assert [place.slices for place in cube.slab_tiles] == [
            (slice(0, 128), slice(0, 70)),
            (slice(128, 150), slice(0, 70)),
        ]
        for place in cube.slab_tiles:
            cube.write_slab(VALUES[place.slices], None)
        cube.finish({})
    found = open_cube(tmp_path / "a.zarr")
    assert found.array.chunk_layout.read_chunk.shape == block
    np.testing.assert_array_equal(found.array.read().result(), VALUES)
    assert sorted(p.name for p in (tmp_path / "a.zarr" / "reflectance" / "c").iterdir()) == [
        "0",
        "1",
    ]
    stored = json.loads((tmp_path / "a.zarr" / "reflectance" / "zarr.json").read_text())
    (codec,) = stored["codecs"]
    assert codec["name"] == "sharding_indexed"
    assert codec["configuration"]["chunk_shape"] == [64, 64, 3]
    assert [c["name"] for c in codec["configuration"]["codecs"]] == ["bytes", "blosc", "crc32c"]
    assert [c["name"] for c in codec["configuration"]["index_codecs"]] == ["bytes", "crc32c"]
