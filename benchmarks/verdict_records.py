"""Runs with planted faults as two Parquet tables: what a verdict reads, and the truth."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from gantune.diagnosis.context import Context
from gantune.diagnosis.signals import SMOOTHED

READ = ("epoch", "d_loss", "frechet_distance", "mode_kl", "mode_entropy", *SMOOTHED)
SAID = ("verdict", "evidence")
MEASURED = ("is_finite", "modes", "mode_kl", "coverage", "near_copies")

RUNS, EPOCHS = "runs.parquet", "epochs.parquet"
MACHINE = b"machine"


class PlantedRun(NamedTuple):
    """One run.

    Attributes:
        study: Its study.
        fault: What was planted.
        variant: How.
        seed: Its seed.
        half: ``set``, ``held``, ``blind`` or ``shown``.
        classes: Modes or classes of the data, known to the truth also where no verdict knows them.
        context: What a verdict knows of it.
        truth: What was measured on samples no verdict sees; ``is_finite`` alone if it diverged.
        records: Its epochs.
    """

    study: str
    fault: str
    variant: int
    seed: int
    half: str
    classes: int
    context: Context
    truth: dict[str, Any]
    records: list[dict[str, Any]]

    @property
    def key(self) -> str:
        """Names it."""
        return f"{self.study}/{self.fault}/{self.variant}/{self.seed}"


def save(runs: Sequence[PlantedRun], folder: Path, machine: str) -> None:
    """Writes the tables, with no more than is read again."""
    rows, epochs = [], []
    for index, run in enumerate(runs):
        names = {name: getattr(run, name) for name in PlantedRun._fields[:6]}
        truth = {f"truth_{name}": run.truth.get(name) for name in MEASURED}
        rows.append({**names, **truth, **asdict(run.context)})
        for record in run.records:
            kept = {name: record.get(name) for name in (*READ, "mode_histogram", *SAID)}
            epochs.append({"run": index, **kept})
    table = pa.Table.from_pylist(rows).replace_schema_metadata({MACHINE: machine})
    pq.write_table(table, folder / RUNS, compression="zstd")
    pq.write_table(pa.Table.from_pylist(epochs), folder / EPOCHS, compression="zstd")


def load(folder: Path) -> list[PlantedRun]:
    """Reads the tables."""
    epochs: dict[int, list[dict[str, Any]]] = {}
    for record in pq.read_table(folder / EPOCHS).to_pylist():
        epochs.setdefault(record.pop("run"), []).append(record)
    runs = []
    for index, row in enumerate(pq.read_table(folder / RUNS).to_pylist()):
        names = {name: row.pop(name) for name in PlantedRun._fields[:6]}
        truth = {name: row.pop(f"truth_{name}") for name in MEASURED}
        runs.append(PlantedRun(**names, context=Context(**row), truth=truth, records=epochs[index]))
    return runs


def machine_of(folder: Path) -> str:
    """What the runs were trained on."""
    metadata: dict[bytes, bytes] = pq.read_schema(folder / RUNS).metadata
    return metadata[MACHINE].decode()


def from_line(line: str, half: str, classes: int) -> PlantedRun:
    """A run as the training wrote it."""
    run = json.loads(line)
    names = {name: run[name] for name in PlantedRun._fields[:4]}
    return PlantedRun(
        **names,
        half=half,
        classes=classes,
        context=Context(**run["context"]),
        truth=run["truth"],
        records=run["records"],
    )
