"""What is too large, too deep or never ends is a message in a second."""

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from conftest import make_study
from test_cli import call

import gantune
from gantune.api import Silent
from gantune.errors import GantuneError
from gantune.export import load_generator, write_export
from gantune.kept import uri_of
from gantune.loader import load_study, open_study
from gantune.lock import hold_lock, is_held
from gantune.paths import RunPaths
from gantune.report.dashboard import copied_journal
from gantune.report.optuna_plots import optuna_plots
from gantune.storage import read_json
from gantune.tuning.conductor import Conductor
from gantune.tuning.prior import read_prior
from gantune.tuning.requests import Requests


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = make_study(checkpoint={"keep_top": 1})
    return gantune.train(study, tmp_path_factory.mktemp("runs") / "run").root


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


def quick(use: Callable[[], object], match: str) -> None:
    began = time.perf_counter()
    with pytest.raises(GantuneError, match=match):
        use()
    assert time.perf_counter() - began < 1


@contextmanager
def pipe(path: Path) -> Iterator[None]:
    """A pipe that nobody writes to; who waits for somebody is let go, too late."""
    is_over = threading.Event()

    def let_go() -> None:
        while not is_over.wait(3):
            with suppress(OSError):  # there is no reader: nobody waits
                os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))

    os.mkfifo(path)
    rescue = threading.Thread(target=let_go)
    rescue.start()
    try:
        yield
    finally:
        is_over.set()
        rescue.join()


def large(path: Path) -> None:
    """100 MB without as much of the disk."""
    with open(path, "wb") as file:
        file.write(b"name: a\n")
        file.truncate(100_000_000)


