"""scikit-learn estimators of both methods, for pipelines, searches and hyperspy.

They call :func:`jaxhsi.unmix` and :func:`jaxhsi.segment` and give the same numbers; parameters and
attributes have scikit-learn's names. Needs ``pip install 'jaxhsi[sklearn]'``::

    from jaxhsi.estimators import DGC, EBgMCR

    concentrations = EBgMCR().fit_transform(spectra)
    labels = DGC(n_clusters=8).fit_predict(cube)
"""

from importlib.util import find_spec

if find_spec("sklearn") is None:
    raise ImportError("jaxhsi.estimators needs scikit-learn: pip install 'jaxhsi[sklearn]'")

from jaxhsi.estimators.dgc import DGC
from jaxhsi.estimators.ebgmcr import EBgMCR

__all__ = ["DGC", "EBgMCR"]
