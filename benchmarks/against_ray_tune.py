"""A whole study against a hand-written Ray Tune script, both from process start to exit.

    python benchmarks/against_ray_tune.py --out benchmarks/results/against_ray_tune.md

Both search the same space (two learning rates, beta1) for the same MLP GAN on scikit-learn's
digits, 20 epochs of 125 steps, on 2 CPUs: ``baselines/ray_tune_script.py`` is what one writes by
hand (a function trainable, Tune's defaults, OptunaSearch, the tutorials' loop, a small classifier
for the metric). Figures are wall seconds per epoch trained; gantune starts with an empty cache.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

from machine import describe

import gantune

HERE = Path(__file__).parent
STUDY = HERE.parent / "search_spaces" / "lr_beta.yaml"


class Result(NamedTuple):
    """One run."""

    seconds: float
    epochs: int
    best: float


def by_hand(trials: int, scheduler: str, folder: Path) -> Result:
    """Runs the hand-written script."""
    out = folder / "hand.json"
    command = [sys.executable, str(HERE / "baselines" / "ray_tune_script.py")]
    command += ["--trials", str(trials), "--epochs", "20", "--scheduler", scheduler]
    began = time.perf_counter()
    subprocess.run([*command, "--cpus", "2", "--out", str(out)], check=True, capture_output=True)
    found = json.loads(out.read_text())
    return Result(time.perf_counter() - began, found["epochs"], found["best"])


def by_gantune(trials: int, scheduler: str, folder: Path) -> Result:
    """Runs the same as a gantune study."""
    sets = ["train.epochs=20", f"budget.trials={trials}"]
    if scheduler == "asha":
        sets += ["scheduler={name: asha, grace_epochs: 4, reduction_factor: 3}"]
    else:
        sets += ["scheduler={name: none}"]
    command = [sys.executable, "-m", "gantune", "run", str(STUDY), "--concurrency", "2"]
    command += [word for text in sets for word in ("--set", text)]
    environment = {**os.environ, "GANTUNE_CACHE": str(folder / "cache")}
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=folder, env=environment)
    seconds = time.perf_counter() - began
    run = gantune.load(folder / "runs" / "lr_beta")
    spent = (run.epochs["train_s"] + run.epochs["eval_s"]).sum()
    print(f"  training and evaluation: {spent:.1f} s over two workers")
    return Result(seconds, len(run.epochs), run.best().objective)


def main() -> None:
    """Prints the table and writes it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    lines = [
        "# A study against a hand-written Ray Tune script",
        "",
        f"`python benchmarks/against_ray_tune.py`, one run of each, one after the other. "
        f"{describe()}.",
        "",
        "| study | by hand: s (epochs) | gantune: s (epochs) | by hand: s/epoch "
        "| gantune: s/epoch | ratio |",
        "|---|---|---|---|---|---|",
    ]
    for trials, scheduler in ((16, "none"), (32, "asha")):
        with tempfile.TemporaryDirectory() as folder:
            ours = by_gantune(trials, scheduler, Path(folder))
            hand = by_hand(trials, scheduler, Path(folder))
        per_epoch = hand.seconds / hand.epochs, ours.seconds / ours.epochs
        lines.append(
            f"| {trials} trials, {scheduler} | {hand.seconds:.0f} ({hand.epochs}) "
            f"| {ours.seconds:.0f} ({ours.epochs}) | {per_epoch[0]:.3f} | {per_epoch[1]:.3f} "
            f"| **{per_epoch[0] / per_epoch[1]:.2f}** |"
        )
        print(lines[-1], flush=True)
    table = "\n".join(lines) + "\n"
    print(table)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(table)


if __name__ == "__main__":
    main()
