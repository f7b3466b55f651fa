"""Trains trials for whoever asks: open, advance, close. Knows no ray.

The host finds a trial's ``last`` checkpoint itself, sets the pace, and has written ``last`` (with
the records in it) before it hands records out: nothing that a caller has seen can be lost. Where
weights are written every few epochs only, the records in ``last`` can be ahead of its weights; the
epochs between are then trained again, and their records stay as they were.
"""

import math
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from gantune.checkpoints import CheckpointWriter, claim_attempt, find_checkpoint
from gantune.diagnosis.context import context_of
from gantune.diagnosis.verdicts import Watch
from gantune.engine.engine import (
    Engine,
    Lane,
    choose_device,
    generate,
    generator_weights,
    sample_latents,
)
from gantune.engine.materials import Materials, make_materials, materials_key
from gantune.engine.memory import memory_errors
from gantune.engine.state import Tensors, flatten
from gantune.engine.stored import TrialState, encode, restore
from gantune.errors import StorageError
from gantune.goals import metric_of
from gantune.paths import picture_name, samples_of
from gantune.pictures import picture_to_png, samples_to_picture
from gantune.storage import write_atomically
from gantune.trial import Record, TrialSpec, ends_by_verdict
from gantune.trialsync import Sync, sync_of


class Progress(NamedTuple):
    """What :meth:`Host.advance` hands out.

    Attributes:
        records: New rows of the ``epochs`` table, in order.
        steps: New rows of the ``steps`` table.
        status: Whether the trial goes on; stopped: a verdict ended it.
        notes: What people are to hear of its ``last``, once.
    """

    records: list[Record]
    steps: list[Record]
    status: TrialState
    notes: Sequence[str] = ()


@dataclass
class _Open:
    """An open trial."""

    lane: Lane
    engine: Engine
    last: CheckpointWriter
    best: CheckpointWriter
    watch: Watch
    sync: Sync
    records: list[Record] = field(default_factory=list)
    steps: list[Record] = field(default_factory=list)
    status: TrialState = "running"
    unsent: bool = False
    pictures: dict[int, bytes] = field(default_factory=dict)
    best_weights: Tensors | None = None
    saved: int | None = None
    notes: Sequence[str] = ()


class Host:
    """Trains trials in this process."""

    def __init__(self, materials: Materials | None = None) -> None:
        """Makes a host.

        Args:
            materials: What most trials need; others are made when a trial asks for them.
        """
        self._materials = {materials.key: materials} if materials else {}
        self._engines: dict[tuple[str, str], Engine] = {}
        self._open: dict[int, _Open] = {}
        self._handles = 0

    def open(self, spec: TrialSpec) -> int:
        """Opens a trial, where its last checkpoint left it; returns its handle.

        Raises:
            CheckpointError: The checkpoint is of another configuration.
            StorageError: The trial's folder cannot be written to.
            DataError: The data cannot be used as the trial asks.
            UsageError: There is no device as asked for.
            DeviceMemoryError: The device has no memory left for it.
        """
        with memory_errors(spec):
            return self._opened(spec)

    def _opened(self, spec: TrialSpec) -> int:
        torch.set_num_threads(spec.threads)
        folder = Path(spec.folder)
        sync = sync_of(spec)
        with _storage_errors():
            sync.bring()
            attempt = claim_attempt(folder)
            found = find_checkpoint(folder / "last")
            if found.damage:
                write_atomically(folder / "damaged.txt", "\n".join(found.notes).encode())
            sync.send()
        engine = self._engine(spec)
        last = CheckpointWriter(folder / "last", attempt, keeps_previous=True)
        best = CheckpointWriter(folder / "best", attempt)
        watch = Watch(context_of(spec.config, engine.data))
        trial = _Open(engine.open(spec), engine, last, best, watch, sync)
        trial.notes = found.notes
        if found.checkpoint is not None:
            state, noted = restore(found.checkpoint, spec.config, trial.lane.state)
            engine.put_back(trial.lane, state, noted.epoch)
            trial.records, trial.steps, trial.status = noted.records, noted.steps, noted.status
            # Whoever asks may have missed what the last attempt handed out: send it all again.
            trial.unsent = True
            for record in noted.records:
                watch.add(record)
        self._handles += 1
        self._open[self._handles] = trial
        return self._handles

    def advance(self, handle: int, until: int, at_most_s: float) -> Progress:
        """Trains an open trial and returns its new records, at least one.

        Args:
            handle: From :meth:`open`.
            until: The epoch to stop at.
            at_most_s: No further epoch begins after this many seconds.

        Raises:
            StorageError: The checkpoints cannot be written.
            DeviceMemoryError: The device has no memory left for it.
        """
        trial = self._open[handle]
        notes, trial.notes = trial.notes, ()
        if trial.unsent:
            trial.unsent = False
            return Progress(list(trial.records), list(trial.steps), trial.status, notes)
        with memory_errors(trial.lane.spec):
            _catch_up(trial)
            began, sent, sent_steps = time.perf_counter(), len(trial.records), len(trial.steps)
            while trial.status == "running":
                _train_epoch(trial)
                if trial.lane.epoch >= until or time.perf_counter() - began >= at_most_s:
                    break
        with _storage_errors():
            _write(trial)
            trial.sync.send()
        return Progress(trial.records[sent:], trial.steps[sent_steps:], trial.status, notes)

    def close(self, handle: int) -> None:
        """Forgets a trial; its checkpoints stay, its device's memory is free for others."""
        self._open.pop(handle).sync.close()
        torch.cuda.empty_cache()

    def _engine(self, spec: TrialSpec) -> Engine:
        key = materials_key(spec.config)
        device = choose_device(spec.config.device, has_gpu=spec.gpu > 0)
        if key not in self._materials:
            self._forget_old()
            self._materials[key] = make_materials(spec.config)
        if (key, str(device)) not in self._engines:
            self._engines[key, str(device)] = Engine(self._materials[key], device)
        return self._engines[key, str(device)]

    def _forget_old(self) -> None:
        """Keeps what most trials need and the last other data: a search over data has no end."""
        for key in list(self._materials)[1:-1]:
            del self._materials[key]
            for engine in [known for known in self._engines if known[0] == key]:
                del self._engines[engine]


