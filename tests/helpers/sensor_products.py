"""A small scene as products of sensors hold it."""

import numpy as np

from tests.data.cases.scenes import counts, save_hdf5, scene, wavelengths

CUBE, WAVES = scene(24, 20, 16), wavelengths(16)
STORED = counts(CUBE)


def save_prisma(path, level="2D", **root):
    """VNIR and SWIR descending and overlapping, the last band of VNIR switched off."""
    order_vnir, order_swir = np.arange(16)[9::-1], np.arange(16)[:6:-1]
    full = np.round(CUBE * 65535).astype(np.uint16).transpose(0, 2, 1)
    vnir_waves = WAVES[order_vnir].copy()
    vnir_waves[-1] = 0
    group = f"HDFEOS/SWATHS/PRS_L{level}_HCO/Data Fields"
    arrays = {
        f"{group}/VNIR_Cube": full[:, order_vnir],
        f"{group}/SWIR_Cube": full[:, order_swir],
        f"{group}/VNIR_PIXEL_L2_ERR_MATRIX": np.zeros((24, 10, 20), np.uint8),
        f"HDFEOS/SWATHS/PRS_L{level}_HCO/Geolocation Fields/Latitude": np.zeros((24, 20)),
        "HDFEOS/SWATHS/PRS_L2D_PCO/Data Fields/Cube": np.zeros((48, 40), np.uint16),
    }
    attributes = {"List_Cw_Vnir": vnir_waves, "List_Cw_Swir": WAVES[order_swir], **root}
    return save_hdf5(path, arrays, {"": attributes})
