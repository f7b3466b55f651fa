"""Tables on disk that survive a crash: append a batch, cut a torn tail, read at any moment.

A table is a folder of segments; each segment is an Arrow IPC stream to which one process appends
record batches. A reader takes every whole batch and ignores a torn last one; whoever opens a table
for writing starts a new segment, so that nothing is ever appended behind a torn tail.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from gantune.columns import EPOCHS, STEPS, TRIALS, Column
from gantune.errors import GantuneError
from gantune.storage import parse_mapping, sync_folder, write_atomically

Row = Mapping[str, Any]

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


MOST_BATCHES = 1000
"""Batches of a segment, after which it is rewritten as few: many small ones load slowly."""

TORN = (StopIteration, EOFError, pa.ArrowException, OSError, ValueError)
"""What Arrow raises on a stream that ends in the middle of a batch, or is damaged."""

BEGIN = b"\xff\xff\xff\xff"
"""The first bytes of every segment."""

NEEDED = {
    "epochs": ("number", "epoch"),
    "trials": ("number", "status", "parameters"),
    "steps": ("number", "step"),
}
"""Columns that are null in no row."""

MAPPINGS = {"epochs": "extra_metrics", "trials": "parameters"}
"""Columns of JSON objects."""

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
        last = max((int(path.stem) for path in segments(folder)), default=0)
        # Opened on the first append: a session that adds nothing leaves nothing behind.
        self._path = folder / f"{last + 1:06d}.arrow"
        self._open: tuple[BinaryIO, Any] | None = None
        self._batches = 0

    def append(self, rows: Sequence[Row]) -> None:
        """Appends rows (dicts of column values; absent columns are null) as one batch."""
        if not rows:
            return
        batch = pa.RecordBatch.from_pylist(list(rows), schema=self._schema)
        if self._open is None:
            created = open(self._path, "xb")
            sync_folder(self._path.parent)
            self._open = created, pa.ipc.new_stream(created, self._schema)
        file, writer = self._open
        writer.write_batch(batch)
        file.flush()
        os.fsync(file.fileno())
        self._batches += 1
        if self._batches == MOST_BATCHES:
            self._begin_another()

    def _begin_another(self) -> None:
        """Ends the segment, joins its batches and turns to a new one."""
        self.close()
        _rewrite(self._path, _whole_batches(self._path.read_bytes(), self._schema))
        self._path = self._path.with_name(f"{int(self._path.stem) + 1:06d}.arrow")
        self._batches = 0

    def close(self) -> None:
        """Ends the segment."""
        if self._open is not None:
            file, writer = self._open
            writer.close()
            file.close()
            self._open = None


def segments(folder: Path) -> list[Path]:
    """A table's files, in order of its rows."""
    return sorted(path for path in folder.glob("*.arrow") if path.stem.isdigit())


def read_table(folder: Path) -> pa.Table:
    """Reads every whole batch of a table, in order of arrival; a missing table is empty.

    Raises:
        OSError: A segment cannot be read.
        GantuneError: A segment is no table, or of other columns; names it.
    """
    schema = SCHEMAS[folder.name]
    parts = [_read_segment(path, data, schema) for path, data in _read_segments(folder)]
    # As one chunk: a run that goes on has a batch for every few rows, on which all else is slow.
    return pa.concat_tables([schema.empty_table(), *parts]).combine_chunks()


def _read_segments(folder: Path) -> list[tuple[Path, bytes]]:
    while True:
        try:
            paths = [path for path in segments(folder) if path.is_file()]
            return [(path, path.read_bytes()) for path in paths]
        except FileNotFoundError:
            continue  # compacted between listing and reading: list again


def _read_segment(path: Path, data: bytes, schema: pa.Schema) -> pa.Table:
    if not data.startswith(BEGIN[: len(data)]):
        raise GantuneError(f"{path} is damaged: it is no table")
    try:
        table = _conform(_whole_batches(data, schema), schema)
    except (pa.ArrowException, ValueError, KeyError) as error:
        raise GantuneError(f"{path} is damaged: {error}") from None
    for name in NEEDED[path.parent.name]:
        if table.column(name).null_count:
            raise GantuneError(f"{path} is damaged: a row has no {name}")
    if mapping := MAPPINGS.get(path.parent.name):
        for text in table.column(mapping).drop_null().unique().to_pylist():
            parse_mapping(text, path)
    return table


def _whole_batches(data: bytes, schema: pa.Schema) -> pa.Table:
    """A segment's batches; without a torn last one, which a crash while writing leaves."""
    try:
        table = pa.ipc.open_stream(data).read_all()
        # Offsets that point anywhere else would be followed by whoever reads the values.
        table.validate(full=True)
        return table
    except TORN:
        batches = list(_batches_before_the_torn(data))
        return pa.Table.from_batches(batches) if batches else schema.empty_table()


def _batches_before_the_torn(data: bytes) -> Iterator[pa.RecordBatch]:
    try:
        reader = pa.ipc.open_stream(data)
        while True:
            batch = reader.read_next_batch()
            batch.validate(full=True)
            yield batch
    except TORN:
        return


def _conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Gives rows of an older version today's columns."""
    if table.schema.equals(schema):
        return table
    names = set(table.schema.names)
    columns = [
        table.column(field.name).cast(field.type)
        if field.name in names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def count_rows(data: bytes, name: str) -> int:
    """Rows in the whole batches of a segment of a table."""
    return int(_whole_batches(data, SCHEMAS[name]).num_rows)


def keep_first(folder: Path, rows: int) -> None:
    """Takes a table back to what it was when it had so many rows."""
    table = read_table(folder)
    if table.num_rows > rows:
        first, *others = segments(folder)
        _rewrite(first, table.slice(0, rows))
        for path in others:
            path.unlink()


def compact(folder: Path) -> None:
    """Rewrites a table as one segment of large batches.

    Safe at any moment: the new segment replaces the first, then the others go; in between, rows
    stand twice, and readers take the first of equal rows.
    """
    listed = segments(folder)
    if not listed:
        return
    _rewrite(listed[0], read_table(folder))
    for path in listed[1:]:
        path.unlink()


def _rewrite(segment: Path, table: pa.Table) -> None:
    """Replaces a segment by one with these rows in large batches."""
    buffer = pa.BufferOutputStream()
    with pa.ipc.new_stream(buffer, table.schema) as writer:
        writer.write_table(table.combine_chunks(), max_chunksize=65_536)
    write_atomically(segment, buffer.getvalue().to_pybytes())
