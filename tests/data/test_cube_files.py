import pytest

from jaxhsi.data.cube_files import list_cubes
from tests.helpers.cubes import VALUES, make_cube


@pytest.mark.parametrize("named", ["whole folder", "store"])
def test_a_store_whose_metadata_are_gone_is_refused(tmp_path, named):
    for name in ("a", "b"):
        make_cube(tmp_path, name, VALUES)
    store = tmp_path / "b.zarr"
    (store / "zarr.json").unlink()
    with pytest.raises(ValueError, match=r"b\.zarr is damaged: .*metadata .* are gone"):
        list_cubes(store if named == "store" else tmp_path)


def test_arrays_in_a_group_of_version_2_are_cubes(tmp_path):
    make_cube(tmp_path / "group.zarr", "a", VALUES)
    (tmp_path / "group.zarr" / ".zgroup").write_text('{"zarr_format": 2}')
    assert list_cubes(tmp_path / "group.zarr") == [tmp_path / "group.zarr" / "a.zarr"]
