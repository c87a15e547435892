"""Record what the PyTorch reference of EB-gMCR computes, for `tests/gmcr` to replay without torch.

    python tests/golden/make_gmcr.py --reference PATH_TO_EB-gMCR [--out tests/golden]

Runs the reference's own ``DenseEBgMCR.fit`` for five epochs of four mini-batches (the last one
ragged), recording all that it draws, and writes ``gmcr_single.npz`` (one pool), ``gmcr_pools.npz``
(a learned pool and a fixed library) and ``gmcr_sparse.npz`` (``sparse_component``). Arrays keep the
reference's layout and parameter names.
"""

import argparse
import functools
import importlib
import sys
import tempfile
import types
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

SAMPLES, BATCH, EPOCHS = 14, 4, 5
STEPS = -(-SAMPLES // BATCH)  # an epoch
MARGIN = 2.0  # nMSE under which the count is penalised: from the first epoch on
COEFFICIENTS = {"ambiguity_coef": 0.3, "energy_coef": 0.05}  # large enough to show in gradients
KEPT = (0, STEPS)  # steps of which weights and gradients are written
CASES = {
    "single": {"sizes": [6], "bands": 9},
    "pools": {"sizes": [5, 5], "bands": 9},
    "sparse": {"sizes": [4], "bands": 6},
}


class Draws:
    """Keeps what torch.randn_like, Tensor.exponential_ and torch.randperm return in a block."""

    def __init__(self):
        self.normal, self.gumbel, self.order = [], [], []

    def __enter__(self):
        self.originals = torch.randn_like, torch.Tensor.exponential_, torch.randperm
        randn_like, exponential, randperm = self.originals

        def keep(kept: list, draw, turn, *args, **kwargs) -> torch.Tensor:
            out = draw(*args, **kwargs)
            kept.append(turn(out.clone()).numpy())
            return out

        same = torch.Tensor.detach
        torch.randn_like = functools.partial(keep, self.normal, randn_like, same)
        torch.randperm = functools.partial(keep, self.order, randperm, same)
        torch.Tensor.exponential_ = functools.partialmethod(
            lambda t, *args, **kwargs: keep(
                self.gumbel, exponential, lambda e: -e.log(), t, *args, **kwargs
            )
        )
        return self

    def __exit__(self, *_: object):
        torch.randn_like, torch.Tensor.exponential_, torch.randperm = self.originals


class Writer:
    """Stands in for TensorBoard's writer and keeps the scalars."""

    scalars: ClassVar[dict[str, list[float]]] = {}

    def __init__(self, **_: object):
        Writer.scalars = {}

    def add_scalar(self, name: str, value: float, _: int) -> None:
        self.scalars.setdefault(name, []).append(value)

    def close(self) -> None:
        pass


def arrays(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    return {f"{prefix}/{name}": t.detach().numpy().copy() for name, t in tensors.items()}


def recording(out: dict, model: torch.nn.Module) -> type:
    """AdamW that writes down weights and gradients before the steps KEPT."""

    class Recorder(torch.optim.AdamW):
        count = 0

        def step(self, *args: object) -> None:
            if Recorder.count in KEPT:
                named = dict(model.named_parameters())
                grads = {k: p.grad for k, p in named.items() if p.grad is not None}
                out.update(arrays(f"weights{Recorder.count}", named))
                out.update(arrays(f"gradient{Recorder.count}", grads))
            Recorder.count += 1
            super().step(*args)

    return Recorder


def spectra(bands: int) -> torch.Tensor:
    """Mixtures of two of three positive spectra with a little noise."""
    generator = torch.Generator().manual_seed(1)
    pure = torch.rand(3, bands, generator=generator)
    amounts = 2 * torch.rand(SAMPLES, 3, generator=generator)
    amounts[torch.arange(SAMPLES), torch.arange(SAMPLES) % 3] = 0
    return amounts @ pure + 0.02 * torch.randn(SAMPLES, bands, generator=generator)


def analyzer_of(module: object, sizes: list[int], bands: int, **more: object) -> object:
    """The reference's analyzer with modules made; of several pools the last is fixed."""
    analyzer = module.DenseEBgMCR(
        sizes,
        bands,
        mini_batch_size=BATCH,
        max_epoch=EPOCHS,
        temperature_drop_value=0.1,
        temperature_drop_epochs=2,
        checkpoint_criterion="nMSE",
        checkpoint_threshold=0.999,
        checkpoint_interval=0.005,
        **COEFFICIENTS,
        **more,
    )
    pools = [torch.randn(p, bands).abs() for p in sizes] if len(sizes) > 1 else None
    analyzer._init_mcrs(tuple(sizes), bands, pools)
    if pools:
        # Asked for by learnable=False, but the reference wraps the pool in a Parameter, which
        # makes it learnable again.
        analyzer.stored_mcrs[-1].vanilla_components.requires_grad_(False)
    return analyzer


def forwards(analyzer: object, x: torch.Tensor) -> dict[str, np.ndarray]:
    """Both modes of the first module on the first rows."""
    out, mcr = {}, analyzer.stored_mcrs[0]
    for mode in ("train", "eval"):
        with Draws() as draws:
            seen = mcr.train(mode == "train")(x, analyzer.select_prob_threshld)
        out |= arrays(mode, seen)
        out |= {f"{mode}/gumbel{i}": g for i, g in enumerate(draws.gumbel)}
        out |= {f"{mode}/normal{i}": g for i, g in enumerate(draws.normal)}
    return out


def terms(outputs: list[dict], sizes: list[int]) -> tuple[float, float]:
    """Count and energy terms of one step, as `fit` has them."""
    counts = torch.cat([o["effective_indices"] for o in outputs], dim=0).sum(-1) / sum(sizes)
    energies = torch.cat([o["select_energy"] for o in outputs], dim=0)
    return counts.mean().item(), (energies**2).mean().item()


def noise(draws: Draws, pools: int, sparse: bool) -> dict[str, np.ndarray]:
    """Draws by kind, pool and step; ragged last batches are filled with zeros.

    `fit` evaluates each batch twice and uses the second time.
    """
    kinds = (["sparse_"] if sparse else []) + [""]
    per = pools * len(kinds)  # draws of a kind by all modules
    gumbel, out = iter(draws.gumbel), {}
    train, evaluation = [], []
    for _ in range(EPOCHS):
        train += [[next(gumbel) for _ in range(per)] for _ in range(STEPS)]
        both = [[next(gumbel) for _ in range(2 * per)] for _ in range(STEPS)]
        evaluation += [pair[per:] for pair in both]
    assert next(gumbel, None) is None
    normal = [draws.normal[i : i + per] for i in range(0, len(draws.normal), per)]
    for name, rows in (("gumbel", train), ("normal", normal), ("eval_gumbel", evaluation)):
        for i in range(per):
            full = np.zeros((EPOCHS * STEPS, BATCH, *rows[0][i].shape[1:]), np.float32)
            for step, row in enumerate(rows):
                full[step, : len(row[i])] = row[i]
            out[f"{i // len(kinds)}/{kinds[i % len(kinds)]}{name}"] = full
    return out


def case(module: object, sizes: list[int], bands: int, sparse: bool) -> dict[str, np.ndarray]:
    torch.manual_seed(3)
    x = spectra(bands)
    analyzer = analyzer_of(module, sizes, bands, sparse_component=sparse)
    out = {"x": x.numpy()} | arrays("start", analyzer.stored_mcrs.state_dict())
    out |= {f"forward/{k}": v for k, v in forwards(analyzer, x[:BATCH]).items()}
    analyzer.optimizer_class = recording(out, analyzer.stored_mcrs)
    seen, losses, rows = [], [], []
    hooks = [
        mcr.register_forward_hook(lambda m, _, o: seen.append(o) if m.training else None)
        for mcr in analyzer.stored_mcrs
    ]
    backward = torch.Tensor.backward

    def recorded(loss: torch.Tensor, **kwargs: object) -> None:
        losses.append(loss.item())
        rows.append(terms(seen, sizes))
        seen.clear()
        backward(loss, **kwargs)

    torch.Tensor.backward = recorded
    try:
        with Draws() as draws, tempfile.TemporaryDirectory() as folder:
            analyzer.fit(x, log_dir=folder, log_info_interval=1)
            bands_found = {p.parent.name: p.read_text() for p in Path(folder).glob("*/result.csv")}
    finally:
        torch.Tensor.backward = backward
        for hook in hooks:
            hook.remove()
    out |= arrays("end", analyzer.stored_mcrs.state_dict())
    out |= {k: np.float64(v) for k, v in Writer.scalars.items()}
    out["train/loss"] = np.float64(losses)
    out["train/count"], out["train/energy"] = np.float64(rows).T
    out["order"] = np.stack([o for o in draws.order if len(o) == SAMPLES][::2]).astype(np.int8)
    names = sorted(bands_found)
    out["bands/name"] = np.array(names)
    out["bands/row"] = np.array(
        [[float(v) for v in bands_found[n].splitlines()[1].split(",")] for n in names]
    )
    return out | {f"noise/{k}": v for k, v in noise(draws, len(sizes), sparse).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    torch.set_num_threads(1)
    sys.path.insert(0, str(options.reference))
    # Only its CSV loader needs pandas; torch looks for the real one afterwards.
    sys.modules["pandas"] = types.ModuleType("pandas")
    module = importlib.import_module("ebgmcr.analyzer")
    del sys.modules["pandas"]
    module.SummaryWriter = Writer
    module.EnergyL1Scheduler = functools.partial(module.EnergyL1Scheduler, nmse_margin=MARGIN)
    for name, sizes in CASES.items():
        out = case(module, **sizes, sparse=name == "sparse")
        path = options.out / f"gmcr_{name}.npz"
        np.savez_compressed(path, **out)
        print(path, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
