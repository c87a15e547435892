"""Record what the parts of the PyTorch reference of EB-gMCR compute, for `tests/gmcr` to replay.

    python tests/golden/make_gmcr_primitives.py --reference PATH_TO_EB-gMCR [--out tests/golden]

Writes ``gmcr_primitives.npz``: kernels and their gradients, components, gates, streaming scores,
the weight of the count, and the bands of checkpoints.
"""

import argparse
import importlib
import sys
import types
from pathlib import Path

import numpy as np
import torch

ROWS, BANDS = 5, 7
KERNELS = {
    "linear": ("linear_penalty", {}),
    "polynomial": ("polynomial_penalty", {"c": 0.5, "d": 3}),
    "laplacian": ("laplacian_penalty", {"sigma": 0.7}),
    "rbf": ("rbf_penalty", {"sigma": 0.7}),
    **{f"matern{nu}": ("matern_penalty", {"nu": nu, "lengthscale": 0.8, "sigma": 1.3})
       for nu in (0.5, 1.5, 2.5, 3.5)},
}  # fmt: skip
SCORES = [(0.004, 0.02, 3.5), (0.0049, 0.03, -2.0), (0.006, 0.02, 5.0), (0.001, 0.01, 0.0),
          (0.002, 0.01, 0.25)]  # fmt: skip
VALUES = (0.2, 0.9699, 0.97, 0.9774, 0.98, 0.9951, 0.9999, 0.03, 0.0299, 0.0251, 0.011, 0.0)


def kernels(reference) -> dict[str, np.ndarray]:
    components = torch.nn.functional.normalize(torch.rand(ROWS, BANDS), dim=1)
    out = {"kernel/components": components.numpy().copy()}
    for name, (function, parameters) in KERNELS.items():
        leaf = components.clone().requires_grad_()
        value = getattr(reference, function)(leaf, **parameters)
        value.backward()
        out[f"kernel/{name}"] = value.detach().numpy()
        out[f"kernel/{name}/gradient"] = leaf.grad.numpy()
    return out


def gates(core) -> dict[str, np.ndarray]:
    """A selection in training, with the noise it drew, and the gradient of a linear function."""
    drawn = {}
    randn_like, exponential = torch.randn_like, torch.Tensor.exponential_

    def normal(like):
        drawn["normal"] = randn_like(like)
        return drawn["normal"]

    def gumbel(tensor):
        out = exponential(tensor)
        drawn["gumbel"] = -out.log()
        return out

    energies = torch.randn(4, ROWS, 2).requires_grad_()
    probe = torch.randn(4, ROWS)
    torch.randn_like, torch.Tensor.exponential_ = normal, gumbel
    try:
        chosen, refined = core.EBSelectiveModule(tau=0.4)(energies + 0)
    finally:
        torch.randn_like, torch.Tensor.exponential_ = randn_like, exponential
    (chosen * probe).sum().backward()
    tensors = drawn | {"energies": energies, "probe": probe, "chosen": chosen, "refined": refined}
    tensors["gradient"] = energies.grad
    return {f"gate/{name}": tensor.detach().numpy() for name, tensor in tensors.items()}


def pools(mcr) -> dict[str, np.ndarray]:
    out = {}
    for norm in (1, 2, 3):
        model = mcr.EBSelectiveMCR(ROWS, BANDS, component_norm=norm)
        model.load_components(torch.randn(ROWS, BANDS))
        out[f"pool/{norm}/raw"] = model.vanilla_components.detach().numpy()
        out[f"pool/{norm}/components"] = model.components().detach().numpy()
    return out


def scores(evaluation) -> dict[str, np.ndarray]:
    x = torch.rand(6, BANDS) * (torch.rand(6, BANDS) > 0.4)
    reconstructed = x + 0.1 * torch.randn(6, BANDS) * (torch.rand(6, BANDS) > 0.4)
    out = {"score/x": x.numpy(), "score/reconstructed": reconstructed.numpy()}
    for mode in ("dense", "threshold", "mask"):
        metrics = evaluation.StreamingMetrics(BANDS, mode=mode, eps=0.05)
        for part in (slice(0, 4), slice(4, 6)):
            metrics.update(x[part], reconstructed[part])
        out[f"score/{mode}"] = np.array(metrics.compute())
    return out


def schedules(utils) -> dict[str, np.ndarray]:
    scheduler = utils.EnergyL1Scheduler(12, target_ratio=0.8)
    out = {"coefficient/inputs": np.array(SCORES), "band/values": np.array(VALUES)}
    out["coefficient"] = np.array([scheduler.step(*score) for score in SCORES])
    for criterion, threshold in (("R2", 0.97), ("nMSE", 0.03)):
        names = utils.checkpoint_regions(criterion, threshold, 0.005)
        out[f"band/{criterion}/names"] = np.array(names)
        found = [utils.specify_checkpoint_region(v, criterion, names) for v in VALUES]
        out[f"band/{criterion}/index"] = np.array([names.index(f) if f else -1 for f in found])
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    sys.path.insert(0, str(options.reference))
    # What only the reference's tables and logging import.
    sys.modules.setdefault("pandas", types.SimpleNamespace())
    sys.modules.setdefault("torch.utils.tensorboard", types.SimpleNamespace(SummaryWriter=None))
    torch.set_num_threads(1)
    torch.manual_seed(0)
    out = {}
    for record, module in (
        (kernels, "ambiguity_penalty"),
        (gates, "core"),
        (pools, "mcr"),
        (scores, "eval"),
        (schedules, "utils"),
    ):
        out |= record(importlib.import_module(f"ebgmcr.{module}"))
    path = options.out / "gmcr_primitives.npz"
    np.savez_compressed(path, **out)
    print(path, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
