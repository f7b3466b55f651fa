"""Tables on disk that survive a crash: append a batch, cut a torn tail, read at any moment.

A table is a folder of segments; each segment is an Arrow IPC stream to which one process appends
record batches. A reader takes every whole batch and ignores a torn last one; whoever opens a table
for writing starts a new segment, so that nothing is ever appended behind a torn tail. Each batch
carries a checksum, and a segment that was closed says so at its end: what is damaged is told from
what is torn.
"""

import io
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from gantune.columns import Column
from gantune.errors import GantuneError
from gantune.rows import COLUMNS, problem_of
from gantune.storage import sync_folder, write_atomically

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

TORN = (EOFError, pa.ArrowException, OSError, ValueError)
"""What Arrow raises on a stream that ends in the middle of a batch, or is damaged."""

BEGIN = b"\xff\xff\xff\xff"
"""The first bytes of every segment."""

CLOSED = b"closed\n\n"
"""The last bytes of a segment that was closed, behind Arrow's own end: it has no torn tail."""

CHECKSUM = b"crc32"
"""What a batch's checksum is called in its metadata; versions before this one wrote none."""

SCHEMAS = {name: arrow_schema(columns) for name, columns in COLUMNS.items()}


class TableWriter:
    """Appends rows to a table; each append is on disk when it returns."""

    def __init__(self, folder: Path) -> None:
        """Opens a new segment. ``folder``'s name is the table's name."""
        folder.mkdir(parents=True, exist_ok=True)
        self._schema = SCHEMAS[folder.name]
        last = max((int(path.stem) for path in segments(folder)), default=0)
        # Opened on the first append: a session that adds nothing leaves nothing behind.
        self._path = folder / f"{last + 1:06d}.arrow"
        self._open: _Segment | None = None
        self._batches = 0

    def append(self, rows: Sequence[Row]) -> None:
        """Appends rows (dicts of column values; absent columns are null) as one batch."""
        if not rows:
            return
        batch = pa.RecordBatch.from_pylist(list(rows), schema=self._schema)
        if self._open is None:
            self._open = _Segment(self._path, self._schema)
        self._open.append(batch)
        self._batches += 1
        if self._batches == MOST_BATCHES:
            self._begin_another()

    def _begin_another(self) -> None:
        """Ends the segment, joins its batches and turns to a new one."""
        self.close()
        _rewrite(self._path, _read_segment(self._path, self._path.read_bytes(), self._schema))
        self._path = self._path.with_name(f"{int(self._path.stem) + 1:06d}.arrow")
        self._batches = 0

    def close(self) -> None:
        """Ends the segment."""
        if self._open is not None:
            segment, self._open = self._open, None
            segment.close()


class _Segment:
    """A segment that is being written: each batch is in it as a whole, or not at all."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._file = open(path, "xb", buffering=0)
        sync_folder(path.parent)
        self._unwritten = io.BytesIO()
        self._stream = pa.ipc.new_stream(self._unwritten, schema)

    def append(self, batch: pa.RecordBatch) -> None:
        self._stream.write_batch(batch, custom_metadata={CHECKSUM: _checksum(_as_read(batch))})
        self._write()

    def close(self) -> None:
        with self._file:
            self._stream.close()
            self._unwritten.write(CLOSED)
            self._write()

    def _write(self) -> None:
        """Writes what is in memory; what fails stays there, and the file is as before."""
        size = self._file.tell()
        try:
            rest = self._unwritten.getvalue()
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except OSError:
            self._file.seek(size)
            self._file.truncate()
            raise
        self._unwritten.seek(0)
        self._unwritten.truncate()


def _checksum(batch: pa.RecordBatch) -> bytes:
    """CRC-32 of a batch's columns and of their buffers, as a reader has them."""
    columns = ",".join(f"{field.name}:{field.type.id}" for field in batch.schema)
    sum_ = zlib.crc32(columns.encode())
    for column in batch.columns:
        for buffer in column.buffers():
            sum_ = zlib.crc32(b"" if buffer is None else buffer, sum_)
    return b"%08x" % sum_


def _as_read(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch as it comes back from a file: without the slack that it was built with."""
    return pa.ipc.read_record_batch(batch.serialize(), batch.schema)


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
    batches = _whole_batches(path, data)
    try:
        table = pa.Table.from_batches(batches) if batches else schema.empty_table()
        table = _conform(table, schema)
    except (pa.ArrowException, ValueError, KeyError) as error:
        raise GantuneError(f"{path} is damaged: {error}") from None
    if problem := problem_of(path.parent.name, table):
        raise GantuneError(f"{path} is damaged: {problem}")
    return table


def _whole_batches(path: Path, data: bytes) -> list[pa.RecordBatch]:
    """A segment's batches; without a torn last one, which a crash while writing leaves."""
    batches: list[pa.RecordBatch] = []
    source, at = pa.BufferReader(data), 0
    try:
        reader = pa.ipc.open_stream(source)
        while True:
            at = source.tell()
            batch, metadata = reader.read_next_batch_with_custom_metadata()
            # Offsets that point anywhere else would be followed by whoever reads the values.
            batch.validate(full=True)
            if not _is_as_written(batch, metadata or {}):
                raise GantuneError(f"{path} is damaged: batch {len(batches) + 1} has changed")
            batches.append(batch)
    except (StopIteration, *TORN) as error:
        is_short = data.endswith(CLOSED) and not isinstance(error, StopIteration)
        if is_short or _goes_on(data, at):
            message = f"batch {len(batches) + 1} cannot be read: {error or 'it is empty'}"
            raise GantuneError(f"{path} is damaged: {message}") from None
        return batches


def _goes_on(data: bytes, at: int) -> bool:
    """Whether a whole batch comes after one that cannot be read: no crash has torn that one."""
    while (at := data.find(BEGIN, at + 1)) >= 0:
        try:
            message = pa.ipc.read_message(pa.py_buffer(data)[at:])
        except TORN:
            continue
        if CHECKSUM in message.metadata.to_pybytes():
            return True
    return False


def _is_as_written(batch: pa.RecordBatch, metadata: Mapping[bytes, bytes]) -> bool:
    return CHECKSUM not in metadata or metadata[CHECKSUM] == _checksum(batch)


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


def count_rows(path: Path, data: bytes) -> int:
    """Rows in the whole batches of a segment, of which this much is there.

    Raises:
        GantuneError: It is damaged.
    """
    return sum(batch.num_rows for batch in _whole_batches(path, data))


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
        for batch in table.combine_chunks().to_batches(max_chunksize=65_536):
            writer.write_batch(batch, custom_metadata={CHECKSUM: _checksum(_as_read(batch))})
    write_atomically(segment, buffer.getvalue().to_pybytes() + CLOSED)
