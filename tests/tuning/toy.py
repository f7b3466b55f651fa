"""A toy trial, and crashes at any of a study's writes."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from optuna.storages.journal import JournalFileBackend

from gantune import checkpoints
from gantune.checkpoints import CheckpointWriter, claim_attempt, read_checkpoint
from gantune.host import Progress
from gantune.records import TableWriter
from gantune.trial import TrialSpec, ends_by_verdict


class Crash(BaseException):
    """The process dies here."""


class ToyHost:
    """Trials that are pure functions of configuration, number and epoch, with a real ``last``."""

    def __init__(self, at_once: int = 2) -> None:
        """``at_once``: epochs that it hands out together, at most."""
        self._at_once = at_once
        self._open: dict[int, dict[str, Any]] = {}

    def open(self, spec: TrialSpec) -> int:
        folder = Path(spec.folder)
        attempt = claim_attempt(folder)
        found = read_checkpoint(folder / "last")
        records = found.meta["records"] if found else []
        self._open[spec.number] = {
            "spec": spec,
            "records": records,
            "unsent": bool(records),
            "writer": CheckpointWriter(folder / "last", attempt, keeps_previous=True),
        }
        return spec.number

    def advance(self, handle: int, until: int, at_most_s: float) -> Progress:
        trial = self._open[handle]
        records, spec = trial["records"], trial["spec"]
        if trial["unsent"]:
            trial["unsent"] = False
            return Progress(list(records), steps_of(records), status_of(spec, records))
        sent = len(records)
        while status_of(spec, records) == "running" and len(records) < min(
            until, sent + self._at_once
        ):
            records.append(toy_record(spec, len(records) + 1))
        trial["writer"].write(b"", {"epoch": len(records), "records": records})
        return Progress(records[sent:], steps_of(records[sent:]), status_of(spec, records))

    def epoch(self, handle: int) -> int:
        """Epochs that it has handed out, or will at once."""
        return len(self._open[handle]["records"])

    def close(self, handle: int) -> None:
        del self._open[handle]


def toy_record(spec: TrialSpec, epoch: int) -> dict[str, Any]:
    lr = spec.config.optimizer.generator.lr
    has_diverged = lr > 4e-3 and epoch == 2
    # The objective of a diverged epoch is null, and no epoch follows it.
    values = {
        e: abs(lr - 1e-3) * 1000 + 1 / e + (spec.seed * e % 97) / 1000
        for e in range(1, epoch + 1)
        if spec.is_evaluated(e) and not (has_diverged and e == epoch)
    }
    # Covers more with each epoch, the seed says how fast.
    covered = [min(1.0, e * (1 + spec.seed % 5) / 20) for e in range(1, epoch + 1)]
    so_far = [{"objective": v, "coverage": covered[e - 1]} for e, v in values.items()]
    best = spec.ranking.best(so_far)
    assert best is not None
    train = spec.config.train
    record = {
        "trial_id": spec.trial_id,
        "number": spec.number,
        "epoch": epoch,
        "step": 2 * epoch,
        "images_seen": epoch * (train.steps_per_epoch or 2) * train.batch_size * train.d_steps,
        "wall_s": 10.0 * epoch * (1 + spec.number % 2),
        "g_loss": best["objective"] / 2,
        "objective": values.get(epoch),
        "coverage": covered[-1],
        "best_objective": best["objective"],
        "rung": spec.rung_at(epoch),
        # Some trials begin to collapse in their third epoch.
        "verdict": "mode_collapse" if spec.number % 3 == 1 and epoch >= 3 else "healthy",
        "evidence": "planted",
    }
    if has_diverged:
        record |= {"verdict": "diverged", "evidence": "planted"}
    return record


def steps_of(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    names = ("trial_id", "number", "epoch", "step", "g_loss")
    return [{name: record[name] for name in names} for record in records]


def status_of(spec: TrialSpec, records: list[dict[str, Any]]) -> Any:
    if records and records[-1].get("verdict") == "diverged":
        return "diverged"
    if len(records) >= spec.epochs:
        return "completed"
    return "stopped" if ends_by_verdict(records, spec.stop) else "running"


class Crasher:
    """Counts writes, and crashes before, in the middle of, or after one of them."""

    def __init__(
        self,
        rng: random.Random,
        average: float,
        deaths: Sequence[Callable[[], BaseException]] = (Crash,),
    ) -> None:
        self._rng, self._average, self._deaths = rng, average, deaths
        self.writes = 0
        self.armed = True
        self.reset()

    def reset(self) -> None:
        self._left = self._rng.expovariate(1 / self._average)

    def at(self, path: Path) -> "Iterator[None]":
        """Wraps one write that appends to a file."""
        self.writes += 1
        self._left -= 1
        fate = self._rng.choice(["before", "torn", "after"]) if self._left < 0 else None
        if not self.armed:
            fate = None
        if fate == "before":
            raise self._rng.choice(self._deaths)()
        size = path.stat().st_size if path.exists() else 0
        yield
        if fate == "torn" and path.exists() and path.stat().st_size > size:
            with open(path, "r+b") as file:
                file.truncate(self._rng.randint(size, path.stat().st_size - 1))
            # Who lives on after half a write still has the other half.
            raise Crash
        if fate:
            raise self._rng.choice(self._deaths)()


@contextmanager
def crashing(crasher: Crasher) -> Iterator[None]:
    """Makes every write of tables, checkpoints and journal a place where the process may die."""
    append, append_logs = TableWriter.append, JournalFileBackend.append_logs
    write_weights, write_meta = checkpoints.write_atomically, checkpoints.write_json

    def table(self: TableWriter, rows: Any) -> None:
        for _ in crasher.at(self._path) if rows else ():
            append(self, rows)

    def weights(path: Path, data: bytes) -> None:
        for _ in crasher.at(path.with_name("none")):
            write_weights(path, data)

    def meta(path: Path, value: Any) -> None:
        for _ in crasher.at(path.with_name("none")):
            write_meta(path, value)

    def journal(self: JournalFileBackend, logs: Any) -> None:
        for _ in crasher.at(Path(self._file_path)):
            append_logs(self, logs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TableWriter, "append", table)
        patch.setattr(checkpoints, "write_atomically", weights)
        patch.setattr(checkpoints, "write_json", meta)
        patch.setattr(JournalFileBackend, "append_logs", journal)
        yield
