"""Options of what is known beside the data of ``jaxhsi train gmcr``."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from jaxhsi.config.files import check_at_least, number_list

if TYPE_CHECKING:
    from jaxhsi.gmcr.nonlinear import PriorFactory

# What follows imports inside of functions: the help of the command is shown before JAX is loaded.


@dataclass(frozen=True)
class PriorOptions:
    """What is known beside the data; the answer is refined under it.

    Attributes:
        closure: concentrations of each spectrum sum to one; components then keep their own size,
            as true as their spectra: where hardly any spectrum is without some component, others
            can lie beyond their true place, and minimum_volume draws them back.
        unimodal: each component has a single peak along the axis.
        smoothness: weight of the squared second differences of components, 0 for none.
        sparsity: weight of the components' absolute values, 0 for none.
        minimum_volume: weight of the log-determinant of the components' cosines, which draws them
            together, 0 for none.
        unimodal_concentrations: concentrations have a single peak in each run of samples; true, or
            numbers of components such as 1,3.
        smooth_concentrations: weight of the squared second differences of concentrations, relative
            to the noise, 0 for none; 1 smooths over three samples, 100 over ten.
    """

    closure: bool = False
    unimodal: bool = False
    smoothness: float = 0.0
    sparsity: float = 0.0
    minimum_volume: float = 0.0
    unimodal_concentrations: bool | str = False
    smooth_concentrations: float = 0.0

    def __post_init__(self):
        """Refuse negative weights."""
        for name in ("smoothness", "sparsity", "minimum_volume", "smooth_concentrations"):
            check_at_least(f"--priors.{name}", getattr(self, name), 0)
        if isinstance(self.unimodal_concentrations, str):
            number_list("--priors.unimodal_concentrations", self.unimodal_concentrations)

    def chosen(self, run_lengths: tuple[int, ...] | None = None) -> "tuple[PriorFactory, ...]":
        """The priors that are asked for; what must hold exactly comes last.

        Args:
            run_lengths: of the runs of samples; one if None.
        """
        from jaxhsi.gmcr.concentration_priors import smooth_concentrations
        from jaxhsi.gmcr.priors import closure, minimum_volume, smoothness, sparsity, unimodality

        weights = {smoothness: self.smoothness, sparsity: self.sparsity}
        made = [prior(weight) for prior, weight in weights.items() if weight]
        if self.minimum_volume:
            made.append(minimum_volume(self.minimum_volume, unit_rows=not self.closure))
        if self.smooth_concentrations:
            weight = self.smooth_concentrations
            made.append(partial(smooth_concentrations, weight, run_lengths))
        exact = [unimodality()] * self.unimodal
        if self.unimodal_concentrations:
            peaked = self._unimodal_components()
            exact.append(unimodality("concentrations", run_lengths=run_lengths, components=peaked))
        return (*made, *exact, *([closure()] * self.closure))

    def _unimodal_components(self) -> tuple[bool, ...] | None:
        """Which components have a single peak in each run; None for all."""
        chosen = self.unimodal_concentrations
        if not isinstance(chosen, str):
            return None
        numbers = number_list("--priors.unimodal_concentrations", chosen)
        return tuple(number in numbers for number in range(1, max(numbers) + 1))
