"""Save label maps as PyTorch does, for `data/labels/test_torch_file.py` to read without torch.

    python tests/golden/make_labels.py [--out tests/golden]

Writes ``labels_*.pth``, each from the map of `MAP`: whole (int64, uint8, bool, float32, uint16), as
views with offsets and strides, in a dict, and what is to be refused (bfloat16, the format before
PyTorch 1.6).
"""

import argparse
from collections import OrderedDict
from pathlib import Path

import torch

MAP = [[0, 1, 10, 3], [14, 1, 0, 2], [5, 5, 7, 250]]


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    folder = parser.parse_args().out
    labels = torch.tensor(MAP)
    batch = torch.stack([labels + 1, labels])
    views = {
        "whole": labels,
        "second_of_batch": batch[1],
        "transposed": labels.T.contiguous().T,
        "every_other": labels.repeat_interleave(2, dim=1)[:, ::2],
        "mask": labels > 4,
        "bytes": labels.to(torch.uint8),
        "floats": labels.float().requires_grad_(),
        "unsigned": labels.to(torch.uint16),
        "dict": OrderedDict(label=labels, scores=torch.rand(3, 4), batch=batch, epoch=3),
        "bfloat": labels.bfloat16(),
        "list": [labels],
    }
    for name, value in views.items():
        torch.save(value, folder / f"labels_{name}.pth")
    torch.save(labels, folder / "labels_legacy.pth", _use_new_zipfile_serialization=False)


if __name__ == "__main__":
    main()
