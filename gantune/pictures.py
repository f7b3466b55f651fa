"""Samples as pictures: a grid of images, a scatter of points, an animation. No torch.

The bytes of a picture depend on the samples only, so one that is made again is the same file.
"""

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gantune.parts.data import AnyData, Grid, Ring

GRID_SIDE = 400
"""Pixels that a grid is enlarged to, about; one that is larger stays as it is."""
SCATTER_SIDE = 320
DOT = 1
FRAME_MS = 300

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


def pngs_to_animation(frames: Sequence[bytes]) -> bytes | None:
    """An animated WebP, without loss, of the PNGs that are whole; None if there is none."""
    whole = [picture for frame in frames if (picture := _read(frame)) is not None]
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


def _read(png: bytes) -> Image.Image | None:
    try:
        return Image.open(io.BytesIO(png)).convert("RGB")
    except (OSError, SyntaxError):  # Pillow's ways to say that a file is damaged
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
