"""The smallest method of upstream on the scene of `scenes.py`."""

from functools import cache

from jaxhsi.dgc.state import SegmentationAlgorithm
from jaxhsi.upstream.dgc.algorithm import prototype_dgc, upstream_optimizer
from jaxhsi.upstream.dgc.encoder import upstream_encoder
from jaxhsi.upstream.dgc.options import LossWeights, PrototypeOptions
from tests.helpers.dgc_method import VIEWS
from tests.helpers.scenes import BANDS


@cache
def upstream_method(mesh=None, **weights: float) -> SegmentationAlgorithm:
    encoder = upstream_encoder(BANDS, 4)
    options = PrototypeOptions(mean_shift_iterations=2, loss_weights=LossWeights(**weights))
    return prototype_dgc(encoder, 3, 4, upstream_optimizer(1e-3), options, VIEWS, mesh)
