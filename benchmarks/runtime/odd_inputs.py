"""Odd cubes and tables, and files made to harm: each is used, or refused in a sentence."""

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.runtime.outcomes import Try, judged, last_words
from benchmarks.runtime.subjects import DGC_OPTIONS, GMCR_OPTIONS
from benchmarks.runtime.worker import Worker

_DTYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16")


def _scene(shape: tuple[int, int, int] = (40, 40, 12), seed: int = 0) -> np.ndarray:
    """Three materials in stripes, with a little noise."""
    rng = np.random.default_rng(seed)
    pure = rng.uniform(0.1, 1.0, (3, shape[2]))
    stripes = np.broadcast_to(np.arange(shape[0])[:, None] * 3 // max(shape[0], 1), shape[:2])
    return pure[stripes % 3] + 0.01 * rng.normal(size=shape)


def _with(values: np.ndarray, place: tuple, value: float) -> np.ndarray:
    changed = values.copy()
    changed[place] = value
    return changed


def odd_cubes() -> dict[str, tuple[np.ndarray, tuple[str, ...]]]:
    """Cubes by name, with further options of the command."""
    plain = _scene().astype(np.float32)
    cubes = {
        "all NaN": (np.full_like(plain, np.nan), ()),
        "one pixel": (plain[:1, :1], ()),
        "constant": (np.ones_like(plain), ()),
        "10,000 bands": (_scene((16, 16, 10_000)).astype(np.float32), ()),
        "1 x N": (plain.reshape(1, -1, 12), ()),
        "tiny": (plain[:3, :2], ()),
        "one band": (plain[..., :1], ()),
        "duplicates": (np.repeat(plain[:, ::10], 10, axis=1), ()),
        "K = 1": (plain, ("--num_clusters", "1")),
        "K = 500": (plain, ("--num_clusters", "500")),
        "K > pixels": (plain[:14, :14], ("--num_clusters", "400")),
        "one pixel of 1e30": (_with(plain, (5, 7), 1e30), ()),
        "one value of 1e30": (_with(plain, (5, 7, 3), 1e30), ()),
        "one pixel of 1e6": (_with(plain, (5, 7), 1e6), ()),
        "all times 1e30": (plain * np.float32(1e30), ()),
        "all times 1e-30": (plain * np.float32(1e-30), ()),
        "infinity": (_with(plain, (5, 7, 3), np.inf), ()),
    }
    whole = 100 * (plain + 0.1)
    return cubes | {dtype: (whole.astype(dtype), ()) for dtype in _DTYPES}


def cube_tries(work: Path) -> Iterator[Try]:
    """Training of dgc on every odd cube; labels must be of clusters, some of each pixel's own."""
    worker = Worker()
    for name, (values, options) in odd_cubes().items():
        folder = work / "cube"
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "odd.npy", values)
        out = f"run-{abs(hash(name))}"
        command = ["train", "dgc", "--data", "odd.npy", "--out", out, *DGC_OPTIONS, *options]
        ended = worker.run([*command, "--layout", "hwc"], folder)
        outcome = judged(ended, (), _labels_are_right(folder / out, values))
        yield Try("odd cube", "train dgc", name, outcome, last_words(ended))
    worker.close()


def _labels_are_right(run: Path, values: np.ndarray) -> bool:
    """Whether all measured pixels of usual size have labels, and a plain scene several."""
    path = run / "labels" / "odd.npy"
    if not path.is_file():
        return False
    labels = np.load(path)
    numbers = values.astype(np.float64)
    usual = np.isfinite(numbers).all(-1)
    usual &= np.abs(numbers).max(-1) <= 1e3 * np.nanmedian(np.abs(numbers))
    return bool((labels[usual] >= 0).all() and np.isfinite(labels).all())


def _mixtures(count: int = 60, num_bands: int = 60) -> np.ndarray:
    rng = np.random.default_rng(0)
    axis = np.linspace(0, 1, num_bands)
    pure = [np.exp(-(((axis - m) / 0.1) ** 2)) for m in (0.2, 0.5, 0.8)]
    mixed = rng.dirichlet(np.ones(3), count) @ np.array(pure)
    return (mixed + 0.005 * rng.normal(size=mixed.shape)).astype(np.float32)


def odd_tables() -> dict[str, tuple[np.ndarray, int | None]]:
    """Tables by name, with the number of components that is right, None where none is."""
    plain = _mixtures()
    tables = {
        "plain": (plain, 3),
        "one sample": (plain[:1], None),
        "one band": (plain[:, :1], None),
    }
    tables |= {"two bands": (plain[:, 20:40:10], None), "three bands": (plain[:, 10:40:10], None)}
    tables["duplicates"] = (np.repeat(plain, 2, axis=0), 3)
    tables["constant"] = (np.ones_like(plain), None)
    tables["all NaN"] = (np.full_like(plain, np.nan), None)
    tables["zeros"] = (np.zeros_like(plain), None)
    for factor in (0.1, 10, 1000, 1e-20, 1e20):
        copied = np.concatenate([plain, plain[7:8] * np.float32(factor)])
        tables[f"a copy times {factor:g}"] = (copied, 3)
    for value in (10, 1e3, 1e6, 1e30):
        tables[f"one value of {value:g}"] = (_with(plain, (5, 30), value), 3)
    tables["all times 1e-30"] = (plain * np.float32(1e-30), 3)
    tables["all times 1e30"] = (plain * np.float32(1e30), 3)
    return tables


