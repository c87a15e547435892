"""Record what the PyTorch reference computes, for `tests/dgc` to replay without torch.

    python tests/golden/make_dgc.py --reference PATH_TO_HSI_global_clustering [--out tests/golden]

Writes ``dgc_forward.npz`` (embeddings, mean-shift in both forms, probabilities, losses, gradients),
``dgc_update.npz`` (one full update with a dead centroid) and ``dgc_trajectory.npz`` (20 updates).
Arrays keep the reference's layout (channels first) and parameter names.
"""

import argparse
import importlib
import sys
import types
from pathlib import Path

import numpy as np
import torch

BANDS, SIZE, BATCH, DIM, CLUSTERS, STEPS = 11, 16, 2, 8, 4, 20
RATE = 1e-3  # large enough that 20 steps move the labels
SEED = 8  # of weights; with these, several clusters stay in use for the 20 steps
WEIGHTS = {"orth": 0.001, "bal": 2.0, "unif": 2.0, "cons": 1.0}


class Recorder:
    """Stands in for torch.randperm and torch.randn_like, and keeps what they returned.

    In the second forward pass of a step (no gradients) the permutations of the first are given
    again: the replay then needs one set of labels per step.
    """

    def __init__(self, seed: int):
        self.generator = torch.Generator().manual_seed(seed)
        self.permutations, self.noise, self.next = [], [], 0

    def randperm(self, n: int, **_: object) -> torch.Tensor:
        if torch.is_grad_enabled():
            self.permutations.append(torch.randperm_(n, generator=self.generator))
            return self.permutations[-1]
        self.next += 1
        return self.permutations[self.next - 1]

    def randn_like(self, like: torch.Tensor, **_: object) -> torch.Tensor:
        self.noise.append(torch.randn(like.shape, generator=self.generator))
        return self.noise[-1]

    def __enter__(self):
        torch.randperm_, torch.randn_like_ = torch.randperm, torch.randn_like
        torch.randperm, torch.randn_like = self.randperm, self.randn_like
        return self

    def __exit__(self, *_: object):
        torch.randperm, torch.randn_like = torch.randperm_, torch.randn_like_


def reference(path: Path) -> tuple[type, type]:
    """The reference's model and trainer classes, without what only its logging imports."""
    sys.path.insert(0, str(path))
    for name in ("torch.utils.tensorboard",):
        sys.modules.setdefault(name, types.SimpleNamespace(SummaryWriter=None))
    model = importlib.import_module("hsi_global_clustering.hsi_clustering")
    trainer = importlib.import_module("hsi_global_clustering.trainer")
    return model.HyperspectralClusteringModel, trainer.HSIClusteringTrainer


def build(model_class: type, bias: bool, **mean_shift: object) -> torch.nn.Module:
    encoder = {
        "n_spectral_layers": 3,
        "spectral_kernel_size": 9,
        "embed_dim": DIM,
        "bias": bias,
    }
    shift = {"embed_dim": DIM, "n_clusters": CLUSTERS, "num_iters": 5} | mean_shift
    return model_class(BANDS, encoder, shift, WEIGHTS)


def scene(generator: torch.Generator, steps: int) -> torch.Tensor:
    """Crops (steps, 2, b, c, h, w) of smooth mixtures of four spectra, so that clusters exist."""
    n = steps * 2 * BATCH
    spectra = 2 * torch.randn(4, BANDS, generator=generator)
    fields = torch.randn(n, 4, 4, 4, generator=generator)
    fields = torch.nn.functional.interpolate(fields, SIZE, mode="bilinear")
    crops = torch.einsum("nkhw,kc->nchw", (3 * fields).softmax(1), spectra)
    crops = crops + 0.1 * torch.randn(crops.shape, generator=generator)
    # Rounded to half precision: exact in the file at half its size.
    return crops.reshape(steps, 2, BATCH, BANDS, SIZE, SIZE).half().float()


