"""Rasters at an address, such as cloud-optimised GeoTIFF, read by windows over the network."""

import re
import time
from pathlib import Path
from urllib.error import URLError
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

from jaxhsi.data.cache import fingerprint
from jaxhsi.data.formats.file_errors import import_reader_package
from jaxhsi.data.formats.raster_file import RASTER_SUFFIXES, open_dataset
from jaxhsi.data.network_wait import network_timeout, silence_error
from jaxhsi.storage.replacement import replace_path


def raster_url(text: str) -> str | None:
    """The address of a raster file in a text or a path, or None.

    Args:
        text: as a user gives it; a path has lost one of the two slashes.

    >>> raster_url("https:/example.org/scene.tif"), raster_url("s3://bucket/scene.zarr")
    ('https://example.org/scene.tif', None)
    """
    match = re.fullmatch(r"(https?|s3|gs):/{1,2}(.+)", text)
    if match is None:
        return None
    url = f"{match[1]}://{match[2]}"
    return url if Path(urlsplit(url).path).suffix.lower() in RASTER_SUFFIXES else None


def write_url_raster(url: str, cache_folder: Path) -> Path:
    """Write a virtual raster (.vrt) that stands for the raster at an address.

    Args:
        url: of the raster.
        cache_folder: where to; the same state of the file leads to the same path.

    Returns:
        The path of the virtual raster, which `raster.open_raster` reads.

    Raises:
        FileNotFoundError: there is no such file.
        ConnectionError: the server does not answer.
        ValueError: the file is no raster.
    """
    name = Path(unquote(urlsplit(url).path)).stem
    path = cache_folder / fingerprint((url, _file_state(url))) / f"{name}.vrt"
    if path.is_file():
        return path
    shutil = import_reader_package("rasterio.shutil", path, "a raster")
    start = time.monotonic()
    try:
        with (
            open_dataset(Path(name + Path(urlsplit(url).path).suffix), url) as file,
            replace_path(path) as partial_file,
        ):
            shutil.copy(file, partial_file, driver="VRT")
    except ValueError as error:  # GDAL does not say that it was silence
        if time.monotonic() - start < network_timeout() / 2:
            raise
        raise silence_error(url) from error
    return path


def _file_state(url: str) -> tuple[str, ...]:
    """What tells one state of a file from another; nothing where no server is asked."""
    if not url.startswith("http"):
        return ()
    try:
        with urlopen(Request(url, method="HEAD"), timeout=network_timeout()) as answer:
            names = ("ETag", "Last-Modified", "Content-Length")
            return tuple(answer.headers.get(each, "") for each in names)
    except TimeoutError as error:
        raise silence_error(url) from error
    except URLError as error:
        code = getattr(error, "code", None)
        if code == 404:
            raise FileNotFoundError(f"no file at {url}: the server does not have it") from error
        if code is not None:
            return ()  # servers that do not answer this kind of request
        raise ConnectionError(
            f"{url} does not answer; check the address and the connection ({error.reason})"
        ) from error
