"""SIGTERM, as a cluster's preemption sends it, and workers that run out of memory."""

import os
import signal
import time
from pathlib import Path

import pytest
from test_cli import TINY, call, end, epochs_on_disk, kill_driver, sets, start, wait_for
from whole import check_whole, tables

import gantune
from gantune.checkpoints import read_checkpoint
from gantune.paths import RunPaths
from gantune.records import read_table
from gantune.trial import REPORT_S

pytestmark = pytest.mark.slow

OVERRIDES = [
    "train.epochs=60",
    "train.steps_per_epoch=200",
    "search={}",
    "budget.trials=1",
    "scheduler={name: none}",
]


@pytest.mark.parametrize("whom", ["the driver", "every process"])
def test_sigterm_leaves_what_was_trained_and_the_run_goes_on(tmp_path: Path, whom: str) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    root, paths = tmp_path / "runs" / "tiny", RunPaths(tmp_path / "runs" / "tiny")
    process = start("run", "tiny.yaml", *sets(OVERRIDES), "--no-report", cwd=tmp_path)
    try:
        wait_for(lambda: epochs_on_disk(root) > 0)
        sent = time.time()
        if whom == "the driver":
            process.send_signal(signal.SIGTERM)
        else:
            os.killpg(process.pid, signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            end(kill_driver(process))
    assert process.returncode == 130, err
    assert "interrupted; go on with: gantune resume runs/tiny" in err and "Traceback" not in err
    assert time.time() - sent < 20
    (meta,) = paths.last(0).glob("meta-*.json")
    epoch_s = max(read_table(paths.table("epochs")).column("train_s").to_pylist())
    assert sent - REPORT_S - 2 * epoch_s < meta.stat().st_mtime < sent + 10
    checkpoint = read_checkpoint(paths.last(0))
    assert checkpoint is not None and checkpoint.meta["epoch"] >= epochs_on_disk(root) > 0
    done = call("resume", "tiny", "--no-report", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    check_whole(root, 1, 60)
    whole = gantune.train(gantune.load_study(tmp_path / "tiny.yaml", OVERRIDES), tmp_path / "whole")
    assert tables(root)["epochs"] == tables(whole.root)["epochs"]
