"""Tables on disk that survive a crash: append a batch, cut a torn tail, read at any moment.

A table is a folder of segments; each segment is an Arrow IPC stream to which one process appends
record batches. A reader takes every whole batch and ignores a torn last one; whoever opens a table
for writing starts a new segment, so that nothing is ever appended behind a torn tail.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from gantune.columns import EPOCHS, STEPS, TRIALS, Column
from gantune.storage import sync_folder, write_atomically

Row = Mapping[str, Any]

SMALL = 1000
"""Rows; smaller batches are merged as they are read: each takes 25 kB of memory on top."""
MERGED = 100
"""How many of them at a time."""

_ARROW = {
    "int": pa.int64(),
    "float": pa.float64(),
    "text": pa.string(),
    "category": pa.string(),
    "floats": pa.list_(pa.float64()),
}


def arrow_schema(columns: Sequence[Column]) -> pa.Schema:
    """The Arrow schema of a table."""
    return pa.schema([pa.field(column.name, _ARROW[column.kind]) for column in columns])


SCHEMAS = {
    "epochs": arrow_schema(EPOCHS),
    "trials": arrow_schema(TRIALS),
    "steps": arrow_schema(STEPS),
}


class TableWriter:
    """Appends rows to a table; each append is on disk when it returns."""

    def __init__(self, folder: Path) -> None:
        """Opens a new segment. ``folder``'s name is the table's name."""
        folder.mkdir(parents=True, exist_ok=True)
        self._schema = SCHEMAS[folder.name]
        last = max((int(path.stem) for path in _segments(folder)), default=0)
        # Opened on the first append: a session that adds nothing leaves nothing behind.
        self._path = folder / f"{last + 1:06d}.arrow"
        self._open: tuple[BinaryIO, Any] | None = None

    def append(self, rows: Sequence[Row]) -> None:
        """Appends rows (dicts of column values; absent columns are null) as one batch."""
        if not rows:
            return
        # As structs: three times as fast as ``from_pylist``, which goes through every column.
        structs = pa.array(list(rows), type=pa.struct(self._schema))
        batch = pa.RecordBatch.from_struct_array(structs)
        if self._open is None:
            created = open(self._path, "xb")
            sync_folder(self._path.parent)
            self._open = created, pa.ipc.new_stream(created, self._schema)
        file, writer = self._open
        writer.write_batch(batch)
        file.flush()
        os.fsync(file.fileno())

    def close(self) -> None:
        """Ends the segment."""
        if self._open is not None:
            file, writer = self._open
            writer.close()
            file.close()
            self._open = None


def _segments(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.arrow") if path.stem.isdigit())


def read_table(folder: Path) -> pa.Table:
    """Reads every whole batch of a table, in order of arrival; a missing table is empty.

    Raises:
        OSError: A segment cannot be read.
    """
    schema = SCHEMAS[folder.name]
    merged = [
        batch
        for data in _read_segments(folder)
        for batch in _merged(_whole_batches(data, schema), schema)
    ]
    return pa.Table.from_batches(merged, schema=schema)


def _read_segments(folder: Path) -> list[bytes]:
    while True:
        try:
            return [path.read_bytes() for path in _segments(folder)]
        except FileNotFoundError:
            continue  # compacted between listing and reading: list again


def _whole_batches(data: bytes, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    try:
        reader = pa.ipc.open_stream(data)
        while True:
            yield _conform(reader.read_next_batch(), schema)
    except (StopIteration, EOFError, pa.ArrowInvalid, OSError):
        return  # the end, or a torn batch (Arrow's OSError): what a crash while writing leaves


def _merged(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Makes few large batches of many small ones; large ones stay as they are."""
    for is_small, some in groupby(batches, key=lambda batch: batch.num_rows < SMALL):
        if not is_small:
            yield from some
        while few := list(islice(some, MERGED)):
            yield from pa.Table.from_batches(few, schema=schema).combine_chunks().to_batches()


def _conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Gives a batch of an older version today's columns."""
    if batch.schema.equals(schema):
        return batch
    names = set(batch.schema.names)
    columns = [
        batch.column(field.name).cast(field.type)
        if field.name in names
        else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def compact(folder: Path) -> None:
    """Rewrites a table as one segment of large batches (many small ones load slowly).

    Safe at any moment: the new segment replaces the first, then the others go; in between, rows
    stand twice, and readers take the first of equal rows.
    """
    segments = _segments(folder)
    if not segments:
        return
    table = read_table(folder).combine_chunks()
    buffer = pa.BufferOutputStream()
    with pa.ipc.new_stream(buffer, table.schema) as writer:
        writer.write_table(table, max_chunksize=65_536)
    write_atomically(segments[0], buffer.getvalue().to_pybytes())
    for path in segments[1:]:
        path.unlink()
