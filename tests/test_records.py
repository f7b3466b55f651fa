"""Tables survive crashes, and checkpoints are whole or not there."""

import json
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gantune import checkpoints, records
from gantune.analysis.frames import to_epochs, to_trials
from gantune.checkpoints import (
    CheckpointWriter,
    claim_attempt,
    drop_stale,
    find_checkpoint,
    read_checkpoint,
)
from gantune.columns import EPOCHS
from gantune.errors import GantuneError, UsageError
from gantune.lock import hold_lock, is_held
from gantune.records import SCHEMAS, TableWriter, compact, read_table
from gantune.storage import read_json, write_atomically, write_json


def rows(start: int, count: int) -> list[dict[str, object]]:
    return [
        {"number": i // 5, "epoch": i % 5 + 1, "g_loss": i / 3} for i in range(start, start + count)
    ]


def test_what_was_appended_is_read_at_once(tmp_path: Path) -> None:
    writer = TableWriter(tmp_path / "epochs")
    writer.append(rows(0, 3))
    assert read_table(tmp_path / "epochs").num_rows == 3
    writer.append(rows(3, 2))
    writer.append([])
    writer.close()
    second = TableWriter(tmp_path / "epochs")
    second.append(rows(5, 1))
    second.close()
    table = read_table(tmp_path / "epochs")
    assert table.column("g_loss").to_pylist() == [i / 3 for i in range(6)]
    assert len(list((tmp_path / "epochs").iterdir())) == 2


def test_a_table_cut_at_any_byte_is_read_up_to_its_last_whole_batch(tmp_path: Path) -> None:
    writer = TableWriter(tmp_path / "epochs")
    sizes = []
    (tmp_path / "epochs").mkdir(exist_ok=True)
    for start in (0, 2, 4):
        writer.append(rows(start, 2))
        (path,) = (tmp_path / "epochs").iterdir()
        sizes.append(path.stat().st_size)
    writer.close()
    data = path.read_bytes()
    for size in range(0, len(data) + 1, 61):
        path.write_bytes(data[:size])
        whole = sum(size >= end for end in sizes)
        assert read_table(tmp_path / "epochs").num_rows == 2 * whole, size


def test_writing_goes_on_behind_a_torn_tail(tmp_path: Path) -> None:
    writer = TableWriter(tmp_path / "epochs")
    writer.append(rows(0, 2))
    (path,) = (tmp_path / "epochs").iterdir()
    writer.append(rows(2, 2))
    writer.close()
    path.write_bytes(path.read_bytes()[:-200])
    again = TableWriter(tmp_path / "epochs")
    again.append(rows(4, 1))
    again.close()
    assert read_table(tmp_path / "epochs").column("g_loss").to_pylist() == [0, 1 / 3, 4 / 3]


def test_small_batches_are_joined_as_a_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "MOST_BATCHES", 4)
    folder = tmp_path / "epochs"
    for session in range(2):
        writer = TableWriter(folder)
        for index in range(10):
            writer.append(rows(20 * session + 2 * index, 2))
            read = read_table(folder).column("g_loss").to_pylist()
            assert read == [i / 3 for i in range(20 * session + 2 * index + 2)]
        writer.close()
    batches = []
    for path in sorted(folder.iterdir()):
        with pa.ipc.open_stream(path.read_bytes()) as reader:
            batches.append(len(list(reader)))
    # Of a session's ten batches twice four became one; two are as they were written.
    assert batches == [1, 1, 2, 1, 1, 2]


