"""Folders of image files: their list, and one decoded image at a time."""

import os
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gantune.errors import DataError
from gantune.parts.data import ImageFolder
from gantune.sources.resize import resize

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FIELD = "data.root"
ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
"""Pillow knows others, and starts Ghostscript for one of them."""
MODES = {1: "L", 3: "RGB"}
# Wider than a byte: a conversion would cut their values off.
WIDE_MODES = ("I", "F")


class Listing(NamedTuple):
    """The images of a folder.

    Attributes:
        paths: (n,) in alphabetical order.
        labels: (n,) numbers of their sub-folders; None where there are not two of them.
        classes: The sub-folders' names.
    """

    paths: tuple[str, ...]
    labels: tuple[int, ...] | None
    classes: tuple[str, ...]


@lru_cache(maxsize=8)
def list_images(root: str) -> Listing:
    """Lists a folder's images, with their classes where they lie in sub-folders.

    Raises:
        DataError: There are none, or some lie in the folder and some in sub-folders.
    """
    folder = Path(root).expanduser().absolute()
    if not folder.is_dir():
        raise DataError(FIELD, f"{folder} is no folder")
    flat = _images_in(folder)
    subs = sorted(sub for sub in folder.iterdir() if sub.is_dir() and sub.name[0] != ".")
    classes = {sub.name: found for sub in subs if (found := _images_below(sub))}
    if not flat and not classes:
        raise DataError(FIELD, f"{folder} has no images ({', '.join(ENDINGS)})")
    if flat and classes:
        message = f"{folder} has images of its own ({Path(flat[0]).name}) and in sub-folders"
        raise DataError(FIELD, f"{message} ({next(iter(classes))}): which are the classes?")
    if len(classes) < 2:
        return Listing(tuple(flat or next(iter(classes.values()))), None, ())
    paths = tuple(path for found in classes.values() for path in found)
    labels = tuple(i for i, found in enumerate(classes.values()) for _ in found)
    return Listing(paths, labels, tuple(classes))


def _images_in(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(
            entry.path
            for entry in entries
            if entry.name[0] != "." and entry.name.lower().endswith(ENDINGS) and entry.is_file()
        )


def _images_below(folder: Path) -> list[str]:
    return [path for place, _, _ in sorted(os.walk(folder)) for path in _images_in(Path(place))]


@dataclass(frozen=True)
class ImageFiles:
    """Images that stay in their files: an array (n, C, H, W) of uint8 to whoever indexes it.

    Attributes:
        paths: The files.
        channels: 1 or 3.
        size: Side that images are resized to; None: as stored.
        stored: (path, H, W) of an image that all others must be as large as.
        workers: Processes that decode them during training.
    """

    paths: tuple[str, ...]
    channels: int
    size: int | None
    stored: tuple[str, int, int]
    workers: int = 0

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(n, C, H, W)."""
        height, width = (self.size, self.size) if self.size else self.stored[1:]
        return len(self.paths), self.channels, height, width

    @property
    def dtype(self) -> "np.dtype[np.uint8]":
        """Bytes, as of an array."""
        import numpy as np

        return np.dtype(np.uint8)

    def read(self, index: int) -> "NDArray[np.uint8]":
        """Decodes one image (C, H, W).

        Raises:
            DataError: The file is damaged, or the image not as large as the others.
        """
        image = _decode(self.paths[index], self.channels)
        if self.size is not None:
            return resize(image, self.size)
        path, *side = self.stored
        if image.shape[1:] != tuple(side):
            message = f"{self.paths[index]} is {image.shape[2]}x{image.shape[1]} and {path} "
            raise DataError(FIELD, f"{message}is {side[1]}x{side[0]}: set data.image_size")
        return image

    def __getitem__(self, rows: Any) -> "NDArray[np.uint8]":
        """Decodes the images of a slice or of an array of indices."""
        import numpy as np

        chosen = np.arange(len(self))[rows]
        images = np.empty((len(chosen), *self.shape[1:]), np.uint8)
        for position, index in enumerate(chosen):
            images[position] = self.read(int(index))
        return images

    def only(self, rows: "NDArray[np.int64]") -> "ImageFiles":
        """The files of these rows."""
        return replace(self, paths=tuple(self.paths[row] for row in rows))


def open_files(options: ImageFolder) -> ImageFiles:
    """The files of a folder, of which the first one's header is read.

    Raises:
        DataError: There are none, or the first is no image.
    """
    paths = list_images(options.root).paths
    with _image(paths[0]) as image:
        width, height = image.size
    stored = (paths[0], height, width)
    return ImageFiles(paths, options.channels, options.image_size, stored, options.workers)


def _decode(path: str, channels: int) -> "NDArray[np.uint8]":
    import numpy as np
    from PIL import Image

    try:
        with _image(path) as image:
            if image.mode.split(";")[0] in WIDE_MODES:
                raise DataError(FIELD, f"{path} has pixels of mode {image.mode}, wider than a byte")
            pixels = np.asarray(image.convert(MODES[channels]))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(FIELD, f"{path} cannot be read: {error}") from None
    return np.ascontiguousarray(pixels.reshape(*pixels.shape[:2], channels).transpose(2, 0, 1))


def _image(path: str) -> Any:
    """An open image file of which nothing but the header is read."""
    from PIL import Image

    try:
        return Image.open(path, formats=FORMATS)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(FIELD, f"{path} is no image that can be read: {error}") from None
