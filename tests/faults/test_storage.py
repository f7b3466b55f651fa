"""Storage that is full, that cannot be written to, that has changed; and a clock set back."""

import io
import json
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, ClassVar

import pytest
from conftest import make_study
from namespaces import needs_namespaces
from test_cli import TINY, call, sets
from test_replay import reopen, run_to_its_end, study
from toy import Crash
from whole import check_whole, tables

import gantune
from gantune import runinfo
from gantune.api import Silent, silent
from gantune.display import show_run
from gantune.errors import GantuneError
from gantune.host import Host, Progress
from gantune.loader import load_study
from gantune.paths import RunPaths
from gantune.records import TableWriter, read_table
from gantune.study import Study
from gantune.terminal import Terminal
from gantune.tuning import agreement
from gantune.tuning.clock import seconds_before
from gantune.tuning.conductor import Conductor
from gantune.tuning.local import drive
from gantune.tuning.runner import resume_run, run_study

HEAVY = sets(
    [
        "train.epochs=4",
        "train.steps_per_epoch=20",
        "generator.hidden=[200, 200]",
        "budget.trials=12",
        "checkpoint.keep_top=null",
    ]
)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(TINY)
    (tmp_path / "runs").mkdir()
    needs_namespaces(tmp_path / "runs")
    return tmp_path


