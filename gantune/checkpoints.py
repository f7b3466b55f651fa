"""Checkpoint files: weights beside a readable ``meta`` file, replaced without a gap. No torch.

Several processes can believe that a trial is theirs: after the driver was killed its workers go on
for seconds. Each opening of a trial is an *attempt* with a number of its own, and every file
carries the number of the attempt that wrote it, so that a stale process never overwrites a newer
one's.
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from gantune.errors import GantuneError
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


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """Reads the newest whole checkpoint of a folder; None where there is none.

    A damaged one is passed over: the trial then goes on from an older one, or from its beginning,
    to the same numbers.
    """
    for path in _metas(folder):
        checkpoint = _read(path)
        if checkpoint is not None:
            return checkpoint
    return None


def _metas(folder: Path) -> list[Path]:
    """Meta files, the newest attempt first."""
    return sorted(folder.glob("meta-*.json"), reverse=True)


def _read(path: Path) -> Checkpoint | None:
    for _ in range(READ_ATTEMPTS):
        try:
            meta = read_json(path)
            seal = meta.pop("seal", None)  # earlier ones have none
            weights = path.with_name(Path(meta["weights"]).name)
            if weights.exists() and not weights.is_file():
                return None
            data = weights.read_bytes()
            whole = hashlib.sha256(data).hexdigest() == meta["sha256"]
            whole = whole and seal in (None, _seal_of(meta))
        except FileNotFoundError:
            continue  # replaced between reading the two: read the new ones
        except (GantuneError, OSError, AttributeError, KeyError, TypeError, ValueError):
            return None
        return Checkpoint(data, meta, weights) if whole else None
    return None


class CheckpointWriter:
    """Writes the checkpoints of one attempt into a folder."""

    def __init__(self, folder: Path, attempt: int) -> None:
        self._folder, self._attempt = folder, attempt
        self._weights: Path | None = None
        self._sum: dict[str, str] = {}

    def write(self, data: bytes, meta: Mapping[str, Any]) -> None:
        """Replaces this attempt's checkpoint; the meta file is the moment at which it counts.

        Args:
            data: The weights, in safetensors' format.
            meta: JSON data with at least ``epoch``.
        """
        weights = self._folder / f"{self._attempt:03d}-{meta['epoch']:06d}.safetensors"
        write_atomically(weights, data)
        self._sum = {"weights": weights.name, "sha256": hashlib.sha256(data).hexdigest()}
        self.amend(meta)
        if self._weights is not None and self._weights != weights:
            self._weights.unlink(missing_ok=True)
        self._weights = weights

    def amend(self, meta: Mapping[str, Any]) -> None:
        """Replaces the meta file alone; the weights stay those of the last :meth:`write`."""
        path = self._folder / f"meta-{self._attempt:03d}.json"
        told = {**meta, **self._sum}
        write_json(path, {**told, "seal": _seal_of(told)})


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
    checkpoint = _read(metas[0])
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
