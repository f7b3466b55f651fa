"""Pictures of samples, small enough to stand in a page."""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gantune.paths import RunPaths, refuse_linked
from gantune.pictures import MAX_PIXELS, open_png, png_size, read_png

MAX_IN_ALL = 2**29
"""Pixels of a report's pictures: a minute or two where they are made to take long."""


@dataclass(frozen=True)
class Grid:
    """Pictures of one trial's samples, the same latents in each.

    Attributes:
        epochs: In order.
        webps: The pictures at their natural size, without loss.
        sizes: (width, height) of each.
    """

    epochs: tuple[int, ...]
    webps: tuple[bytes, ...]
    sizes: tuple[tuple[int, int], ...]


def picture_epochs(paths: RunPaths, number: int) -> list[tuple[int, Path]]:
    """A trial's pictures by epoch.

    Raises:
        UsageError: A link leads out of the run.
    """
    refuse_linked(paths.samples(number), paths.root)
    files = sorted(paths.samples(number).glob("epoch-*.png"))
    return [(int(p.stem.removeprefix("epoch-")), p) for p in files if p.stem[6:].isdecimal()]


def grids(paths: RunPaths, numbers: Sequence[int], most: int, budget: int) -> dict[int, Grid]:
    """Pictures of trials over time, for as many trials as the budget allows.

    Args:
        paths: The run.
        numbers: Trials, those that matter most first.
        most: Pictures of one trial; the first and the last are among them.
        budget: Bytes in all.

    Raises:
        UsageError: A link leads out of the run.
    """
    found: dict[int, Grid] = {}
    pixels = MAX_IN_ALL
    for number in numbers:
        files = picture_epochs(paths, number)
        read = [(files[i][0], read_png(files[i][1])) for i in _spread(len(files), most)]
        pixels -= sum(min(math.prod(png_size(png)), MAX_PIXELS) for _, png in read)
        if pixels < 0:
            break
        shrunk = [(epoch, shrink(png)) for epoch, png in read]
        whole = [(epoch, *small) for epoch, small in shrunk if small is not None]
        size = sum(len(webp) for _, webp, _ in whole)
        if size > budget:
            break
        budget -= size
        if whole:
            epochs, webps, sizes = zip(*whole, strict=True)
            found[number] = Grid(tuple(epochs), tuple(webps), tuple(sizes))
    return found


def _spread(count: int, most: int) -> list[int]:
    if count <= most:
        return list(range(count))
    return sorted({round(i * (count - 1) / (most - 1)) for i in range(most)})


def shrink(png: bytes) -> tuple[bytes, tuple[int, int]] | None:
    """A picture whose pixels were enlarged, at its natural size; None of a damaged one."""
    picture = open_png(png)
    if picture is None:
        return None
    pixels = np.asarray(picture)
    factor = _enlargement(pixels)
    small = Image.fromarray(np.ascontiguousarray(pixels[::factor, ::factor]))
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", lossless=True, quality=60, method=3)
    return buffer.getvalue(), small.size


def _enlargement(pixels: NDArray[np.uint8]) -> int:
    """By how much each pixel was repeated along both axes."""
    height, width = pixels.shape[:2]
    for factor in range(min(20, height, width), 1, -1):
        if height % factor or width % factor:
            continue
        small = pixels[::factor, ::factor]
        if np.array_equal(small.repeat(factor, 0).repeat(factor, 1), pixels):
            return factor
    return 1


def data_url(webp: bytes) -> str:
    """A picture as an address that needs no network."""
    return f"data:image/webp;base64,{base64.b64encode(webp).decode()}"
