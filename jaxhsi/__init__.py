"""jaxhsi: label-free segmentation of hyperspectral cubes and unmixing of spectra, in JAX."""
