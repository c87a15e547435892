"""Writes metrics.json: what the PyTorch reference's eval.py scores on seeded random labels.

Needs torch and a checkout of github.com/b05611038/HSI_global_clustering:

    python tests/golden/make_metrics.py --reference PATH
"""

import argparse
import importlib.util
import json
from pathlib import Path

import numpy as np

# seed, shape, classes, share of pixels where the prediction is drawn anew, classes left out of it
RECIPES = [
    (0, [16, 16], 3, 0.3, 0),
    (1, [2, 24, 20], 6, 0.6, 0),
    (2, [64, 64], 8, 1.0, 0),
    (3, [32, 32], 5, 0.2, 2),
    (4, [16, 16], 4, 0.0, 0),
    (5, [8, 8], 2, 1.0, 1),
]


def draw(seed, shape, classes, redrawn, left_out):
    """Truth, and a prediction that agrees but for a random part; int64, from numpy's PCG64."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, shape)
    fresh = rng.integers(0, classes - left_out, shape)
    pred = np.where(rng.random(shape) < redrawn, fresh, truth % (classes - left_out))
    return pred, truth


def reference_scores(reference: Path) -> list[dict]:
    """The reference's scores of every recipe."""
    import torch

    source = reference / "hsi_global_clustering" / "eval.py"
    spec = importlib.util.spec_from_file_location("reference_eval", source)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    cases = []
    for recipe in RECIPES:
        pred, truth = (torch.from_numpy(labels) for labels in draw(*recipe))
        classes = recipe[2]
        names = [name for name in module.__all__ if name != "cluster_entropy"]
        values = {name: float(getattr(module, name)(pred, truth, classes)) for name in names}
        values["entropy_pred"] = float(module.cluster_entropy(pred, classes))
        values["entropy_truth"] = float(module.cluster_entropy(truth, classes))
        cases.append({"recipe": recipe, "scores": values})
    return cases


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reference", type=Path, required=True)
    cases = reference_scores(parser.parse_args().reference)
    Path(__file__).with_name("metrics.json").write_text(json.dumps(cases, indent=1) + "\n")
