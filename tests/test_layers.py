"""Imports go down the layers or sideways, never up."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "jaxhsi"
LAYERS = (
    ("normalisation", "metrics", "functional_module", "linear_algebra", "cluster_groups"),
    ("label_counts",),
    ("dgc", "gmcr"),
    ("data",),
    ("training",),
    ("upstream",),
    ("config",),
    ("report", "command_line"),
    ("workflows",),
    ("train", "predict", "evaluate", "ingest", "group", "unmix"),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
FORBIDDEN = ("logging", "pathlib", "tensorstore", "grain", "orbax", "rich", "jsonargparse", "os")
"""What pure maths does not need."""

files = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


def part(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path) -> set[str]:
    """Full names of the modules that a file imports, wherever it does."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", files, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_never_go_up(path):
    here = RANK[part(path)]
    for name in imports(path):
        if name.startswith("jaxhsi.") and name.split(".")[1] in RANK:
            assert RANK[name.split(".")[1]] <= here, f"{path} imports {name}, which lies above it"


@pytest.mark.parametrize(
    "path", [p for p in files if RANK[part(p)] <= 2], ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_pure_maths_does_no_io(path):
    roots = {name.split(".")[0] for name in imports(path)}
    assert not roots & set(FORBIDDEN)


def test_no_import_cycles():
    graph = {
        ".".join(("jaxhsi", *p.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
            ".__init__"
        ): imports(p)
        for p in files
    }
    graph = {name: {i for i in found if i in graph and i != name} for name, found in graph.items()}
    while graph:
        free = [name for name, found in graph.items() if not found]
        assert free, f"import cycle among {sorted(graph)}"
        graph = {name: found - set(free) for name, found in graph.items() if name not in free}
