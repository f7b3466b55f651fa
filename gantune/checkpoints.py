"""Checkpoint files: weights beside a readable ``meta`` file, replaced without a gap. No torch.

Several processes can believe that a trial is theirs: after the driver was killed its workers go on
for seconds. Each opening of a trial is an *attempt* with a number of its own, and every file
carries the number of the attempt that wrote it, so that a stale process never overwrites a newer
one's.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from gantune.errors import CheckpointError, GantuneError
from gantune.storage import read_json, write_atomically, write_json

READ_ATTEMPTS = 3


class Checkpoint(NamedTuple):
    """A checkpoint as read.

    Attributes:
        data: The weights, in safetensors' format.
        meta: Everything else: epoch, configuration, records.
        path: The file of the weights.
    """

    data: bytes
    meta: dict[str, Any]
    path: Path


def claim_attempt(trial_folder: Path) -> int:
    """Takes the next attempt number of a trial; no two processes get the same."""
    trial_folder.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        try:
            (trial_folder / f"attempt-{number:03d}").touch(exist_ok=False)
        except FileExistsError:
            continue
        return number
    raise AssertionError("count() does not end")


class Found(NamedTuple):
    """What was found in a folder of checkpoints.

    Attributes:
        checkpoint: The newest whole one; None where there is none.
        damage: Of each newer one that was passed over, what is damaged.
    """

    checkpoint: Checkpoint | None
    damage: Sequence[str]

    @property
    def notes(self) -> list[str]:
        """What to say of a trial that goes on from here."""
        found = self.checkpoint
        how = f"goes on from epoch {found.meta['epoch']}" if found else "begins anew"
        return [f"{damage}; its trial {how}, to the same numbers" for damage in self.damage]


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """Reads the newest whole checkpoint of a folder; None where there is none."""
    return find_checkpoint(folder).checkpoint


def find_checkpoint(folder: Path) -> Found:
    """Finds the newest whole checkpoint of a folder, and names those that are damaged.

    The trial then goes on from an older one, or from its beginning, to the same numbers.
    """
    damage: list[str] = []
    for path in _metas(folder):
        try:
            checkpoint = _read(path)
        except CheckpointError as error:
            if str(error) not in damage:  # weights that two describe
                damage.append(str(error))
            continue
        if checkpoint is not None:
            return Found(checkpoint, damage)
    return Found(None, damage)


def _metas(folder: Path) -> list[Path]:
    """Meta files, the newest attempt first, and of an attempt the one before last."""
    # A dot sorts behind the dash of "-before".
    return sorted(folder.glob("meta-*.json"), reverse=True)


def _read(path: Path) -> Checkpoint | None:
    """What a meta file describes; None where it has been removed meanwhile."""
    for _ in range(READ_ATTEMPTS):
        try:
            return _whole(path)
        except FileNotFoundError:
            continue  # replaced between reading the two: read the new ones
    if path.exists():
        raise CheckpointError(f"{path} is damaged: its weights are not there")
    return None


def _whole(path: Path) -> Checkpoint:
    try:
        meta = read_json(path)
        seal = meta.pop("seal", None)  # earlier ones have none
        weights, told = path.with_name(Path(meta["weights"]).name), meta["sha256"]
        is_whole = seal in (None, _seal_of(meta))
    except FileNotFoundError:
        raise
    except (GantuneError, OSError, AttributeError, KeyError, TypeError, ValueError):
        is_whole = False
    if not is_whole:
        raise CheckpointError(f"{path} is damaged")
    if weights.exists() and not weights.is_file():
        raise CheckpointError(f"{weights} is damaged: it is no plain file")
    data = weights.read_bytes()
    if hashlib.sha256(data).hexdigest() != told:
        raise CheckpointError(f"{weights} is damaged")
    return Checkpoint(data, meta, weights)


class CheckpointWriter:
    """Writes the checkpoints of one attempt into a folder."""

    def __init__(self, folder: Path, attempt: int, *, keeps_previous: bool = False) -> None:
        """Makes a writer.

        Args:
            folder: Where to.
            attempt: Whose.
            keeps_previous: Whether the one before the last stays, for the case that the last is
                damaged.
        """
        self._folder, self._attempt, self._most = folder, attempt, 2 if keeps_previous else 1
        self._meta = folder / f"meta-{attempt:03d}.json"
        self._meta_before = folder / f"meta-{attempt:03d}-before.json"
        self._weights: list[Path] = []
        self._sum: dict[str, str] = {}

    def write(self, data: bytes, meta: Mapping[str, Any]) -> None:
        """Replaces this attempt's checkpoint; the meta file is the moment at which it counts.

        Args:
            data: The weights, in safetensors' format.
            meta: JSON data with at least ``epoch``.
        """
        weights = self._folder / f"{self._attempt:03d}-{meta['epoch']:06d}.safetensors"
        write_atomically(weights, data)
        is_new, before = weights not in self._weights, self._described()
        self._sum = {"weights": weights.name, "sha256": hashlib.sha256(data).hexdigest()}
        self.amend(meta)
        if is_new:
            self._weights.append(weights)
            if before is not None:
                # Last: until then an older one is described there whose weights are there, too.
                write_atomically(self._meta_before, before)
            self._drop_older(self._most)

    def _described(self) -> bytes | None:
        """The meta file of the one that is to stay; None: there is none, or its folder is gone."""
        if self._most > 1:
            with suppress(FileNotFoundError):
                return self._meta.read_bytes()
        return None

    def amend(self, meta: Mapping[str, Any]) -> None:
        """Replaces the meta file alone; the weights stay those of the last :meth:`write`."""
        told = {**meta, **self._sum}
        write_json(self._meta, {**told, "seal": _seal_of(told)})

    def drop_previous(self) -> None:
        """Removes the one before the last: nothing is written after it any more."""
        self._meta_before.unlink(missing_ok=True)
        self._drop_older(1)

    def _drop_older(self, most: int) -> None:
        while len(self._weights) > most:
            self._weights.pop(0).unlink(missing_ok=True)


def _seal_of(meta: Mapping[str, Any]) -> str:
    """Of all that a meta file says: a flipped digit of a record is damage, too."""
    return hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()


def drop_stale(folder: Path) -> None:
    """Removes all but the newest checkpoint of a trial that has ended."""
    metas = _metas(folder)
    if not metas:
        return
    for path in metas[1:]:
        path.unlink(missing_ok=True)
    try:
        checkpoint = _read(metas[0])
    except CheckpointError:
        checkpoint = None
    for path in folder.glob("*.safetensors"):
        # Also of its own attempt: a crash between writing one and removing the one before.
        if checkpoint is None or path != checkpoint.path:
            path.unlink(missing_ok=True)


def remove_checkpoint(folder: Path) -> int:
    """Removes a checkpoint of all attempts; returns how many bytes it had.

    The newest meta file is the last to go, then the weights: what a crash leaves is either the
    newest checkpoint or none, and the next call removes it.
    """
    if not folder.is_dir():
        return 0
    metas = _metas(folder)[::-1]
    freed = 0
    for path in [*metas, *(path for path in folder.iterdir() if path not in metas)]:
        with suppress(FileNotFoundError):
            freed += path.stat().st_size
            path.unlink()
    # A worker that outlives its killed driver by seconds may still write here.
    with suppress(OSError):
        folder.rmdir()
    return freed
