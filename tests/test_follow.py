"""`gantune show RUN --follow`: real runs in other processes, pipes, terminals, signals."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from test_cli import TINY, call, end, epochs_on_disk, kill_driver, sets, start, wait_for

import gantune

pytestmark = pytest.mark.slow

QUICK = ["train.epochs=16", "train.steps_per_epoch=200"]
ENDLESS = ["train.epochs=100000"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(TINY)
    return tmp_path


@pytest.fixture
def training(request: pytest.FixtureRequest, folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """A training in another process, with epochs already on disk; parameters: overrides."""
    process = start("train", "tiny.yaml", *sets(request.param), cwd=folder)
    try:
        wait_for(lambda: epochs_on_disk(folder / "runs" / "tiny") > 0)
        yield process
    finally:
        if process.poll() is None:
            end(kill_driver(process))


@pytest.mark.parametrize("training", [QUICK], indirect=True)
def test_a_pipe_gets_a_line_per_trial_and_the_table_at_the_end(
    folder: Path, training: "subprocess.Popen[str]"
) -> None:
    followed = call("show", "tiny", "--follow", cwd=folder)
    training.communicate(timeout=30)
    assert training.returncode == 0
    assert followed.returncode == 0, followed.stderr
    lines = followed.stdout.splitlines()
    run = gantune.load(folder / "runs" / "tiny")
    assert lines[0].startswith("trial 0 completed after 16 epochs, best frechet_distance ")
    assert "tiny: finished; 1 completed; 16 epochs recorded" in lines
    assert lines[-1] == "tiny has ended: finished"
    assert f"best: trial 0, frechet_distance {run.best().objective:.4g}" in followed.stdout


def drain(terminal: int, process: "subprocess.Popen[bytes]") -> str:
    """What a process still writes until it has ended: one that draws waits while nobody reads."""
    rest, until = b"", time.monotonic() + 30
    while process.poll() is None:
        if time.monotonic() > until:
            process.kill()
        rest += read_some(terminal)
    return (rest + read_some(terminal)).decode()


def read_some(terminal: int) -> bytes:
    if not select.select([terminal], [], [], 0.1)[0]:
        return b""
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other end is closed
        return b""


@pytest.mark.parametrize("training", [ENDLESS], indirect=True)
def test_a_terminal_sees_the_table_change_until_ctrl_c(
    folder: Path, training: "subprocess.Popen[str]"
) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "gantune", "show", "tiny", "--follow"]
    follower = subprocess.Popen(
        command,
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"},
    )
    os.close(theirs)
    seen, until = "", time.monotonic() + 60
    while len(counts := set(re.findall(r"([\d,]+) epochs recorded", seen))) < 3:
        assert time.monotonic() < until, seen
        seen += os.read(ours, 65536).decode()
    assert "tiny: running; 1 running" in seen
    assert len({int(count.replace(",", "")) for count in counts}) >= 3
    follower.send_signal(signal.SIGINT)
    rest = drain(ours, follower)
    assert follower.wait(1) == 130
    assert "Traceback" not in seen + rest
    os.close(ours)
    assert training.poll() is None and psutil.pid_exists(training.pid)  # who looks stops nobody


SAYS_WHEN_IT_FOLLOWS = """
import sys
from gantune import cli, follow
changes = follow._changes
def told(paths):
    print("it follows", flush=True)
    yield from changes(paths)
follow._changes = told
sys.argv = ["gantune", "show", "tiny", "--follow"]
cli.main()
"""


@pytest.mark.parametrize("training", [ENDLESS], indirect=True)
def test_a_run_whose_driver_is_killed_has_ended(
    folder: Path, training: "subprocess.Popen[str]"
) -> None:
    command = [sys.executable, "-c", SAYS_WHEN_IT_FOLLOWS]
    follower = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    assert follower.stdout is not None
    assert follower.stdout.readline() == "it follows\n"
    kill_driver(training)
    out, _ = follower.communicate(timeout=30)
    assert follower.returncode == 0
    assert out.splitlines()[-1] == "tiny has ended: interrupted"


def test_a_run_that_nobody_drives_is_shown_once(folder: Path) -> None:
    assert call("train", "tiny.yaml", cwd=folder).returncode == 0
    done = call("show", "tiny", "--follow", cwd=folder)
    assert done.returncode == 0
    assert done.stdout.count("epochs recorded") == 1
    assert done.stdout.splitlines()[-1] == (
        "nobody drives runs/tiny now (finished): there is nothing to follow"
    )
    refused = call("show", "tiny", "0", "--follow", cwd=folder)
    assert refused.returncode == 2 and "leave the trial's number out" in refused.stderr
    assert call("show", "nothing", "--follow", cwd=folder).returncode == 2


@pytest.mark.long
def test_trials_of_a_study_come_as_they_end(folder: Path) -> None:
    options = sets(["train.epochs=24", "train.steps_per_epoch=150", "scheduler={name: none}"])
    one = ("--concurrency", "1", "--no-report")
    driver = start("run", "tiny.yaml", *options, *one, cwd=folder)
    root = folder / "runs" / "tiny"
    try:
        wait_for(lambda: epochs_on_disk(root) > 0)
        follower = start("show", "tiny", "--follow", cwd=folder)
        assert follower.stdout is not None
        first = follower.stdout.readline()
        assert first.startswith("trial 0 completed after 24 epochs, best frechet_distance ")
        assert driver.poll() is None and gantune.load(root).status == "running"
        rest, _ = follower.communicate(timeout=120)
    finally:
        failed = sys.exc_info()[0] is not None
        if failed:
            end(kill_driver(driver))
    driver.communicate(timeout=60)
    ended = re.findall(r"^trial (\d) completed", first + rest, flags=re.MULTILINE)
    assert ended == ["0", "1", "2", "3"]
    assert rest.splitlines()[-1] == "tiny has ended: finished"
