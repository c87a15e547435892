import numpy as np
from PIL import Image
from rich.console import Console

from jaxhsi.dgc.merge_tree import MergeTree
from jaxhsi.report.merge_tree import draw_tree, format_tree

TREE = MergeTree(np.array([[1, 2], [0, 3]]), np.array([1.5, 6.0]))
SHARES, NAMES = np.array([0.7, 0.1, 0.2]), ("ground", "leaf", "lesion")


def printed(tree: MergeTree, shares: np.ndarray, names: tuple[str, ...]) -> list[str]:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(format_tree(tree, shares, names))
    return [line.strip(" │├└─") for line in capture.get().splitlines()]


def test_the_tree_as_text_largest_first():
    assert printed(TREE, SHARES, NAMES) == [
        "100.00%  together in 1 group (distance 6.00)",
        "ground  70.00%",
        "30.00%  together up to 2 groups (distance 1.50)",
        "lesion  20.00%",
        "leaf  10.00%",
    ]


def test_one_cluster_is_its_own_tree(tmp_path):
    alone = MergeTree(np.zeros((0, 2), int), np.zeros(0))
    assert printed(alone, np.ones(1), ("all",)) == ["all  100.00%"]
    draw_tree(tmp_path / "tree.png", alone, np.ones(1), ("all",))
    assert (tmp_path / "tree.png").stat().st_size > 1000


def test_the_picture_marks_cuts(tmp_path):
    for name, cuts in (("plain", ()), ("marked", (2, 3))):  # 3 is no cut between two merges
        draw_tree(tmp_path / f"{name}.png", TREE, SHARES, NAMES, cuts)
    plain, marked = (np.asarray(Image.open(tmp_path / f"{n}.png")) for n in ("plain", "marked"))
    grey = (np.abs(marked[..., :3].astype(int) - 128) < 10).all(-1).sum(0)
    assert grey.max() > 20  # a dashed line from top to bottom
    assert not np.array_equal(plain, marked)
