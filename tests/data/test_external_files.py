"""Files that would read other files of the machine, or run a program: refused."""

import json
import pickle
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from jaxhsi.config.grouping_files import read_grouping
from jaxhsi.config.parser import check_config_files
from jaxhsi.config.plain_yaml import MAX_CHARACTERS, load_yaml
from jaxhsi.data.cube import open_cube
from jaxhsi.data.external_files import external_files_allowed
from jaxhsi.data.formats.hdf5 import hdf5_shapes, open_hdf5
from jaxhsi.data.formats.mat import mat_shapes
from jaxhsi.data.labels.label_files import load_labels
from jaxhsi.data.memory_cube import cube_from_array
from jaxhsi.inspect import main as inspect
from tests.helpers.cubes import write_cube

VALUES = np.arange(60, dtype=np.float32).reshape(3, 4, 5)


@pytest.fixture
def secret(tmp_path) -> Path:
    """A file that is not to be read: raw numbers, which are an HDF5 file's dataset as well."""
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["cube"] = VALUES
    VALUES.tofile(tmp_path / "secret.bin")
    return tmp_path


def external_storage(file: h5py.File, secret: Path) -> None:
    layout = [(str(secret / "secret.bin"), 0, h5py.h5f.UNLIMITED)]
    file.create_dataset("cube", VALUES.shape, "f4", external=layout)


def virtual_dataset(file: h5py.File, secret: Path) -> None:
    layout = h5py.VirtualLayout(VALUES.shape, "f4")
    layout[:] = h5py.VirtualSource(str(secret / "secret.h5"), "cube", VALUES.shape)
    file.create_virtual_dataset("cube", layout)


def external_link(file: h5py.File, secret: Path) -> None:
    file["group/cube"] = h5py.ExternalLink(str(secret / "secret.h5"), "cube")


@pytest.mark.parametrize("write", [external_storage, virtual_dataset, external_link])
@pytest.mark.parametrize(("suffix", "shapes_of"), [(".h5", hdf5_shapes), (".mat", mat_shapes)])
def test_values_of_other_files_are_refused(secret, write, suffix, shapes_of):
    path = secret / f"given{suffix}"
    with h5py.File(path, "w", userblock_size=512) as file:
        write(file, secret)
    if suffix == ".mat":  # MATLAB's mark of version 7.3
        with path.open("r+b") as file:
            file.write(b"MATLAB 7.3 MAT-file".ljust(124, b" ") + b"\x00\x02IM")
    with pytest.raises(ValueError, match=rf"given{suffix}: .*cube' .* another file, .*secret\."):
        shapes_of(path)


def test_they_are_read_where_that_is_allowed(secret, capsys):
    with h5py.File(secret / "given.h5", "w") as file:
        virtual_dataset(file, secret)
    with external_files_allowed(), open_hdf5(secret / "given.h5") as volume:
        assert volume.shape == VALUES.shape
    assert inspect([str(secret / "given.h5")]) == 1
    assert "allow_external" in capsys.readouterr().err
    assert inspect([str(secret / "given.h5"), "--layout", "hwc", "--allow_external"]) == 0


def test_virtual_datasets_of_the_same_file_and_loops_of_groups_are_read(tmp_path):
    with h5py.File(tmp_path / "own.h5", "w") as file:
        file["part"] = VALUES
        layout = h5py.VirtualLayout(VALUES.shape, "f4")
        layout[:] = h5py.VirtualSource(file["part"])
        file.create_virtual_dataset("cube", layout)
        file["loop"] = file["/"]
        file["soft"] = h5py.SoftLink("/part")
    assert hdf5_shapes(tmp_path / "own.h5")["cube"] == VALUES.shape


class Intruder:
    """Pickled, it would make a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_pickles_run_nothing(tmp_path):
    made = tmp_path / "made"
    array = np.array([Intruder(made)], object)
    np.save(tmp_path / "labels.npy", array, allow_pickle=True)
    with zipfile.ZipFile(tmp_path / "labels.pt", "w") as archive:
        archive.writestr("labels/data.pkl", pickle.dumps(Intruder(made)))
    (tmp_path / "labels.pth").write_bytes(pickle.dumps(Intruder(made)))
    for name in ("labels.npy", "labels.pt", "labels.pth"):
        with pytest.raises(ValueError, match=name):
            load_labels(tmp_path / name, (1, 1, 3))
    assert not made.exists()


def test_a_group_names_no_array_outside_of_its_folder(secret):
    folder = write_cube(secret / "other.zarr", VALUES)
    array = f"../{folder.name}/reflectance"
    group = {"zarr_format": 3, "node_type": "group", "attributes": {"jaxhsi": {"array": array}}}
    (secret / "given.zarr").mkdir()
    (secret / "given.zarr" / "zarr.json").write_text(json.dumps(group))
    with pytest.raises(ValueError, match=r"given\.zarr .*outside of its folder, '\.\./other"):
        open_cube(secret / "given.zarr")


def test_a_name_leads_out_of_no_folder(tmp_path):
    assert cube_from_array(VALUES, "../../evil").name == ".._.._evil"
    name = "a/../b\\c"
    assert "/" not in (clean := cube_from_array(VALUES, name).name)
    assert "\\" not in clean


def alias_bomb(depth: int = 30) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, depth)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (alias_bomb(), "alias"),
        ("a: !!python/object/apply:os.system [true]", "tag"),
        ("[" * 5000 + "]" * 5000, "plain"),
        ("a: " + "x" * MAX_CHARACTERS, "characters"),
    ],
)
def test_yaml_is_data_of_bounded_size(tmp_path, text, words):
    with pytest.raises(yaml.YAMLError, match=words):
        load_yaml(text)
    path = tmp_path / "groups.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"groups\.yaml"):
        read_grouping(str(path), 4)
    with pytest.raises(ValueError, match=r"groups\.yaml cannot be read as YAML"):
        check_config_files(["--config", str(path)])