def in_namespace(script: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Runs a script of bash that may mount what it likes; ``gantune`` is the command."""
    prefix = f'set -u; gantune() {{ "{sys.executable}" -m gantune "$@"; }}\n'
    command = ["unshare", "-rm", "bash", "-c", prefix + script]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


FILLED = """
mount -t tmpfs -o size=3m none runs
gantune run tiny.yaml {options} --concurrency 1 --no-report; echo "ended $?"
gantune show tiny >/dev/null; echo "shown $?"
mount -o remount,size=100m runs
gantune resume tiny --concurrency 1 --no-report; echo "ended $?"
cp -r runs/tiny kept
"""


@pytest.mark.long
def test_a_disk_that_is_full_loses_nothing(tiny: Path) -> None:
    """A file system in memory of 3 MB; the run needs more."""
    options = " ".join(f"'{word}'" for word in HEAVY)
    done = in_namespace(FILLED.format(options=options), tiny)
    said = [line for line in done.stdout.splitlines() if line.startswith(("ended", "shown"))]
    assert said == ["ended 1", "shown 0", "ended 0"], done.stdout + done.stderr
    assert done.stderr.count("error: the run cannot go on") == 1
    assert done.stderr.count("No space left on device") == 1 and "Traceback" not in done.stderr
    check_whole(tiny / "kept", 12, 4)
    whole = call("run", "tiny.yaml", *HEAVY, "--concurrency", 1, "--no-report", cwd=tiny)
    assert whole.returncode == 0, whole.stderr
    assert tables(tiny / "kept") == tables(tiny / "runs" / "tiny")


READ_ONLY = """
mount --bind runs runs && mount -o remount,bind,ro runs
for words in "resume tiny --trials +1" "run tiny.yaml --name other" "show tiny" "prune tiny"; do
  gantune $words >/dev/null 2>error; echo "$words: $? $(tail -n 1 error)"
done
"""


@pytest.mark.slow
def test_a_run_on_read_only_storage_is_shown_and_not_changed(tiny: Path) -> None:
    gantune.train(make_study(search={}), tiny / "runs" / "tiny")
    before = {path: path.read_bytes() for path in (tiny / "runs").rglob("*") if path.is_file()}
    done = in_namespace(READ_ONLY, tiny)
    resumed, another, shown, pruned = [
        line
        for line in done.stdout.splitlines()
        if line.startswith(("resume", "run", "show", "pr"))
    ]
    assert "runs/tiny/lock cannot be written: Read-only file system" in resumed
    assert ": 2 " in resumed and ": 2 " in another and ": 2 " in pruned
    assert "runs/other cannot be made: Read-only file system" in done.stdout
    assert shown == "show tiny: 0 "
    after = {path: path.read_bytes() for path in (tiny / "runs").rglob("*") if path.is_file()}
    assert before == after


TURNED = """
mount -t tmpfs none runs
gantune run tiny.yaml {options} --concurrency 1 --no-report & run=$!
until ls runs/tiny/epochs/* >/dev/null 2>&1; do sleep 0.1; done
# The kernel keeps a file system with open files from being remounted: what is opened from now on
# is on a read-only mount of the same.
mount --bind runs runs; until mount -o remount,bind,ro runs 2>/dev/null; do sleep 0.1; done
wait $run; echo "ended $?"
cp -r runs/tiny kept
"""


@pytest.mark.long
@pytest.mark.usefixtures("standing_ray")
def test_storage_that_turns_read_only_ends_the_session_and_no_trial(tiny: Path) -> None:
    overrides = ["train.epochs=40", "train.steps_per_epoch=60", "budget.trials=2"]
    overrides.append("scheduler={name: none}")
    options = " ".join(f"'{word}'" for word in sets(overrides))
    done = in_namespace(TURNED.format(options=options), tiny)
    said = [line for line in done.stdout.splitlines() if line.startswith("ended")]
    assert said == ["ended 1"], done.stdout + done.stderr
    assert done.stderr.count("error: the run cannot go on: [Errno 30] Read-only file system") == 1
    assert "go on with `gantune resume runs/tiny`" in done.stderr
    assert "Traceback" not in done.stderr
    stopped = gantune.load(tiny / "kept")
    assert stopped.status == "interrupted" and len(stopped.epochs)
    assert set(stopped.trials["status"]) <= {"completed", "interrupted"}
    # On a disk that can be written to.
    assert resume_run(tiny / "kept", silent, concurrency=1).status == "finished"
    check_whole(tiny / "kept", 2, 40)
    plan = load_study(tiny / "tiny.yaml", overrides)
    whole = gantune.run(plan, name="whole", runs_dir=tiny, concurrency=1)
    assert tables(tiny / "kept") == tables(whole.root)


class Shifted(datetime):
    """The clock on the wall, set by somebody."""

    by: ClassVar[timedelta] = timedelta()

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Any:
        return datetime.now(tz) + cls.by


@pytest.mark.long
@pytest.mark.usefixtures("standing_ray")
def test_a_clock_that_is_set_back_changes_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day in mid-run and another between two sessions, for all Python of the driver.

    The kernel's times of files stay as they are, and so do Ray's own processes.
    """
    real = time.time
    monkeypatch.setattr(runinfo, "datetime", Shifted)
    monkeypatch.setattr(time, "time", lambda: real() + Shifted.by.total_seconds())
    paths = RunPaths(tmp_path / "tiny")

    class SetsBack(Silent):
        def began(self, spec: Any) -> None:
            if spec.number == 2:
                Shifted.by = timedelta(days=-1)
            if spec.number == 4:
                paths.trial(4).write_text("in the way")

    @contextmanager
    def progress(study: Any) -> Any:
        yield SetsBack()

    plan = make_study(budget={"trials": 6, "hours": 1})
    try:
        with pytest.raises(gantune.RunError, match="cannot go on"):
            run_study(plan, progress, runs_dir=tmp_path, concurrency=1)
        paths.trial(4).unlink()
        Shifted.by = timedelta(days=-2)
        assert resume_run(paths.root, silent, concurrency=1).status == "finished"
        sessions = gantune.load(paths.root).info["sessions"]
        show_run(gantune.load(paths.root), Terminal(file=io.StringIO()))
    finally:
        Shifted.by = timedelta()
    assert sessions[1]["ended_at"] < sessions[0]["started_at"]
    assert 0 <= seconds_before(paths, with_last=True) < 600
    check_whole(paths.root, 6, 4)
    whole = gantune.run(plan, name="whole", runs_dir=tmp_path, concurrency=1)
    assert tables(paths.root) == tables(whole.root)


# Damage.


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of seven toy trials that has ended; its tables are as they were written."""
    root = tmp_path_factory.mktemp("ended") / "run"
    run_to_its_end(root, study())
    return root


def read_all(root: Path) -> dict[str, list[Any]]:
    paths = RunPaths(root)
    return {name: read_table(paths.table(name)).to_pylist() for name in ("epochs", "trials")}


@pytest.mark.slow
@pytest.mark.parametrize("is_closed", [True, False])
def test_no_bit_of_a_table_changes_unnoticed(tmp_path: Path, is_closed: bool) -> None:
    """A flipped bit is named, or has no effect, or (never closed) looks like a torn tail."""
    folder = tmp_path / "epochs"
    writer = TableWriter(folder)
    for epoch in (1, 2, 3):
        row = {"number": 0, "epoch": epoch, "g_loss": epoch / 3, "verdict": "healthy"}
        writer.append([row, row | {"number": 1}])
    if is_closed:
        writer.close()
    (path,) = folder.iterdir()
    whole, data = read_table(folder).to_pylist(), path.read_bytes()
    named = torn = 0
    for position in range(0, len(data), 7):
        flipped = bytearray(data)
        flipped[position] ^= 1 << position % 8
        path.write_bytes(flipped)
        try:
            found = read_table(folder).to_pylist()
        except GantuneError as error:
            assert str(error).startswith(f"{path} is damaged")
            named += 1
        else:
            assert found == whole[: len(found)] and len(found) % 2 == 0, position
            torn += len(found) < len(whole)
            assert not (is_closed and len(found) < len(whole) and flipped.endswith(b"closed\n\n"))
    assert named > 20
    assert torn <= (3 if is_closed else len(data))
    writer.close()


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_records_that_are_lost_are_named_before_anything_is_written(
    ended: Path, tmp_path: Path, share: float
) -> None:
    root = copied(ended, tmp_path)
    (path,) = RunPaths(root).table("epochs").iterdir()
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(GantuneError, match=r"epochs is damaged: trial \d ended after \d epochs"):
        Conductor(RunPaths(root), study(), Silent())


class Dies(Host):
    """Dies when its second trial has begun its fourth epoch."""

    def advance(self, handle: int, until: int, at_most_s: float) -> Progress:
        trial = self._open[handle]
        if trial.lane.spec.number == 1 and len(trial.records) == 3:
            raise Crash
        return super().advance(handle, until, at_most_s)


def driven(paths: RunPaths, plan: Study, host: Host) -> None:
    """A session of a run, with real trials and without Ray."""
    conductor = Conductor(paths, plan, Silent())
    try:
        drive(conductor, host, at_most_s=0)
    finally:
        conductor.close()


@pytest.mark.slow
@pytest.mark.parametrize(("damaged", "goes_on"), [(1, "goes on from epoch 2"), (2, "begins anew")])
def test_damaged_checkpoints_are_named_and_the_tables_are_those_of_an_undisturbed_run(
    tmp_path: Path, damaged: int, goes_on: str
) -> None:
    plan = make_study(scheduler={"name": "none"}, budget={"trials": 2})
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
    whole, paths = tmp_path / "whole", RunPaths(tmp_path / "broken")
    driven(RunPaths(whole), plan, Host())
    with pytest.raises(Crash):
        driven(paths, plan, Dies())
    weights = sorted(paths.last(1).glob("*.safetensors"), reverse=True)
    assert [path.name for path in weights] == ["001-000003.safetensors", "001-000002.safetensors"]
    for path in weights[:damaged]:
        path.write_bytes(path.read_bytes()[:-3])
    with pytest.warns(UserWarning, match=f"damaged; its trial {goes_on}, to the same") as said:
        driven(paths, plan, Host())
    expected = [f"{path} is damaged; its trial {goes_on}, to the same numbers" for path in weights]
    assert [str(warning.message) for warning in said] == expected[:damaged]
    assert tables(paths.root) == tables(whole)


@pytest.mark.slow
def test_a_journal_that_ends_too_early_is_named(ended: Path, tmp_path: Path) -> None:
    root = copied(ended, tmp_path)
    journal = RunPaths(root).journal
    lines = journal.read_text().splitlines(keepends=True)
    asked = [index for index, line in enumerate(lines) if json.loads(line)["op_code"] == 4]
    journal.write_text("".join(lines[: asked[5]]))
    with pytest.raises(GantuneError, match=r"journal is damaged: it has 5 trials, and trial 5 has"):
        Conductor(RunPaths(root), study(), Silent())


@pytest.mark.slow
def test_a_journal_has_room_to_be_as_large_as_its_trials_make_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With long choices, constraints and confirmations; whatever a small run may have besides."""
    monkeypatch.setattr(agreement, "SLACK", 0)
    plan = study(
        search={
            "optimizer.generator.lr": {"log_uniform": [1e-5, 1e-2]},
            "generator.hidden": {"choice": [[width] * 60 for width in range(8, 40)]},
        },
        constraints=["coverage >= 0.2"],
        confirm={"top": 2, "seeds": 2},
    )
    paths = RunPaths(tmp_path / "run")
    run_to_its_end(paths.root, plan)
    conductor = Conductor(paths, plan, Silent())
    begun, records = len(conductor.ledger.starts), len(conductor.ledger.order)
    lines = paths.journal.read_bytes().splitlines(keepends=True)
    # Each record is a line of its own; of longer trials they are nearly all of the journal.
    told = [line for line in lines if b'"op_code":7,' in line]
    rest = sum(map(len, lines)) - sum(map(len, told))
    most = agreement.most_bytes(plan, begun, 0)
    assert len(told) > 20 and 2 * rest < most
    assert 2 * sum(map(len, told)) < agreement.most_bytes(plan, begun, records) - most


@pytest.mark.slow
def test_no_digit_of_a_trials_parameters_in_the_journal_changes_unnoticed(
    ended: Path, tmp_path: Path
) -> None:
    root = copied(ended, tmp_path)
    journal = RunPaths(root).journal
    data = journal.read_bytes()
    begin = data.index(b'"param_value_internal":') + len(b'"param_value_internal":')
    end = data.index(b",", begin)
    for position in range(begin, end):
        flipped = bytearray(data)
        flipped[position] ^= 1 << position % 8
        if is_number(flipped[begin:end], data[begin:end]):
            continue  # the last of many digits
        journal.write_bytes(flipped)
        with pytest.raises(GantuneError, match=r"optuna\.journal is damaged"):
            Conductor(RunPaths(root), study(), Silent())


TELLS_AN_END = (6, 7)
"""Optuna's codes of a trial's state and values, and of an intermediate value."""


@pytest.mark.slow
@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.long)])
def test_no_digit_of_what_optuna_was_told_changes_unnoticed(
    ended: Path, tmp_path: Path, every: int
) -> None:
    """Refused by name, or without effect: a time, the last of many digits, what is told again."""
    root = copied(ended, tmp_path)
    journal = RunPaths(root).journal
    data, known = journal.read_bytes(), known_to_optuna(root)
    named: Counter[str] = Counter()
    for position in list(digits_of_ends(data))[::every]:
        flipped = bytearray(data)
        flipped[position] ^= 1
        journal.write_bytes(flipped)
        try:
            Conductor(RunPaths(root), study(), Silent()).close()
        except GantuneError as error:
            assert str(error).startswith(f"{journal} is damaged"), position
            named[re.sub(r".*(another end|Optuna).*", r"\1", str(error))] += 1
        else:
            assert known_to_optuna(root) == known, flipped[position - 40 : position + 5]
    assert set(named) == {"another end", "Optuna"} and named["another end"] > 250 / every, named


def known_to_optuna(root: Path) -> list[Any]:
    trials = reopen(RunPaths(root)).get_trials()
    return [(t.state, t.values, t.intermediate_values, t.user_attrs) for t in trials]


def digits_of_ends(data: bytes) -> Iterator[int]:
    """Where the journal's lines of ends have digits, but for the name of who wrote them."""
    begin = 0
    for line in data.splitlines(keepends=True):
        if json.loads(line)["op_code"] in TELLS_AN_END:
            told = begin + line.index(b'"trial_id"')
            yield from (at for at in range(told, begin + len(line)) if data[at : at + 1].isdigit())
        begin += len(line)


def is_number(text: bytes, number: bytes) -> bool:
    try:
        return float(text) == float(number)
    except ValueError:
        return False


def copied(run: Path, folder: Path) -> Path:
    return Path(shutil.copytree(run, folder / "run"))
