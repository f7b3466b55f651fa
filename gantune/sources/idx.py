"""IDX files, the format of MNIST: a header of big-endian numbers, then bytes."""

import gzip
import math
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from gantune.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FIELD = "data.root"
IMAGES, LABELS = "-images-idx3-ubyte", "-labels-idx1-ubyte"
TRAINING = "train"
LAYOUTS = ("", "MNIST/raw")
PIECE = 2**20


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class IdxFiles(NamedTuple):
    """A file of images and, where there is one, its file of labels."""

    images: Path
    labels: Path | None


def find_idx(root: str, layouts: tuple[str, ...] = ("",)) -> IdxFiles:
    """Finds the files of a set.

    Args:
        root: The folder.
        layouts: Sub-folders to look into, in this order.

    Raises:
        DataError: There is no file of images, or several of which none is ``train-*``.
    """
    folders = [Path(root).expanduser() / layout for layout in layouts]
    for folder in folders:
        found = _named(folder, IMAGES) if folder.is_dir() else {}
        chosen = {stem: path for stem, path in found.items() if stem.startswith(TRAINING)} or found
        if len(chosen) > 1:
            names = ", ".join(path.name for path in chosen.values())
            raise DataError(FIELD, f"{folder} has several sets, and one is needed: {names}")
        for stem, path in chosen.items():
            labels = _named(folder, LABELS)
            return IdxFiles(path, labels[stem] if stem in labels else None)
    if not folders[0].is_dir():
        raise DataError(FIELD, f"{folders[0]} is no folder")
    raise DataError(FIELD, f"{folders[0]} has no *{IMAGES} or *{IMAGES}.gz file")


def _named(folder: Path, ending: str) -> dict[str, Path]:
    """Files by the start of their names; one that is not compressed counts before its like."""
    found = {}
    for suffix in (".gz", ""):
        for path in sorted(folder.glob(f"*{ending}{suffix}")):
            found[path.name.removesuffix(suffix).removesuffix(ending)] = path
    return found


def read_shape(files: IdxFiles) -> tuple[int, int, int]:
    """(n, H, W) of a set, from the headers of its files.

    Raises:
        DataError: A header is damaged, or there are not as many labels as images.
    """
    n, height, width = _read(files.images, 3, header_only=True)[0]
    if files.labels is not None:
        (count,) = _read(files.labels, 1, header_only=True)[0]
        if count != n:
            message = f"{files.labels} has {count} labels for the {n} images of {files.images}"
            raise DataError(FIELD, message)
    return n, height, width


def read_images(files: IdxFiles) -> "NDArray[np.uint8]":
    """The (n, 1, H, W) images of a set.

    Raises:
        DataError: The file is damaged.
    """
    import numpy as np

    (n, height, width), content = _read(files.images, 3)
    return np.frombuffer(content, np.uint8).reshape(n, 1, height, width)


def read_labels(files: IdxFiles) -> "NDArray[np.int64] | None":
    """The (n,) labels of a set; None where there are none.

    Raises:
        DataError: The file is damaged.
    """
    import numpy as np

    if files.labels is None:
        return None
    return np.frombuffer(_read(files.labels, 1)[1], np.uint8).astype(np.int64)


def _read(path: Path, axes: int, *, header_only: bool = False) -> tuple[tuple[int, ...], bytearray]:
    """Shape and content of a file of unsigned bytes with so many axes."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            shape = _read_header(file, path, axes)
            content = bytearray() if header_only else _read_content(file, path, math.prod(shape))
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(FIELD, f"{path} cannot be read: {error}") from None
    return shape, content


def _read_header(file: _Readable, path: Path, axes: int) -> tuple[int, ...]:
    header = file.read(4 + 4 * axes)
    expected = bytes([0, 0, 8, axes])
    if header[:4] != expected:
        message = f"{path} is no IDX file of bytes with {axes} axes: it begins with "
        raise DataError(FIELD, f"{message}{header[:4].hex()}, not {expected.hex()}")
    if len(header) < 4 + 4 * axes:
        raise DataError(FIELD, f"{path} is truncated: it ends within its header")
    shape = tuple(int.from_bytes(header[i : i + 4]) for i in range(4, len(header), 4))
    if 0 in shape:
        raise DataError(FIELD, f"{path} is empty: its shape is {shape}")
    return shape


def _read_content(file: _Readable, path: Path, size: int) -> bytearray:
    # In pieces: a damaged header can promise more than there is memory for.
    content = bytearray()
    while len(content) < size and (piece := file.read(min(PIECE, size - len(content)))):
        content += piece
    if len(content) < size:
        message = f"{path} is truncated: {len(content):,} of {size:,} bytes are there"
        raise DataError(FIELD, message)
    if file.read(1):
        raise DataError(FIELD, f"{path} has more bytes than the {size:,} of its header")
    return content
