"""Pictures of samples, real and generated, small enough to stand in a page."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gantune.engine.datasets.base import Source, split
from gantune.engine.datasets.downloaded import IDX_CLASSES
from gantune.engine.datasets.files import idx_set, idx_source, image_folder, npz_set, stacked_mnist
from gantune.engine.datasets.small import digits, mixture
from gantune.errors import DataError
from gantune.parts.data import AnyData, Downloaded
from gantune.paths import RunPaths
from gantune.pictures import picture_to_png, samples_to_picture
from gantune.sources.idx import find_idx

SHOWN = 64
POINTS = 2500
MAX_LABELLED = 200

READERS: dict[str, Any] = {
    "digits": digits,
    "ring": mixture,
    "grid": mixture,
    "idx": idx_set,
    "npz": npz_set,
    "image_folder": image_folder,
    "stacked_mnist": stacked_mnist,
}
"""Data sets that are read without torch."""


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


@dataclass(frozen=True)
class RealData:
    """What the generators imitate.

    Attributes:
        picture: Real training samples, laid out like the generated ones.
        shares: Of the training data in each class or mode; None where there are no labels.
        centers: (x, y) of a mixture's modes; None for images.
    """

    picture: bytes
    shares: tuple[float, ...] | None
    centers: tuple[tuple[float, float], ...] | None


def real_data(options: AnyData) -> RealData | None:
    """A look at a trial's data; None where it is not on this machine or needs torch to be read."""
    try:
        source = _source(options)
        if source is None:
            return None
        data = split(source, options)
        count = POINTS if data.centers is not None else SHOWN
        chosen = np.random.default_rng(0).permutation(len(data.train))[:count]
        samples = np.asarray(data.train[np.sort(chosen)])
    except (DataError, OSError):
        return None
    scaled = samples / np.float32(127.5) - 1 if samples.dtype == np.uint8 else samples
    picture = samples_to_picture(scaled.astype(np.float32), options)
    shares = None
    if data.labels is not None and data.classes:
        counts = np.bincount(data.labels, minlength=data.classes)
        shares = tuple(float(count) / len(data.labels) for count in counts)
    centers = None
    if data.centers is not None:
        centers = tuple((float(x), float(y)) for x, y in data.centers)
    return RealData(picture_to_png(picture), shares, centers)


def _source(options: AnyData) -> Source | None:
    if isinstance(options, Downloaded) and options.name in IDX_CLASSES:
        folder = Path(options.root).expanduser()
        layout = (f"{IDX_CLASSES[options.name]}/raw",)
        return idx_source(find_idx(str(folder), layout), options.image_size)
    reader = READERS.get(options.name)
    found: Source | None = reader(options) if reader else None
    return found


def picture_epochs(paths: RunPaths, number: int) -> list[tuple[int, Path]]:
    """A trial's pictures by epoch."""
    files = sorted(paths.samples(number).glob("epoch-*.png"))
    return [(int(p.stem.removeprefix("epoch-")), p) for p in files if p.stem[6:].isdecimal()]


def grids(paths: RunPaths, numbers: Sequence[int], most: int, budget: int) -> dict[int, Grid]:
    """Pictures of trials over time, for as many trials as the budget allows.

    Args:
        paths: The run.
        numbers: Trials, those that matter most first.
        most: Pictures of one trial; the first and the last are among them.
        budget: Bytes in all.
    """
    found: dict[int, Grid] = {}
    for number in numbers:
        files = picture_epochs(paths, number)
        keep = _spread(len(files), most)
        read = [(files[i][0], shrink(_read(files[i][1]))) for i in keep]
        whole = [(epoch, *small) for epoch, small in read if small is not None]
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


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # removed while we looked: the trial fell out of the best
        return b""


def shrink(png: bytes) -> tuple[bytes, tuple[int, int]] | None:
    """A picture whose pixels were enlarged, at its natural size; None of a damaged one."""
    try:
        image = Image.open(io.BytesIO(png))
        pixels = np.asarray(image.convert("L" if image.mode == "L" else "RGB"))
    except (OSError, SyntaxError, ValueError):  # Pillow's ways to say that a file is damaged
        return None
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
