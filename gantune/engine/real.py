"""Real samples that a run keeps, to be looked at beside the generated ones. No torch.

Whoever opens a run looks at what it has kept: the folder that its study names is another one on
another machine, and whoever has made the run can have named any.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import BaseModel, Field, FiniteFloat, ValidationError

from gantune.engine.datasets.base import Dataset, split
from gantune.engine.datasets.small import digits, mixture
from gantune.errors import DataError, GantuneError
from gantune.parts.data import AnyData, Digits, Grid, Ring
from gantune.paths import RunPaths
from gantune.pictures import open_png, picture_to_png, read_png, samples_to_picture
from gantune.storage import read_json, write_atomically, write_json

SHOWN = 64
POINTS = 2500


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


class _Modes(BaseModel):
    shares: tuple[Annotated[float, Field(ge=0, le=1)], ...] | None
    centers: tuple[tuple[FiniteFloat, FiniteFloat], ...] | None


def keep_real(paths: RunPaths, data: Dataset, options: AnyData) -> None:
    """Keeps a look at a run's data with the run, if there is none yet and there is room for it."""
    if paths.real_samples.exists():
        return
    try:
        found = look(data, options)
    except DataError:  # an image that cannot be read: told by whoever comes to train on it
        return
    with suppress(OSError):  # a full disk is told where it costs something
        write_json(
            paths.real_modes, _Modes(shares=found.shares, centers=found.centers).model_dump()
        )
        write_atomically(paths.real_samples, found.picture)


def read_real(paths: RunPaths, options: AnyData) -> RealData | None:
    """What a run has kept of its data; None where that is nothing, or damaged.

    Of an earlier version's run it is nothing; data that lie in no folder are the same everywhere.
    """
    if not paths.real_samples.exists():
        return _made(options)
    picture = read_png(paths.real_samples)
    if open_png(picture) is None:
        return None
    try:
        modes = _Modes.model_validate(read_json(paths.real_modes))
    except (GantuneError, OSError, ValidationError):
        return None
    return RealData(picture, modes.shares, modes.centers)


def _made(options: AnyData) -> RealData | None:
    if isinstance(options, Digits):
        return look(split(digits(options), options), options)
    if isinstance(options, Ring | Grid):
        return look(split(mixture(options), options), options)
    return None


def look(data: Dataset, options: AnyData) -> RealData:
    """Draws some training samples, and counts all of them.

    Raises:
        DataError: One of them cannot be read.
    """
    count = POINTS if data.centers is not None else SHOWN
    chosen = np.random.default_rng(0).permutation(len(data.train))[:count]
    samples = np.asarray(data.train[np.sort(chosen)])
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
