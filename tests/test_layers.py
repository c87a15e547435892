"""Imports go down the layers or sideways, never up; the pure packages do no I/O.

No test imports another.
"""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "jaxhsi"
LAYERS = (
    (
        "normalisation",
        "normalisation_names",
        "precision",
        "metrics",
        "functional_module",
        "linear_algebra",
        "cluster_groups",
        "base",
        "callbacks",
        "closest_name",
        "plain_text",
        "process_sharding",
        "processes",
        "sharding",
        "table_sharding",
    ),
    ("label_counts", "label_spectra"),
    ("dgc", "gmcr"),
    ("storage",),
    ("data",),
    ("training",),
    ("upstream",),
    ("config",),
    ("report", "command_errors", "command_screen", "command_processes", "command_line"),
    (
        "workflows",
        "unmixing",
        "unmixing_result",
        "unmixing_units",
        "unmixing_dataset",
        "segmentation",
    ),
    ("loading", "estimators"),
    (
        "train",
        "predict",
        "evaluate",
        "ingest",
        "inspect",
        "group",
        "unmix",
        "demo",
        "preview",
        "cache",
    ),
    ("completion",),
    ("__main__",),
)
"""Parts of the package from the lowest layer up."""
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
LAST_PURE_RANK = RANK["dgc"]
FORBIDDEN_IMPORTS = {
    "logging",
    "pathlib",
    "tensorstore",
    "grain",
    "orbax",
    "rich",
    "tensorboardX",
    "matplotlib",
    "jsonargparse",
    "os",
}
"""What pure maths does not need."""


def part_of(path: Path) -> str:
    if path.name == "__main__.py":  # a command, whatever folder it is called by
        return LAYERS[-1][0]
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def module_of(path: Path) -> str:
    parts = ("jaxhsi", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


def imported_modules(path: Path) -> set[str]:
    """Full names of the modules that a file imports, wherever it does."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            modules.add(node.module)
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    return modules


# The package's own __init__ names everything, lazily; it is above all layers.
IMPORTS = {
    path: imported_modules(path)
    for path in sorted(PACKAGE.rglob("*.py"))
    if path != PACKAGE / "__init__.py"
}


def test_imports_go_down_the_layers():
    upward = [
        f"{path.relative_to(PACKAGE)} imports {name}, which lies above it"
        for path, names in IMPORTS.items()
        for name in names
        if name.startswith("jaxhsi.") and name.split(".")[1] in RANK
        if RANK[name.split(".")[1]] > RANK[part_of(path)]
    ]
    assert not upward, "\n".join(upward)
    graph = {module_of(path): names for path, names in IMPORTS.items()}
    graph = {name: {n for n in names if n in graph} - {name} for name, names in graph.items()}
    while graph:  # take away modules that import none of the rest, until nothing is left
        leaves = {name for name, names in graph.items() if not names}
        assert leaves, f"import cycle among {sorted(graph)}"
        graph = {name: names - leaves for name, names in graph.items() if name not in leaves}


def test_pure_packages_do_no_io():
    impure = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path, names in IMPORTS.items()
        if RANK[part_of(path)] <= LAST_PURE_RANK
        for name in names
        if name.split(".")[0] in FORBIDDEN_IMPORTS
    ]
    assert not impure, "\n".join(impure)


def test_no_test_imports_another():
    """What tests share lies in `tests.helpers`, so that each file is read and run on its own."""
    folder = Path(__file__).parent
    shared = [
        f"{path.relative_to(folder)} imports {name}"
        for path in sorted(folder.rglob("*.py"))
        for name in imported_modules(path)
        if name.startswith("tests.") and ".test_" in name
    ]
    assert not shared, "\n".join(shared)