def labels(permutation: torch.Tensor) -> np.ndarray:
    """The pseudo-labels that a permutation makes of upstream's balanced ones."""
    n = len(permutation)
    base = torch.arange(CLUSTERS).repeat_interleave(n // CLUSTERS)
    balanced = torch.cat([base, torch.arange(n - len(base))])
    return balanced[permutation].numpy().astype(np.int32)


def arrays(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    return {f"{prefix}/{name}": t.detach().numpy().copy() for name, t in tensors.items()}


def forward(model_class: type) -> dict[str, np.ndarray]:
    torch.manual_seed(0)
    model = build(model_class, bias=True)
    # Odd sizes: rows that are no multiple of anything, so that wrapping and padding show.
    crops = scene(torch.Generator().manual_seed(1), 1)[0][..., :13, :15].contiguous()
    with Recorder(2) as recorder:
        total, terms, _ = model.train_step(crops[0], crops[1])
        total.backward()
    out = arrays("weights", model.state_dict()) | {"crops": crops.numpy().astype(np.float16)}
    out |= arrays("gradient", {name: p.grad for name, p in model.named_parameters()})
    out |= arrays("loss", terms | {"total": total})
    out["pseudo"] = np.stack([labels(p) for p in recorder.permutations])
    z = model.encoder(crops[0])
    shifted, p, hard = model.cluster(z, return_probs=True, return_labels=True)
    out |= arrays("approx", {"z": z, "shifted": shifted, "p": p, "labels": hard})
    # Gradients of a fixed linear function through either form of the mean-shift.
    probe = torch.randn(z.shape, generator=torch.Generator().manual_seed(3))
    out["probe"] = probe.numpy()
    for form, approximate in (("approx", True), ("full", False)):
        model.cluster.use_approx = approximate
        leaf = z.detach().requires_grad_()
        model.zero_grad()
        moved = model.cluster(leaf)
        (moved * probe).sum().backward()
        width = model.cluster.log_bandwidth.grad
        out |= arrays(form, {"moved": moved, "dz": leaf.grad, "dlog_bandwidth": width})
    return out


def training(
    model_class: type, trainer_class: type, steps: int, dead: bool
) -> dict[str, np.ndarray]:
    """Full updates as `HSIClusteringTrainer.train` does them, on given crops."""
    torch.manual_seed(SEED)
    model = build(model_class, bias=False)
    if dead:  # opposite of where the embeddings (all >= 0) are: its mass is far below 1e-3
        model.cluster.cluster_centers.data[2] = -torch.ones(DIM) / DIM**0.5
    holder = types.SimpleNamespace(model=model)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=RATE, betas=(0.9, 0.999), weight_decay=0.01
    )
    crops = scene(torch.Generator().manual_seed(5), steps)
    out = arrays("start", model.state_dict()) | {
        "crops": crops.numpy().astype(np.float16),
        "rate": np.float32(RATE),
    }
    history, norms, hard = [], [], []
    with Recorder(6) as recorder:
        for pair in crops:
            optimizer.zero_grad()
            total, _, _ = model.train_step(*pair)
            total.backward()
            norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item())
            optimizer.step()
            with torch.no_grad():
                total, terms, seen = model.train_step(*pair)
            trainer_class._ema_update_centroids(
                holder, seen["z1"], seen["p1"], seen["z2"], seen["p2"], 0.99, 0.05
            )
            history.append({name: t.item() for name, t in terms.items()} | {"total": total.item()})
            hard.append(torch.stack([model.inference(crop) for crop in pair]).numpy())
    out |= arrays("end", model.state_dict())
    out |= {f"loss/{k}": np.float32([row[k] for row in history]) for k in history[0]}
    out["gradient_norm"] = np.float32(norms)
    out["labels"] = np.stack(hard).astype(np.int8)
    pseudo = np.stack([labels(p) for p in recorder.permutations]).astype(np.int8)
    out["pseudo"] = pseudo.reshape(steps, 2, -1)
    out["kick"] = 0.05 * np.stack([n.numpy() for n in recorder.noise])
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, trainer = reference(options.reference)
    parts = {
        "forward": forward(model),
        "update": training(model, trainer, steps=1, dead=True),
        "trajectory": training(model, trainer, STEPS, dead=False),
    }
    for name, part in parts.items():
        path = options.out / f"dgc_{name}.npz"
        np.savez_compressed(path, **part)
        print(path, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
