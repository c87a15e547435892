"""Time and memory of an epoch of EB-gMCR beside the PyTorch reference, at its defaults.

    python -m benchmarks.gmcr.epoch --reference PATH [--reference-python PYTHON] --out FILE.json

For every task each implementation runs in a fresh process of its own; requests alternate between
the processes, so that both see the same machine. Pool of 1024 components, 512 channels, networks
of two hidden layers with extension 2 (34.6 M parameters), float32; 4 N spectra of up to 4 of N
components at 20 dB, from a generator like the reference's.

Tasks: ``n16``, 64 spectra in mini-batches of 16 (a quarter, as its script has it below 256), and
``n256``, 1024 spectra in mini-batches of 64. A run is a whole epoch as the reference's ``fit`` has
it: all mini-batches and the evaluation, which it does twice and jaxhsi once. The reference is
timed from inside a single ``fit`` without end, from one epoch's temperature update to the next, so
that neither the start of its optimizer nor files are counted; its checkpoints are off. The first
run of a task is reported as ``first_seconds``: it compiles, and it begins training.
"""

import sys
import threading
import types
from collections.abc import Callable

from benchmarks.side_by_side import Comparison
from benchmarks.side_by_side import main as compare

POOL, BANDS, MIXED, SNR_DB = 1024, 512, 4, 20
COMPONENTS = {"n16": 16, "n256": 256}
TASKS = dict.fromkeys(COMPONENTS, ("upstream", "parity"))
REACH = {("n16", "parity"): 15, ("n256", "parity"): 25}


def spectra(task: str) -> object:
    """4 N mixtures of orthogonal spectra made positive, with white noise."""
    import numpy as np

    rng, n = np.random.default_rng(0), COMPONENTS[task]
    pure = np.abs(np.linalg.qr(rng.normal(size=(BANDS, n)))[0].T)
    pure /= np.linalg.norm(pure, axis=1, keepdims=True)
    ranks = rng.random((4 * n, n)).argsort(1).argsort(1)
    mixed = ranks < rng.integers(1, MIXED + 1, (4 * n, 1))
    clean = (mixed * rng.uniform(1, 10, mixed.shape)) @ pure
    deviation = np.sqrt((clean**2).mean(1, keepdims=True) / 10 ** (SNR_DB / 10))
    noisy = clean + deviation * rng.normal(size=clean.shape)
    return np.maximum(noisy, 1e-6).astype(np.float32)


def batch_of(samples: int) -> int:
    """Upstream's `batch_evaluate_ebgmcr.py`: 64, but a quarter of fewer than 256 spectra."""
    return 64 if samples >= 256 else samples // 4


class Turns:
    """Lets a loop in a thread go on by one turn at a time."""

    def __init__(self, loop: Callable[[Callable[[], None]], None]):
        self._go, self._done = threading.Semaphore(0), threading.Semaphore(0)
        threading.Thread(target=loop, args=(self._pause,), daemon=True).start()
        self._done.acquire()

    def _pause(self) -> None:
        self._done.release()
        self._go.acquire()

    def __call__(self) -> None:
        """Start a turn and wait for its end."""
        self._go.release()
        self._done.acquire()


def upstream(task: str, reference: str) -> Callable[[], None]:
    """Epochs of the reference's own ``fit``, stopped between them where it reads the interval."""
    import torch

    sys.path.insert(0, reference)
    sys.modules["torch.utils.tensorboard"] = types.SimpleNamespace(SummaryWriter=None)
    sys.modules["pandas"] = types.ModuleType("pandas")  # only its CSV loader needs it
    from ebgmcr.analyzer import DenseEBgMCR

    del sys.modules["pandas"]
    x = torch.from_numpy(spectra(task))
    torch.manual_seed(0)

    class Stepwise(DenseEBgMCR):
        """``fit`` reads max_epoch at the end of each epoch."""

        pause = staticmethod(lambda: None)

        @property
        def max_epoch(self) -> int:
            self.pause()
            return -1

        @max_epoch.setter
        def max_epoch(self, _: int) -> None:
            pass

    analyzer = Stepwise(POOL, BANDS, mini_batch_size=batch_of(len(x)), checkpoint_criterion=None)

    def loop(pause: Callable[[], None]) -> None:
        pause()
        analyzer.pause = pause
        analyzer.fit(x)

    return Turns(loop)


def parity(task: str, reference: str) -> Callable[[], None]:
    """The same maths in jaxhsi."""
    import jax

    from jaxhsi.upstream.gmcr.algorithm import joint
    from jaxhsi.upstream.gmcr.options import JointOptions

    x = jax.numpy.asarray(spectra(task))
    method = joint(BANDS, JointOptions(pool_sizes=(POOL,), batch_size=batch_of(len(x))))
    key = jax.random.key(0)
    epoch = jax.jit(method.epoch, donate_argnums=1)
    held = [jax.jit(method.init)(key), 0]

    def run() -> None:
        held[1] += 1
        held[0], info = epoch(jax.random.fold_in(key, held[1]), held[0], x)
        jax.block_until_ready((held[0], info))

    return run


def main() -> None:
    makers = {"upstream": upstream, "parity": parity}
    description = __doc__.splitlines()[0]
    compare(
        Comparison("benchmarks.gmcr.epoch", description, "ebgmcr", makers, TASKS, REACH), rounds=3
    )


if __name__ == "__main__":
    main()