@contextmanager
def _storage_errors() -> Iterator[None]:
    """A full disk is not the trial's fault: gives it a name of its own."""
    try:
        yield
    except OSError as error:
        raise StorageError(str(error)) from error


def _catch_up(trial: _Open) -> None:
    """Trains epochs again that have their records, but whose weights a crash has taken."""
    while trial.status == "running" and trial.lane.epoch < len(trial.records):
        trial.engine.epoch([trial.lane])


def _train_epoch(trial: _Open) -> None:
    spec, lane = trial.lane.spec, trial.lane
    began = time.perf_counter()
    result = trial.engine.epoch([lane])[0]
    previous: Record = trial.records[-1] if trial.records else {}
    record = {"trial_id": spec.trial_id, "number": spec.number, **result.record}
    objective = metric_of(record, spec.metric)
    if objective is not None and not math.isfinite(objective):
        objective = None
    record["objective"] = objective
    # The first of equals: a record that is no better than an earlier one is not the best.
    best = spec.ranking.best([*trial.records, record])
    if best is record:
        weights = generator_weights(lane.state)
        trial.best_weights = {name: tensor.clone() for name, tensor in weights.items()}
    record["best_objective"] = best["objective"] if best else None
    record["rung"] = spec.rung_at(lane.epoch)
    if result.diverged:
        record |= {"verdict": "diverged", "evidence": f"in epoch {lane.epoch} {result.diverged}"}
    elif spec.is_pictured(lane.epoch):
        trial.pictures[lane.epoch] = _picture(lane)
    verdict = trial.watch.add(record)
    record["verdict"], record["evidence"] = verdict.name, verdict.evidence
    record["wall_s"] = previous.get("wall_s", 0.0) + time.perf_counter() - began
    trial.records.append(record)
    if result.diverged:
        trial.status = "diverged"
    elif lane.epoch >= spec.epochs:
        trial.status = "completed"
    elif ends_by_verdict(trial.records, spec.stop):
        trial.status = "stopped"
    identity = {"trial_id": spec.trial_id, "number": spec.number}
    trial.steps += [{**identity, **row} for row in result.steps]


def _picture(lane: Lane) -> bytes:
    """A PNG of samples on the study's latents: the same bytes whenever this epoch is reached."""
    config, count = lane.spec.config, lane.spec.samples.count
    latents = sample_latents(config, count, config.seed).to(lane.latents.device)
    samples: Tensor = generate(lane.generator, lane.state, latents)
    return picture_to_png(samples_to_picture(samples.cpu().numpy(), config.data))


def _write(trial: _Open) -> None:
    """Writes ``last`` last: it never speaks of a picture or a best that is not on disk."""
    spec = trial.lane.spec
    for epoch, picture in trial.pictures.items():
        write_atomically(samples_of(Path(spec.folder)) / picture_name(epoch), picture)
    trial.pictures.clear()
    about = {
        "trial_id": spec.trial_id,
        "number": spec.number,
        "seed": spec.seed,
        "config": spec.config.model_dump(mode="json"),
    }
    if trial.best_weights is not None:
        _write_best(trial, trial.best_weights, about)
        trial.best_weights = None
    _write_last(trial, about)


def _write_best(trial: _Open, weights: Tensors, about: Record) -> None:
    record = trial.lane.spec.ranking.best(trial.records)
    assert record is not None, "weights are the best of a record with a value"
    shape = trial.engine.sample_shape
    meta = {**about, "epoch": record["epoch"], "sample_shape": shape, "record": record}
    trial.best.write(encode(weights), meta)


def _write_last(trial: _Open, about: Record) -> None:
    """Records always, weights where they are due; ``epoch`` is that of the weights."""
    spec, epoch = trial.lane.spec, trial.lane.epoch
    is_due = trial.saved is None or epoch - trial.saved >= spec.last_every
    # Others may take up a trial here: at its end, and where the scheduler decides.
    is_due = is_due or trial.status != "running" or epoch in spec.rungs
    saved = epoch if is_due else trial.saved
    meta = {
        **about,
        "epoch": saved,
        "status": trial.status,
        "records": trial.records,
        "steps": trial.steps,
    }
    if is_due:
        trial.last.write(encode(flatten(trial.lane.state)), meta)
        trial.saved = saved
        if trial.status != "running":
            trial.last.drop_previous()
    else:
        trial.last.amend(meta)


def worker_name() -> str:
    """Names this process: host and process id."""
    return f"{socket.gethostname()}:{os.getpid()}"
