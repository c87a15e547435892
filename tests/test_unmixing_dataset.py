"""Images as xarray arrays, unmixed: maps with the coordinates of the image."""

import jax
import numpy as np
import pytest

import jaxhsi
from jaxhsi.data.synthetic.mixture_options import MixtureOptions
from jaxhsi.data.synthetic.mixtures import mixtures
from jaxhsi.gmcr.options import AmortisedOptions
from tests.helpers.mixtures import OPTIONS

xarray = pytest.importorskip("xarray", reason="xarray is not installed")


@pytest.mark.slow
def test_an_image_becomes_maps_with_its_coordinates():
    options = MixtureOptions(num_components=3, bands=50, max_mixed=2, snr_db=30.0)
    made = jax.device_get(mixtures(jax.random.key(0), 40, options))
    image = xarray.DataArray(
        np.array(made.data).reshape(8, 5, 50).transpose(2, 0, 1),
        dims=("band", "y", "x"),
        coords={"wavelength": ("band", 400.0 + np.arange(50)), "y": np.arange(8.0)},
        name="reflectance",
    )
    image[:, 0, 0] = np.nan
    network_options = AmortisedOptions(
        training_steps=100, batch_size=32, steps_per_call=100, hidden_width=8
    )
    result = jaxhsi.unmix(
        image, restarts=1, ranges=False, options=OPTIONS, network_options=network_options
    )
    maps = result.to_xarray()
    assert maps["concentrations"].dims == ("y", "x", "component")
    assert maps["concentrations"].shape == (8, 5, 3)
    assert maps["components"].dims == ("component", "band")
    np.testing.assert_array_equal(maps["y"], image["y"])
    np.testing.assert_array_equal(maps["components"]["wavelength"], image["wavelength"])
    assert np.isnan(maps["concentrations"].values[0, 0]).all()
    unmixed = maps["concentrations"].values.reshape(40, 3)[1:]
    rebuilt = unmixed @ maps["components"].values
    signal = np.asarray(made.data)[1:]
    assert np.mean((rebuilt - signal) ** 2) < 0.01 * np.mean(signal**2)
