"""Two thousand short trials: neither memory nor open files grow with them."""

import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil
import pytest
from test_cli import TINY, end, kill_driver, sets
from test_kills import WORKERS

import gantune
from gantune.paths import RunPaths
from gantune.records import read_table

TRIALS = 2000

SHORT = sets(
    [
        "train.epochs=1",
        "train.steps_per_epoch=1",
        "eval.metrics=[frechet_distance]",
        "samples.every=0",
        "sampler={name: random}",
        "scheduler={name: none}",
        f"budget.trials={TRIALS}",
    ]
)


class Sample(NamedTuple):
    """What a running study holds.

    Attributes:
        ended: Trials that have ended.
        driver_mb: Memory of the driver alone.
        worker_mb: Of the largest worker.
        driver_files: Open files and sockets of the driver.
        worker_files: Of the worker with most.
        threads: Of the driver.
    """

    ended: int
    driver_mb: float
    worker_mb: float
    driver_files: int
    worker_files: int
    threads: int


def sampled(driver: psutil.Process, root: Path) -> Sample | None:
    try:
        workers = [p for p in driver.children(True) if p.name().startswith(WORKERS)]
        ended = read_table(RunPaths(root).table("trials")).num_rows // 2
        return Sample(
            ended,
            driver.memory_full_info().uss / 1e6,
            max(p.memory_full_info().uss / 1e6 for p in workers),
            driver.num_fds(),
            max(p.num_fds() for p in workers),
            driver.num_threads(),
        )
    except (psutil.Error, ValueError):
        return None  # just beginning, or just over


@pytest.mark.long
def test_two_thousand_short_trials(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    root, began = tmp_path / "runs" / "tiny", time.monotonic()
    command = [sys.executable, "-m", "gantune", "run", "tiny.yaml", *SHORT, "--no-report"]
    with open(tmp_path / "log", "w") as log:  # a pipe would fill up
        process = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
    samples: list[Sample] = []
    try:
        driver = psutil.Process(process.pid)
        while process.poll() is None:
            time.sleep(2)
            if sample := sampled(driver, root):
                samples.append(sample)
    finally:
        if process.poll() is None:
            end(kill_driver(process))
    assert process.returncode == 0, (tmp_path / "log").read_text()
    run = gantune.load(root)
    assert list(run.trials["status"]) == ["completed"] * TRIALS
    early = [sample for sample in samples if TRIALS / 4 < sample.ended < TRIALS / 2]
    late = [sample for sample in samples if sample.ended > 3 * TRIALS / 4]
    first, last = (Sample(*map(median, zip(*part, strict=True))) for part in (early, late))
    figures = [f"{time.monotonic() - began:.0f} s", *map(str, (samples[0], first, last))]
    (tmp_path / "figures").write_text("\n".join(figures))
    trials = last.ended - first.ended
    assert last.worker_mb - first.worker_mb < 10
    # Rows and Tune's trials stay in the driver; docs/reliability.md says whose how much is.
    assert (last.driver_mb - first.driver_mb) / trials < 0.045
    assert last.driver_files <= first.driver_files + 5
    assert last.worker_files <= first.worker_files + 5
    assert last.threads <= first.threads + 5