def table_tries(work: Path) -> Iterator[Try]:
    """Training of gmcr on every odd table."""
    worker = Worker()
    for name, (values, count) in odd_tables().items():
        folder = work / "table"
        folder.mkdir(parents=True, exist_ok=True)
        header = ",".join(f"{400 + i}" for i in range(values.shape[1]))
        np.savetxt(folder / "odd.csv", values, "%.7g", ",", header=header, comments="")
        out = f"run-{abs(hash(name))}"
        options = [*GMCR_OPTIONS, "--solver.steps_per_phase", "300", "--solver.max_active", "8"]
        ended = worker.run(["train", "gmcr", "--data", "odd.csv", "--out", out, *options], folder)
        scores = folder / out / "scores.json"
        found = json.loads(scores.read_text()) if scores.is_file() else {}
        is_right = count is None or found.get("num_components") == count
        outcome = judged(ended, (), is_right)
        words = f"{found.get('components')} components; {last_words(ended)}"
        yield Try("odd table", "train gmcr", name, outcome, words)
    worker.close()


def harmful_files() -> dict[str, tuple[Callable[[Path], str], tuple[str, ...]]]:
    """Files made to harm: what writes one and gives its name, and the command for it."""
    return {
        "npz bomb": (_write_npz_bomb, ("inspect",)),
        "zarr of 1e9 x 1e9": (_write_huge_store, ("train", "dgc", "--out", "run", "--data")),
        "npy that says 1e12 values": (_write_lying_npy, ("inspect",)),
        "alias bomb": (_write_alias_bomb, ("train", "dgc", "--config")),
        "pickle in npy": (_write_pickle, ("inspect",)),
        "external HDF5": (_write_external_hdf5, ("inspect",)),
        "link to another HDF5": (_write_linked_hdf5, ("inspect",)),
        "virtual HDF5": (_write_virtual_hdf5, ("inspect",)),
        "npy of 1e9 bands": (_write_many_bands, ("inspect",)),
        "tag in YAML": (_write_yaml_tag, ("train", "dgc", "--config")),
    }


def harm_tries(work: Path) -> Iterator[Try]:
    """A command on every harmful file; it must end in a sentence, soon, in little memory."""
    worker = Worker(seconds=60)
    for name, (write, command) in harmful_files().items():
        folder = work / "harm" / name.replace(" ", "_")
        folder.mkdir(parents=True, exist_ok=True)
        path = write(folder)
        ended = worker.run([*command, path], folder)
        outcome = judged(ended, (path,), is_right=False)
        if (folder / "harmed").exists():
            outcome = "wrong"
        yield Try("harmful file", command[0], name, outcome, last_words(ended))
    worker.close()


def _write_npz_bomb(folder: Path) -> str:
    with (
        zipfile.ZipFile(folder / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("cube.npy", "w", force_zip64=True) as member,
    ):
        header = {"descr": "|u1", "fortran_order": False, "shape": (2**34,)}
        np.lib.format.write_array_header_1_0(member, header)
        for _ in range(64):  # the header promises far more
            member.write(b"\0" * 2**20)
    return "bomb.npz"


def _write_huge_store(folder: Path) -> str:
    store = folder / "huge.zarr"
    store.mkdir(exist_ok=True)
    metadata = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [10**9, 10**9, 4],
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [64, 64, 4]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "codecs": [{"name": "bytes"}],
        "fill_value": 0,
        "attributes": {},
    }
    (store / "zarr.json").write_text(json.dumps(metadata))
    return "huge.zarr"


def _write_lying_npy(folder: Path) -> str:
    with (folder / "lying.npy").open("wb") as npy_file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (10**4, 10**4, 10**4)}
        np.lib.format.write_array_header_1_0(npy_file, header)
        npy_file.write(b"\0" * 4096)
    return "lying.npy"


def _write_alias_bomb(folder: Path) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    (folder / "bomb.yaml").write_text("\n".join([*lines, "data: *a11"]) + "\n")
    return "bomb.yaml"


def _write_pickle(folder: Path) -> str:
    np.save(folder / "pickle.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return "pickle.npy"


def _write_secret_hdf5(folder: Path) -> Path:
    import h5py

    with h5py.File(folder / "secret.h5", "w") as file:
        file["cube"] = np.ones((16, 16, 12), np.float32)
    return folder / "secret.h5"


def _write_linked_hdf5(folder: Path) -> str:
    import h5py

    (folder / "given").mkdir(exist_ok=True)
    with h5py.File(folder / "given" / "linked.mat", "w") as file:
        file["cube"] = h5py.ExternalLink(str(_write_secret_hdf5(folder)), "cube")
    return "given/linked.mat"


def _write_virtual_hdf5(folder: Path) -> str:
    import h5py

    layout = h5py.VirtualLayout((16, 16, 12), "f4")
    layout[:] = h5py.VirtualSource(str(_write_secret_hdf5(folder)), "cube", (16, 16, 12))
    (folder / "given").mkdir(exist_ok=True)
    with h5py.File(folder / "given" / "virtual.h5", "w") as file:
        file.create_virtual_dataset("cube", layout)
    return "given/virtual.h5"


def _write_many_bands(folder: Path) -> str:
    with (folder / "bands.npy").open("wb") as npy_file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (1, 1, 10**9)}
        np.lib.format.write_array_header_1_0(npy_file, header)
        npy_file.truncate(npy_file.tell() + 10**9)  # sparse: all values are there
    return "bands.npy"


def _write_yaml_tag(folder: Path) -> str:
    (folder / "tag.yaml").write_text("data: !!python/object/apply:os.system ['touch harmed']\n")
    return "tag.yaml"


def _write_external_hdf5(folder: Path) -> str:
    import h5py

    (folder / "secret.bin").write_bytes(bytes(range(256)) * 48)
    with h5py.File(folder / "external.h5", "w") as file:
        external = [(str(folder / "secret.bin"), 0, 16 * 16 * 12 * 4)]
        file.create_dataset("cube", (16, 16, 12), "f4", external=external)
    return "external.h5"
