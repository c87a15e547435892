"""jaxhsi: label-free segmentation of hyperspectral cubes and unmixing of spectra, in JAX.

    >>> import jaxhsi
    >>> result = jaxhsi.unmix(spectra)  # doctest: +SKIP
    >>> segmentation = jaxhsi.segment("cube.zarr", num_clusters=16)  # doctest: +SKIP

Public names are loaded when they are first used: importing the package alone loads neither JAX nor
anything else that takes long.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxhsi import dgc as dgc
    from jaxhsi import gmcr as gmcr
    from jaxhsi.data.cube import open_cube as open_cube
    from jaxhsi.loading import load as load
    from jaxhsi.segmentation import Segmentation as Segmentation
    from jaxhsi.segmentation import segment as segment
    from jaxhsi.unmixing import unmix as unmix
    from jaxhsi.unmixing_result import UnmixingResult as UnmixingResult

    __version__: str

_ATTRIBUTES = {
    "Segmentation": "jaxhsi.segmentation",
    "UnmixingResult": "jaxhsi.unmixing_result",
    "load": "jaxhsi.loading",
    "open_cube": "jaxhsi.data.cube",
    "segment": "jaxhsi.segmentation",
    "unmix": "jaxhsi.unmixing",
}
"""Public names and the modules that they are in."""

_SUBPACKAGES = ("dgc", "gmcr")

__all__ = sorted((*_ATTRIBUTES, *_SUBPACKAGES, "__version__"))


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used (PEP 562)."""
    if name in _ATTRIBUTES:
        value = getattr(importlib.import_module(_ATTRIBUTES[name]), name)
    elif name in _SUBPACKAGES:
        value = importlib.import_module(f"jaxhsi.{name}")
    elif name == "__version__":
        from importlib.metadata import version  # takes longer than all the rest

        value = version("jaxhsi")
    else:
        raise AttributeError(f"module 'jaxhsi' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Public names, loaded or not."""
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """The package, in which the function `unmix` is not replaced by the command's module.

    Importing `jaxhsi.unmix`, which ``jaxhsi unmix`` runs, sets the attribute ``unmix``
    of the package to that module; the function is what the attribute is to be.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _ATTRIBUTES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
