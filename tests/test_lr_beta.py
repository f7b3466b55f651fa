"""The shipped study keeps what it promises."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

import gantune

SLOTS = 2


@pytest.mark.slow
def test_lr_beta(tmp_path: Path, lr_beta: Path) -> None:
    began = time.monotonic()
    command = [sys.executable, "-m", "gantune", "run", str(lr_beta), "--concurrency", str(SLOTS)]
    command += ["--no-report"]  # what is measured is the search
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    seconds = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    assert seconds < 240
    run = gantune.load(tmp_path / "runs" / "lr_beta")
    epochs = run.epochs

    best = run.best()
    at_best = epochs[(epochs["number"] == best.number) & (epochs["epoch"] == best.epoch)].iloc[0]
    assert min(at_best["mode_histogram"]) >= 0.01, "a digit is missing"
    first = epochs.loc[epochs["epoch"] == 1, "frechet_distance"].median()
    assert best.objective < first / 10

    training, evaluation = epochs["train_s"].sum(), epochs["eval_s"].sum()
    assert evaluation < 0.15 * (training + evaluation)
    overhead = seconds - (training + evaluation) / SLOTS
    assert overhead < 12 + 0.15 * len(run.trials) + 0.010 * len(epochs)
