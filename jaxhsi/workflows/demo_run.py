"""Both methods on small built-in data, for a first look."""

from pathlib import Path
from typing import Any

from jaxhsi.config.demo import DemoConfig
from jaxhsi.config.dgc import DGCConfig, SceneOptions
from jaxhsi.config.gmcr import GMCRConfig
from jaxhsi.data.synthetic.mixture_options import MixtureOptions
from jaxhsi.training.console import PlainConsole
from jaxhsi.training.run_folder import next_free_folder
from jaxhsi.workflows.dgc_run import run_dgc
from jaxhsi.workflows.gmcr_run import run_gmcr

SCENES = SceneOptions(image_size=96, num_train=3, num_test=1, seed=5)  # all have lesions
MIXTURES = MixtureOptions(num_components=4, bands=100)
"""Small enough for a minute on two cores, large enough for both methods to find what there is."""


def run_demo(config: DemoConfig, *, overwrite: bool = False) -> dict[str, Any]:
    """Segment leaf scenes and unmix mixtures, each into a folder.

    Args:
        config: the options.
        overwrite: delete the runs that are in the folder.

    Returns:
        The scores of both runs, and their folder.

    Raises:
        FileExistsError: the folder holds runs already.
    """
    console, folder = PlainConsole(), config.out or next_free_folder(Path("runs"), "demo")
    console.rule("train dgc: leaf scenes with lesions, segmented without labels")
    dgc_config = DGCConfig(
        out=folder / "dgc", num_clusters=8, steps=100, seed=config.seed, scenes=SCENES
    )
    dgc_scores = run_dgc(dgc_config, overwrite=overwrite)
    console.rule("train gmcr: mixed spectra, their components and concentrations")
    gmcr_config = GMCRConfig(
        out=folder / "gmcr", num_samples=200, seed=config.seed, mixture=MIXTURES, restarts=2
    )
    gmcr_scores = run_gmcr(gmcr_config, overwrite=overwrite)
    for line in (
        f"look at {folder / 'dgc' / 'report.html'} in a browser",
        f"look at {folder / 'gmcr' / 'report.html'} in a browser",
        f"pictures of the clusters are in {folder / 'dgc' / 'pictures'}",
        f"spectra of the components are in {folder / 'gmcr' / 'components.csv'}",
        f"next: jaxhsi group {folder / 'dgc'} shows how the clusters merge into groups",
        "next: jaxhsi inspect FILE shows what is read of a cube or table of yours",
        "next: jaxhsi train gmcr --data TABLE unmixes a table of spectra of yours",
    ):
        console.print(f"- {line}", soft_wrap=True)
    return {"folder": str(folder), "dgc": dgc_scores, "gmcr": gmcr_scores}