def test_a_crash_while_batches_are_joined_loses_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError("no space left on device")

    folder = tmp_path / "epochs"
    writer = TableWriter(folder)
    with monkeypatch.context() as patch:
        patch.setattr(records, "MOST_BATCHES", 2)
        patch.setattr(records, "write_atomically", full)
        writer.append(rows(0, 2))
        with pytest.raises(OSError, match="no space"):
            writer.append(rows(2, 2))
    again = TableWriter(folder)
    again.append(rows(4, 2))
    again.close()
    assert read_table(folder).column("g_loss").to_pylist() == [i / 3 for i in range(6)]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """For a moment files grow no further, as on a disk that is all but full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_batch_that_did_not_fit_is_no_half_and_comes_with_the_next(tmp_path: Path) -> None:
    writer = TableWriter(tmp_path / "epochs")
    writer.append(rows(0, 2))
    (path,) = (tmp_path / "epochs").iterdir()
    size = path.stat().st_size
    with files_of_at_most(size + 100), pytest.raises(OSError, match="too large"):
        writer.append(rows(2, 2))
    assert path.stat().st_size == size
    writer.append(rows(4, 2))
    writer.close()
    assert read_table(tmp_path / "epochs").column("g_loss").to_pylist() == [i / 3 for i in range(6)]


def test_a_file_that_did_not_fit_is_as_it_was(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", b"before")
    with files_of_at_most(100), pytest.raises(OSError, match="too large"):
        write_atomically(tmp_path / "file", bytes(1000))
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"before"]


def test_a_table_that_could_not_be_compacted_has_all_its_rows(tmp_path: Path) -> None:
    for start in (0, 5):
        writer = TableWriter(tmp_path / "epochs")
        writer.append(rows(start, 5))
        writer.close()
    with files_of_at_most(100), pytest.raises(OSError, match="too large"):
        compact(tmp_path / "epochs")
    assert read_table(tmp_path / "epochs").num_rows == 10


def test_compacting_changes_nothing_even_if_it_is_cut_short(tmp_path: Path) -> None:
    folder = tmp_path / "epochs"
    for start in range(0, 20, 5):
        writer = TableWriter(folder)
        writer.append(rows(start, 5))
        writer.close()
    before = to_epochs(read_table(folder))
    kept = [(path.name, path.read_bytes()) for path in sorted(folder.iterdir())]
    compact(folder)
    assert len(list(folder.iterdir())) == 1
    assert to_epochs(read_table(folder)).equals(before)
    for name, data in kept[1:]:  # killed before it removed the others
        (folder / name).write_bytes(data)
    assert to_epochs(read_table(folder)).equals(before)


def test_a_table_of_an_older_version_gets_todays_columns(tmp_path: Path) -> None:
    (tmp_path / "epochs").mkdir()
    old = pa.schema([("number", pa.int32()), ("epoch", pa.int64()), ("gone", pa.string())])
    with pa.ipc.new_stream(tmp_path / "epochs" / "000001.arrow", old) as writer:
        writer.write_batch(pa.record_batch([[1], [2], ["x"]], schema=old))
    table = read_table(tmp_path / "epochs")
    assert table.schema.equals(SCHEMAS["epochs"])
    assert table.select(["number", "epoch", "g_loss"]).to_pylist() == [
        {"number": 1, "epoch": 2, "g_loss": None}
    ]


def test_many_small_batches_are_read_as_few(tmp_path: Path) -> None:
    """One of a single row takes 25 kB of memory: a long run's records took 270 MB to read."""
    writer = TableWriter(tmp_path / "epochs")
    for number in range(250):
        writer.append(rows(number, 1))
    writer.close()
    table = read_table(tmp_path / "epochs")
    assert table["g_loss"].num_chunks <= 3
    assert table["g_loss"].to_pylist() == [i / 3 for i in range(250)]


