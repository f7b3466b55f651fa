"""A run in TensorBoard's event files. Needs the extra ``tensorboard``; no torch.

The tables are the truth. Events are appended behind them; a session that is killed in between
leaves a trial without its mark, and the next one writes that trial's events from the tables anew:
no event is missing, none stands twice.
"""

import io
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from gantune.columns import EPOCHS
from gantune.paths import RunPaths, picture_name
from gantune.pictures import png_size, read_png
from gantune.records import read_table
from gantune.trial import Record, TrialSpec

SCALARS = tuple(column.name for column in EPOCHS if column.kind == "float")
TRACES = ("g_loss", "d_loss", "d_acc")
COMPLETE = "complete"
"""The file that marks a trial whose events are all there."""


class TensorBoard:
    """Writes ``epoch/<column>`` and ``samples`` by epoch and ``step/<column>`` by step."""

    def __init__(self, paths: RunPaths) -> None:
        self._paths = paths
        # One file per trial and session; TensorBoard knows them by this prefix.
        self._name = f"events.out.tfevents.{time.time():.0f}.gantune.{os.getpid()}"

    def resumed(self, rows: Sequence[dict[str, Any]]) -> None:
        """Writes anew what a session that was killed may have left half done."""
        ended = {row["number"] for row in rows}
        epochs = read_table(self._paths.table("epochs"))
        numbers = set(pc.unique(epochs["number"]).to_pylist())
        half = [n for n in sorted(numbers) if not self._mark(n).exists()]
        steps = read_table(self._paths.table("steps")) if half else None
        for number in half:
            for path in self._paths.tensorboard(number).glob("events.out.tfevents.*"):
                path.unlink()
            self.recorded(
                number,
                _first_of_equal(_of_trial(epochs, number), "epoch"),
                _first_of_equal(_of_trial(steps, number), "step"),
            )
            if number in ended:
                self._mark(number).touch()

    def began(self, spec: TrialSpec) -> None: ...

    def recorded(self, number: int, records: Sequence[Record], steps: Sequence[Record]) -> None:
        """Appends a trial's new values, and the pictures of its new epochs."""
        summaries = [
            *_scalars("step", "step", TRACES, steps),
            *_scalars("epoch", "epoch", SCALARS, records),
            *self._pictures(number, records),
        ]
        if summaries:
            self._append(number, summaries)

    def paused(self, number: int, row: dict[str, Any]) -> None: ...

    def ended(self, number: int, row: dict[str, Any]) -> None:
        """Marks the trial's events as complete."""
        if self._paths.tensorboard(number).is_dir():
            self._mark(number).touch()

    def _pictures(self, number: int, records: Sequence[Record]) -> Iterator[tuple[int, Summary]]:
        for record in records:
            path = self._paths.samples(number) / picture_name(record["epoch"])
            if data := read_png(path):
                width, height = png_size(data)
                image = Summary.Image(
                    height=height, width=width, colorspace=3, encoded_image_string=data
                )
                tagged = Summary.Value(tag="samples", image=image)
                yield record["epoch"], Summary(value=[tagged])

    def _append(self, number: int, summaries: Sequence[tuple[int, Summary]]) -> None:
        folder = self._paths.tensorboard(number)
        folder.mkdir(parents=True, exist_ok=True)
        path, now, buffer = folder / self._name, time.time(), io.BytesIO()
        writer = RecordWriter(buffer)
        if not path.exists():
            writer.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
        for step, summary in summaries:
            event = Event(wall_time=now, step=step, summary=summary)
            writer.write(event.SerializeToString())
        with open(path, "ab") as file:
            file.write(buffer.getvalue())

    def _mark(self, number: int) -> Path:
        return self._paths.tensorboard(number) / COMPLETE


def _scalars(
    prefix: str, axis: str, columns: Sequence[str], rows: Sequence[Record]
) -> Iterator[tuple[int, Summary]]:
    for row in rows:
        known = [column for column in columns if row.get(column) is not None]
        tagged = [Summary.Value(tag=f"{prefix}/{c}", simple_value=row[c]) for c in known]
        yield row[axis], Summary(value=tagged)


def _of_trial(table: Any, number: int) -> list[Record]:
    rows: list[Record] = table.filter(pc.equal(table["number"], number)).to_pylist()
    return rows


def _first_of_equal(rows: Sequence[Record], axis: str) -> list[Record]:
    """A killed compaction leaves rows twice; the first counts, as everywhere."""
    first: dict[int, Record] = {}
    for row in rows:
        first.setdefault(row[axis], row)
    return list(first.values())
