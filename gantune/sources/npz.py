"""Arrays in an .npz file: a zip archive of .npy files, read without running any code."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from gantune.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FIELD = "data.root"
CHANNELS = (1, 3)


class ArrayHeader(NamedTuple):
    """Shape and type of an array on disk."""

    shape: tuple[int, ...]
    dtype: "np.dtype[Any]"


def read_shape(root: str) -> tuple[int, int, int, int]:
    """(n, C, H, W) of the images, from their header.

    Raises:
        DataError: There are no images, or not of a shape and type that images have.
    """
    path = Path(root).expanduser()
    with _member(path, "images") as file:
        assert file is not None
        header = _read_header(file, path, "images")
    kind, shape = header.dtype, header.shape
    if kind != "uint8" and kind.kind != "f":
        raise DataError(FIELD, f"images in {path} are {kind}: make them uint8 or float")
    if len(shape) == 3:
        n, height, width = shape
        channels = 1
    elif len(shape) == 4 and shape[1] in CHANNELS:
        n, channels, height, width = shape
    elif len(shape) == 4 and shape[3] in CHANNELS:
        n, height, width, channels = shape
    else:
        expected = "(n, H, W), (n, H, W, C) or (n, C, H, W) with C 1 or 3"
        raise DataError(FIELD, f"images in {path} have the shape {shape}, not {expected}")
    if 0 in shape:
        raise DataError(FIELD, f"images in {path} are empty: their shape is {shape}")
    return n, channels, height, width


def read_images(root: str) -> "NDArray[np.uint8] | NDArray[np.float32]":
    """The (n, C, H, W) images: bytes, or floats in [-1, 1].

    Floats without a negative number are taken to be in [0, 1], others in [-1, 1].

    Raises:
        DataError: They cannot be read, or are out of range.
    """
    import numpy as np

    path, (n, channels, height, width) = Path(root).expanduser(), read_shape(root)
    images = _read_array(path, "images")
    if images.ndim == 4 and images.shape[1] not in CHANNELS:
        images = images.transpose(0, 3, 1, 2)
    images = np.ascontiguousarray(images.reshape(n, channels, height, width))
    if images.dtype == np.uint8:
        return images
    if not np.isfinite(images).all():
        raise DataError(FIELD, f"images in {path} have numbers that are not finite")
    low, high = float(images.min()), float(images.max())
    if low < -1 or high > 1:
        message = f"images in {path} go from {low:g} to {high:g}; floats are in [0, 1] or [-1, 1]"
        raise DataError(FIELD, message)
    return (images if low < 0 else 2 * images - 1).astype(np.float32)


def read_labels(root: str, count: int) -> "NDArray[np.int64] | None":
    """The (n,) labels; None where there are none.

    Raises:
        DataError: They are no classes, or not as many as the images.
    """
    import numpy as np

    path = Path(root).expanduser()
    with _member(path, "labels") as file:
        if file is None:
            return None
        header = _read_header(file, path, "labels")
    if header.dtype.kind not in "iu" or len(header.shape) != 1:
        found = f"{header.dtype} of shape {header.shape}"
        raise DataError(FIELD, f"labels in {path} are {found}, not integers (n,)")
    if header.shape[0] != count:
        raise DataError(FIELD, f"{path} has {header.shape[0]} labels for {count} images")
    return _read_array(path, "labels").astype(np.int64)


def _read_array(path: Path, name: str) -> "NDArray[Any]":
    import numpy as np

    with _member(path, name) as file:
        assert file is not None
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        # The check sum of the archive is only known at the end.
        file.read(1)
    return array


@contextmanager
def _member(path: Path, name: str) -> "Iterator[IO[bytes] | None]":
    """An array's file within the archive; None where there are no labels."""
    if not path.is_file():
        raise DataError(FIELD, f"{path} is no file")
    try:
        with zipfile.ZipFile(path) as archive:
            if f"{name}.npy" not in archive.namelist():
                if name == "labels":
                    yield None
                    return
                names = ", ".join(n.removesuffix(".npy") for n in archive.namelist()) or "nothing"
                raise DataError(FIELD, f"{path} has no array {name!r}; it has {names}")
            with archive.open(f"{name}.npy") as file:
                yield file
    except (
        OSError,
        EOFError,
        ValueError,
        MemoryError,
        RuntimeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise DataError(FIELD, f"{name} in {path} cannot be read: {error}") from None


def _read_header(file: IO[bytes], path: Path, name: str) -> ArrayHeader:
    import numpy as np

    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        raise DataError(FIELD, f"{name} in {path} has the unknown format {version}")
    return ArrayHeader(shape, dtype)