@pytest.mark.slow
def test_a_million_rows_load_quickly(tmp_path: Path) -> None:
    folder, n = tmp_path / "epochs", 1_000_000
    folder.mkdir()
    arrays = []
    for field in SCHEMAS["epochs"]:
        if field.name in ("number", "epoch", "seq"):
            index = np.arange(n)
            arrays.append(pa.array(index // 100 if field.name == "number" else index % 100 + 1))
        elif field.type == pa.float64():
            arrays.append(pa.array(np.zeros(n)))
        else:
            arrays.append(pa.nulls(n, field.type))
    batch = pa.RecordBatch.from_arrays(arrays, schema=SCHEMAS["epochs"])
    with pa.ipc.new_stream(folder / "000001.arrow", batch.schema) as writer:
        writer.write_table(pa.Table.from_batches([batch]), max_chunksize=65_536)
    began = time.process_time()
    assert read_table(folder).num_rows == n
    assert time.process_time() - began < 5


def test_frames_are_typed() -> None:
    epochs = to_epochs(pa.Table.from_pylist(rows(0, 3), schema=SCHEMAS["epochs"]))
    kinds = {"int": "Int64", "float": "float64", "category": "category"}
    for column in EPOCHS:
        if column.kind in kinds:
            assert str(epochs[column.name].dtype) == kinds[column.kind]
    start = {"number": 0, "status": "running", "parameters": json.dumps({"a.b": 2, "c": [1]})}
    end = start | {"status": "completed"}
    late = {"number": 1, "status": "running", "parameters": json.dumps({"a.b": 3, "d": 0.5})}
    table = pa.Table.from_pylist([start, late, end], schema=SCHEMAS["trials"])
    trials = to_trials(table, live=False)
    assert trials["status"].tolist() == ["completed", "interrupted"]
    assert to_trials(table, live=True)["status"].tolist() == ["completed", "running"]
    assert str(trials["config.a.b"].dtype) == "Int64"
    assert trials["config.c"].tolist()[0] == "[1]"
    assert trials["config.d"].isna().tolist() == [True, False]


def test_a_segment_that_cannot_be_read_is_an_error_not_a_loss(tmp_path: Path) -> None:
    """Taken for a torn tail, it would be gone at the next compaction."""
    writer = TableWriter(tmp_path / "epochs")
    writer.append(rows(0, 2))
    writer.close()
    (tmp_path / "epochs" / "000002.arrow").mkdir()
    with pytest.raises(IsADirectoryError):
        compact(tmp_path / "epochs")
    (tmp_path / "epochs" / "000002.arrow").rmdir()
    assert read_table(tmp_path / "epochs").num_rows == 2


def test_a_checkpoint_is_the_newest_whole_one(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path) is None
    first, second = CheckpointWriter(tmp_path, 1), CheckpointWriter(tmp_path, 2)
    first.write(b"one", {"epoch": 1})
    second.write(b"two", {"epoch": 2})
    first.write(b"three", {"epoch": 3})  # a stale process writes last
    found = read_checkpoint(tmp_path)
    assert found is not None and (found.data, found.meta["epoch"]) == (b"two", 2)
    found.path.write_bytes(b"tw0")
    fallback = read_checkpoint(tmp_path)
    assert fallback is not None and fallback.data == b"three"
    second.write(b"four", {"epoch": 4})
    drop_stale(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["002-000004.safetensors", "meta-002.json"]


def test_no_flipped_digit_of_a_meta_file_is_believed(tmp_path: Path) -> None:
    """What JSON still is afterwards: an epoch, a record's value."""
    older, newer = CheckpointWriter(tmp_path, 1), CheckpointWriter(tmp_path, 2)
    older.write(b"older", {"epoch": 1})
    newer.write(b"newer", {"epoch": 12, "records": [{"epoch": 12, "g_loss": 0.125}]})
    path = tmp_path / "meta-002.json"
    text = path.read_text()
    flips = [at for at, letter in enumerate(text) if letter.isdigit()]
    assert len(flips) > 8
    for at in flips:
        path.write_text(f"{text[:at]}{(int(text[at]) + 1) % 10}{text[at + 1 :]}")
        found = read_checkpoint(tmp_path)
        assert found is not None and found.data == b"older"
    path.write_text(text)
    found = read_checkpoint(tmp_path)
    assert found is not None and found.data == b"newer" and found.meta["epoch"] == 12


@pytest.mark.parametrize("deaths", range(8))
def test_a_crash_at_any_write_leaves_the_last_or_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaths: int
) -> None:
    """Never none, and none that has to be called damaged."""
    writer, left = CheckpointWriter(tmp_path, 1, keeps_previous=True), [deaths]
    for epoch in (1, 2):
        writer.write(b"%d" % epoch, {"epoch": epoch})

    def dies(write: Callable[..., None]) -> Callable[..., None]:
        def one(*arguments: Any, **options: Any) -> None:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            write(*arguments, **options)

        return one

    monkeypatch.setattr(checkpoints, "write_atomically", dies(checkpoints.write_atomically))
    monkeypatch.setattr(checkpoints, "write_json", dies(checkpoints.write_json))
    monkeypatch.setattr(Path, "unlink", dies(Path.unlink))
    reached = 2
    with suppress(KeyboardInterrupt):
        for epoch in (3, 4):
            writer.write(b"%d" % epoch, {"epoch": epoch})
            reached = epoch
    monkeypatch.undo()
    found = find_checkpoint(tmp_path)
    assert found.checkpoint is not None and not found.damage
    epoch = found.checkpoint.meta["epoch"]
    assert epoch in (reached, reached + 1) and found.checkpoint.data == b"%d" % epoch
    found.checkpoint.path.write_bytes(b"x")
    before = find_checkpoint(tmp_path)
    assert before.checkpoint is not None and len(before.damage) == 1
    assert before.checkpoint.meta["epoch"] in (epoch - 1, epoch - 2)


def test_a_checkpoint_that_did_not_fit_leaves_the_one_before(tmp_path: Path) -> None:
    """Its weights fit, what describes them does not."""
    writer = CheckpointWriter(tmp_path, 1)
    writer.write(b"one", {"epoch": 1})
    with files_of_at_most(50), pytest.raises(OSError, match="too large"):
        writer.write(b"two", {"epoch": 2})
    found = read_checkpoint(tmp_path)
    assert found is not None and found.data == b"one"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"weights": 3}', '{"weights": "../../etc/passwd"}']
)
def test_a_damaged_meta_file_is_passed_over(tmp_path: Path, text: str) -> None:
    (tmp_path / "meta-001.json").write_text(text)
    assert read_checkpoint(tmp_path) is None


def test_no_two_attempts_are_the_same(tmp_path: Path) -> None:
    assert [claim_attempt(tmp_path / "t") for _ in range(3)] == [1, 2, 3]


def test_json_knows_no_nan_and_damage_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert not (tmp_path / "x.json").exists()
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(GantuneError, match=r"x\.json is damaged"):
        read_json(tmp_path / "x.json")


def test_one_process_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_held(path)
    with hold_lock(path):
        assert is_held(path)
        with pytest.raises(UsageError, match="is being run by process"), hold_lock(path):
            pass
    assert not is_held(path)
