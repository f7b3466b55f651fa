"""A clock that is set back under a running study: for its driver, its workers and all of Ray."""

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
from test_cli import NO_GPU, TINY, call, epochs_on_disk, sets, start, wait_for
from whole import check_whole, tables

import gantune
from gantune.paths import RunPaths
from gantune.records import read_table
from gantune.storage import write_atomically
from gantune.tuning.clock import seconds_before

TRIALS, EPOCHS = 12, 24

OPTIONS = sets(
    [
        f"train.epochs={EPOCHS}",
        "train.steps_per_epoch=60",
        f"budget.trials={TRIALS}",
        "budget.hours=1",
    ]
)

SLOT = ("--concurrency", 1, "--no-report")

LIBRARY = "libfaketime.so.1"


class WallClock:
    """What processes take for the time of day; what they measure by is left as it is.

    The kernel's times of files are, too: under a build that shifts those and sleeps (Debian's)
    Ray does not start, with EINVAL.
    """

    def __init__(self, folder: Path) -> None:
        from libfaketime import get_reload_information  # of the extra `dev`: fails where it is not

        self._days = folder / "days"
        self.set(0)
        variables = {**NO_GPU, **get_reload_information()[1]}
        # Once a second, and not at each look at the clock, of which Ray has thousands.
        del variables["FAKETIME_NO_CACHE"]
        variables |= {"FAKETIME_CACHE_DURATION": "1", "FAKETIME_TIMESTAMP_FILE": str(self._days)}
        self.environment = variables

    def set(self, days: int) -> None:
        """Sets it for all processes that have its environment, within a second."""
        write_atomically(self._days, f"{days:+d}d\n".encode())


def without_it(driver: psutil.Process) -> list[str]:
    """Of a driver and all that it has started: what goes by another clock."""
    found = []
    for process in [driver, *driver.children(recursive=True)]:
        try:
            if not any(os.path.basename(m.path) == LIBRARY for m in process.memory_maps()):
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue  # has ended since
    return found


def begins(root: Path) -> list[str]:
    rows = read_table(RunPaths(root).table("trials")).to_pylist()
    return [row["started_at"] for row in rows if row["status"] == "running"]


@pytest.mark.slow
@pytest.mark.long
def test_a_clock_that_is_set_back_changes_no_result(tmp_path: Path) -> None:
    """A day in mid-run, and another between two sessions."""
    (tmp_path / "tiny.yaml").write_text(TINY)
    root, clock = tmp_path / "runs" / "tiny", WallClock(tmp_path)
    fake: dict[str, Any] = {"cwd": tmp_path, "env": clock.environment}
    process = start("run", "tiny.yaml", *OPTIONS, *SLOT, **fake)
    try:
        wait_for(lambda: epochs_on_disk(root) or process.poll() is not None)
        assert without_it(psutil.Process(process.pid)) == []
        clock.set(-1)
        wait_for(lambda: max(begins(root)) > begins(root)[-1] or process.poll() is not None)
    finally:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=100)
    assert process.returncode == 130, said
    clock.set(-2)
    resumed = call("resume", "tiny", *SLOT, **fake)
    assert resumed.returncode == 0, resumed.stderr
    assert call("show", "tiny", **fake).returncode == 0
    first, second = gantune.load(root).info["sessions"]
    assert second["ended_at"] < first["ended_at"] < first["started_at"]
    assert 0 <= seconds_before(RunPaths(root), with_last=True) < 600
    walls = [row["wall_s"] for row in read_table(RunPaths(root).table("epochs")).to_pylist()]
    assert 0 < min(walls) and max(walls) < 600
    check_whole(root, TRIALS, EPOCHS)
    whole = call("run", "tiny.yaml", *OPTIONS, *SLOT, "--name", "whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    assert tables(root) == tables(tmp_path / "runs" / "whole")
