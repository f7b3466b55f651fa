"""Samples as pictures: a grid of images, a scatter of points, an animation. No torch.

The bytes of a picture depend on the samples only, so one that is made again is the same file.
"""

import io
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gantune.errors import GantuneError
from gantune.parts.data import AnyData, Grid, Ring
from gantune.storage import read_bounded

GRID_SIDE = 400
"""Pixels that a grid is enlarged to, about; one that is larger stays as it is."""
SCATTER_SIDE = 320
DOT = 1
FRAME_MS = 300

MAX_PIXELS = 20_000_000
"""Of a picture that is read: 1,024 images of 128 pixels a side, or 64 of 512, and some more."""
MAX_SIDE = 16_383
"""Of a WebP."""
MAX_ANIMATED = 2**29
"""Pixels of an animation's pictures in all: 2 GB while it is made."""

_DAMAGED = (OSError, SyntaxError, ValueError, IndexError, Image.DecompressionBombError)
"""Pillow's ways to say that a picture is damaged."""

_BACKGROUND = 255
_INK = 40


def samples_to_picture(samples: NDArray[np.float32], data: AnyData) -> Image.Image:
    """Draws samples.

    Args:
        samples: (n, C, H, W) images in [-1, 1], C 1 or 3, or (n, 2) points; n >= 1.
        data: The data set that they imitate: it sets the frame around points.
    """
    if samples.ndim == 2:
        return _scatter(samples, half_side(data))
    return _grid(samples)


def picture_to_png(picture: Image.Image) -> bytes:
    """Encodes a picture, fast rather than small."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def pngs_to_animation(frames: Iterable[bytes]) -> bytes | None:
    """An animated WebP, without loss, of the PNGs that are whole; None if there is none.

    Pictures that are not as large as the first are left out, and those for which there is no room.
    """
    whole, room = list[Image.Image](), MAX_ANIMATED
    for frame in frames:
        picture = open_png(frame)
        if picture is None or (whole and picture.size != whole[0].size):
            continue
        room -= picture.width * picture.height
        if room < 0:
            break
        whole.append(picture.convert("RGB"))
    if not whole:
        return None
    first, *others = whole
    buffer = io.BytesIO()
    first.save(
        buffer,
        "WEBP",
        save_all=True,
        append_images=others,
        duration=FRAME_MS,
        loop=0,
        lossless=True,
        method=0,
    )
    return buffer.getvalue()


def read_png(path: Path) -> bytes:
    """A picture's file; empty where it is none that a run could have written.

    Whoever has made the run can have put anything there: a link that leads out of it, a pipe that
    nobody writes to.
    """
    try:
        return b"" if path.is_symlink() else read_bounded(path)
    except (GantuneError, OSError):
        return b""


def open_png(png: bytes) -> Image.Image | None:
    """The picture in a PNG's bytes, read to its end; None of damaged, huge or other ones.

    Left to choose, Pillow goes by the first bytes, and starts Ghostscript on a page of PostScript.
    """
    width, height = png_size(png)
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        return None
    try:
        picture = Image.open(io.BytesIO(png), formats=("PNG",))
        if picture.size != (width, height):  # a second header
            return None
        return picture.convert("L" if picture.mode == "L" else "RGB")
    except _DAMAGED:
        return None


def png_size(png: bytes) -> tuple[int, int]:
    """Width and height, from the header."""
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


def _grid(images: NDArray[np.float32]) -> Image.Image:
    """About as many rows as columns, a white line between, each pixel a square."""
    count, channels, height, width = images.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    cell_height, cell_width = height + 1, width + 1
    shape = (rows * cell_height + 1, columns * cell_width + 1, channels)
    canvas: NDArray[np.uint8] = np.full(shape, _BACKGROUND, dtype=np.uint8)
    pixels = _to_bytes(images).transpose(0, 2, 3, 1)
    for index, image in enumerate(pixels):
        top, left = index // columns * cell_height + 1, index % columns * cell_width + 1
        canvas[top : top + height, left : left + width] = image
    scale = max(1, round(GRID_SIDE / canvas.shape[1]))
    return _enlarged(Image.fromarray(canvas[:, :, 0] if channels == 1 else canvas), scale)


def _to_bytes(images: NDArray[np.float32]) -> NDArray[np.uint8]:
    # A linear output is not bounded, and NaN has no colour: black.
    finite = np.nan_to_num(images, nan=-1.0)
    scaled: NDArray[Any] = np.rint((np.clip(finite, -1, 1) + 1) * 127.5)
    return scaled.astype(np.uint8)


def _enlarged(picture: Image.Image, scale: int) -> Image.Image:
    size = (picture.width * scale, picture.height * scale)
    return picture.resize(size, Image.Resampling.NEAREST)


def _scatter(points: NDArray[np.float32], reach: float) -> Image.Image:
    """Dots in [-reach, reach]^2, y upwards; what is further out lies on the border."""
    canvas: NDArray[np.uint8] = np.full((SCATTER_SIDE, SCATTER_SIDE), _BACKGROUND, dtype=np.uint8)
    finite = points[np.isfinite(points).all(axis=1)].astype(np.float64)
    places = np.rint((np.clip(finite / reach, -1, 1) + 1) / 2 * (SCATTER_SIDE - 1))
    columns, rows = places[:, 0].astype(int), SCATTER_SIDE - 1 - places[:, 1].astype(int)
    for down in range(-DOT, DOT + 1):
        for right in range(-DOT, DOT + 1):
            row = np.clip(rows + down, 0, SCATTER_SIDE - 1)
            column = np.clip(columns + right, 0, SCATTER_SIDE - 1)
            canvas[row, column] = _INK
    return Image.fromarray(canvas)


def half_side(data: AnyData) -> float:
    """Half the side of a frame that holds a mixture with room around it."""
    if isinstance(data, Ring):
        return 1.5 * data.radius + 3 * data.std
    assert isinstance(data, Grid), f"{data.name} has no points"
    return data.side * data.spacing / 2 + 3 * data.std
