"""The precision that a run computes in, decided once and written into its configuration."""

from dataclasses import replace
from typing import TypeVar

from jaxhsi.config.dgc import DGCConfig
from jaxhsi.config.gmcr import GMCRConfig
from jaxhsi.precision import default_precision

Config = TypeVar("Config", DGCConfig, GMCRConfig)


def with_precision(config: Config) -> Config:
    """The configuration with a precision where it leaves that to the device.

    Upstream's methods are for comparison with the PyTorch code and stay float32 unless asked.

    Args:
        config: of a run.
    """
    if config.precision is not None:
        return config
    precision = "float32" if config.method == "upstream" else default_precision()
    return replace(config, precision=precision)
