"""Checkpoints: tensors as safetensors beside a readable ``meta`` file, replaced without a gap.

Several processes can believe that a trial is theirs: after the driver was killed its workers go on
for seconds. Each opening of a trial is an *attempt* with a number of its own, and every file carries
the number of the attempt that wrote it, so that a stale process never overwrites a newer one's.
"""

import hashlib
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from gantune.errors import GantuneError
from gantune.storage import read_json, write_atomically, write_json


class Checkpoint(NamedTuple):
    """A checkpoint as read.

    Attributes:
        tensors: By name, on the CPU.
        meta: Everything else: epoch, configuration, records.
        weights: The file that holds the tensors.
    """

    tensors: dict[str, Tensor]
    meta: dict[str, Any]
    weights: Path


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
    try:
        meta = read_json(path)
        weights = path.with_name(Path(meta["weights"]).name)
        data = weights.read_bytes()
        if hashlib.sha256(data).hexdigest() != meta["sha256"]:
            return None
        return Checkpoint(safetensors.torch.load(data), meta, weights)
    except (GantuneError, OSError, KeyError, TypeError, SafetensorError):
        return None


class CheckpointWriter:
    """Writes the checkpoints of one attempt into a folder."""

    def __init__(self, folder: Path, attempt: int) -> None:
        self._folder, self._attempt = folder, attempt
        self._weights: Path | None = None

    def write(self, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
        """Replaces this attempt's checkpoint; the meta file is the moment at which it counts.

        Args:
            tensors: By name.
            meta: JSON data with at least ``epoch``.
        """
        owned = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
        data = safetensors.torch.save(owned)
        weights = self._folder / f"{self._attempt:03d}-{meta['epoch']:06d}.safetensors"
        write_atomically(weights, data)
        whole = {**meta, "weights": weights.name, "sha256": hashlib.sha256(data).hexdigest()}
        write_json(self._folder / f"meta-{self._attempt:03d}.json", whole)
        if self._weights not in (None, weights):
            self._weights.unlink(missing_ok=True)
        self._weights = weights


def drop_stale(folder: Path) -> None:
    """Removes what attempts other than the newest left in a folder."""
    metas = _metas(folder)
    for path in metas[1:]:
        attempt = path.stem.removeprefix("meta-")
        path.unlink(missing_ok=True)
        for weights in folder.glob(f"{attempt}-*.safetensors"):
            weights.unlink(missing_ok=True)