BOMB = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "aliases"),
        # Newer versions of libyaml count, too.
        ("[" * 2000, "nested deeper|maximum nesting depth"),
        ("a: " + "[" * 2000 + "]" * 2000, "nested deeper|maximum nesting depth"),
        ("a: " + "{b: " * 2000, "nested deeper"),
        ("- " * 2000 + "x", "nested deeper"),
        ("name: a\nsearch: [" + "1," * 400_000 + "]", "more than 20,000 values"),
        ("name: '" + "a b " * 240_000 + "'", "name"),
        ("# c\n" * 240_000, "empty"),
        ("name: " + "9" * 900_000, "name"),
        ("name: 0x" + "9" * 900_000, "name"),
    ],
)
def test_bombs_end_in_a_message_in_a_second(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    quick(lambda: load_study(path), message)


def test_a_study_of_100_mb(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    large(path)
    quick(lambda: load_study(path), "larger than 1,000,000 bytes")
    path.unlink()
    path.symlink_to("/dev/zero")
    quick(lambda: load_study(path), "larger than 1,000,000 bytes")


def test_an_extension_of_100_mb(tmp_path: Path) -> None:
    large(tmp_path / "x.py")
    (tmp_path / "study.yaml").write_text("name: a\nextensions: [x.py]\n")
    quick(lambda: load_study(tmp_path / "study.yaml"), r"x\.py is larger than")


def test_large_and_deep_files_of_a_run(root: Path) -> None:
    info = root / "run.json"
    info.write_text('{"sessions": ' + "[" * 100_000)
    quick(lambda: gantune.load(root), r"run\.json is damaged")
    large(info)
    quick(lambda: gantune.load(root), r"run\.json is damaged")
    large(root / "study.yaml")
    quick(lambda: gantune.load(root), "larger than")
    os.mkfifo(root / "pipe")
    quick(lambda: read_json(root / "pipe"), "no plain file")


def test_large_files_that_are_json(root: Path, tmp_path: Path) -> None:
    """100 MB that could be parsed, to 33 million lists."""
    hostile, paths = tmp_path / "hostile", RunPaths(root)
    hostile.write_text('{"sessions": [' + "[]," * 33_000_000 + "[]]}")
    (meta,) = paths.best(0).glob("meta-*.json")
    uses: dict[Path, tuple[Callable[[], object], str]] = {
        meta: (lambda: gantune.load(root).best(), "no whole checkpoint"),
        paths.storage: (lambda: uri_of(paths.storage), r"storage\.json is damaged: it is larger"),
        paths.warm_start: (lambda: read_prior(paths), r"warm_start\.json is damaged: it is larger"),
        paths.info: (lambda: gantune.load(root), r"run\.json is damaged: it is larger than"),
    }
    for path, (use, message) in uses.items():
        path.unlink(missing_ok=True)
        os.link(hostile, path)
        quick(use, message)


def hundred_mb(path: Path) -> Iterator[None]:
    """Zeros, without as much of the disk: alone, behind a file's first bytes, behind all of it."""
    whole = path.read_bytes()
    for kept in (0, 8, len(whole)):
        os.truncate(path, kept)
        os.truncate(path, 100_000_000)
        yield
        path.write_bytes(whole)


def test_100_mb_in_the_place_of_weights_and_exports(root: Path, tmp_path: Path) -> None:
    run, exported = gantune.load(root), tmp_path / "exported"
    write_export(run, run.best(), exported)
    for _ in hundred_mb(run.best().checkpoint):
        quick(run.best, "no whole checkpoint")
    for _ in hundred_mb(exported / "config.json"):
        quick(lambda: load_generator(exported), r"config\.json is damaged: .* is larger")
    for _ in hundred_mb(exported / "generator.safetensors"):
        quick(lambda: load_generator(exported), r"generator\.safetensors cannot be read")


def test_100_mb_in_the_place_of_a_table(root: Path) -> None:
    """What begins as one is read as one that was torn there."""
    (table,) = RunPaths(root).table("epochs").glob("*.arrow")
    alone, torn, behind = hundred_mb(table), [0, 4], list[int]()
    next(alone)
    quick(lambda: gantune.load(root).epochs, r"arrow is damaged: it is no table")
    for _ in alone:
        began = time.perf_counter()
        behind.append(len(gantune.load(root).epochs))
        assert time.perf_counter() - began < 1
    assert behind == torn


def test_a_lock_that_is_large_or_deep(root: Path) -> None:
    lock = RunPaths(root).lock

    def take() -> None:
        with hold_lock(lock):
            pass

    for text in ("\0" * 100_000_000, "[" * 100_000, "[" + "[]," * 33_000_000 + "[]]"):
        lock.write_text(text)
        began = time.perf_counter()
        assert not is_held(lock)
        with hold_lock(lock):
            assert time.perf_counter() - began < 1
            assert lock.stat().st_size < 100
            lock.write_text(text)
            quick(take, "is being run by another process")


def test_a_request_that_is_none(root: Path) -> None:
    """The process that drives the run asks again and again."""
    asked = RunPaths(root).concurrency
    asked.parent.mkdir()
    for data, count in ((b"12", 12), (b"999999", 999_999), (b"\xff", None), (b"0", None)):
        asked.write_bytes(data)
        assert Requests(RunPaths(root)).concurrency == count
    asked.write_bytes(b"1" * 100_000_000)
    began = time.perf_counter()
    assert Requests(RunPaths(root)).concurrency is None
    asked.unlink()
    with pipe(asked):
        assert Requests(RunPaths(root)).concurrency is None
    assert time.perf_counter() - began < 1


def test_a_journal_of_more_than_its_trials_can_tell(root: Path, tmp_path: Path) -> None:
    """100 MB of lines that Optuna would read, one after the other; and a pipe."""
    paths, study = RunPaths(root), open_study(root / "study.yaml")
    line = {"op_code": 7, "worker_id": "a", "trial_id": 0, "step": 1, "intermediate_value": 1.0}
    first = {"op_code": 0, "worker_id": "a", "study_name": study.name, "directions": [1]}
    paths.journal.write_text(f"{json.dumps(first)}\n" + f"{json.dumps(line)}\n" * 1_200_000)
    assert paths.journal.stat().st_size > 100_000_000
    message = r"optuna\.journal is damaged: it has 10\d,.* bytes, and 1 trials with 4 records"
    run = gantune.load(root)
    began = time.perf_counter()
    assert optuna_plots(run, []) == []
    assert time.perf_counter() - began < 1
    quick(lambda: copied_journal(run, tmp_path), message)
    is_made_again(paths, message)
    paths.journal.unlink()
    with pipe(paths.journal):
        match = r"optuna\.journal is damaged: it is no plain file"
        quick(lambda: copied_journal(run, tmp_path), match)
        is_made_again(paths, match)


def is_made_again(paths: RunPaths, message: str) -> None:
    """Within a second, too, the run can go on."""
    began = time.perf_counter()
    with pytest.warns(UserWarning, match=message):
        Conductor(paths, open_study(paths.study), Silent()).close()
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize(
    "line", ["{}", "7", '{"op_code": 4, "worker_id": "a", "study_id": []}', "[" * 100_000]
)
def test_a_journal_that_optuna_cannot_read(root: Path, tmp_path: Path, line: str) -> None:
    journal, run = RunPaths(root).journal, gantune.load(root)
    journal.write_text(f"{journal.read_text()}{line}\n")
    assert optuna_plots(run, []) == []
    quick(lambda: copied_journal(run, tmp_path), r"optuna\.journal is damaged")


def test_nobody_waits_for_a_lock_that_is_a_pipe(root: Path) -> None:
    """To read from a pipe is to wait for somebody who writes."""
    (root / "lock").unlink(missing_ok=True)

    def take() -> None:
        with hold_lock(root / "lock"):
            raise AssertionError("a pipe is no lock")

    with pipe(root / "lock"):
        began = time.perf_counter()
        assert not is_held(root / "lock")
        assert time.perf_counter() - began < 1
        quick(take, "lock cannot be written: .*seekable")


@pytest.mark.slow
def test_the_command_says_so(tmp_path: Path) -> None:
    large(tmp_path / "study.yaml")
    done = call("check", "study.yaml", cwd=tmp_path)
    assert done.returncode == 2 and "larger than" in done.stderr
