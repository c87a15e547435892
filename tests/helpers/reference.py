"""What the PyTorch reference printed for single functions (golden/make_gmcr_primitives.py)."""

from pathlib import Path

import numpy as np

REFERENCE = dict(np.load(Path(__file__).parents[1] / "golden" / "gmcr_primitives.npz"))
