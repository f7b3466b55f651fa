"""PacGAN's grid, re-run: GAN against PacGAN2 at 24,000 rounds.

    gantune run search_spaces/papers/pacgan_grid.yaml     (stopped? gantune resume runs/pacgan_grid)
    python benchmarks/pacgan_grid.py runs/pacgan_grid --out reports/pacgan_grid

writes README.md and epochs.csv beside the paper's numbers (arXiv 1712.04086, table 1).
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))

from machine import describe

import gantune

PAPER = {
    1: ("17.3 ± 0.8", "0.70 ± 0.07", "94.8 ± 0.7"),
    2: ("23.8 ± 0.7", "0.13 ± 0.04", "91.3 ± 0.8"),
}
NAMES = {1: "GAN", 2: "PacGAN2"}
METRICS = ["modes", "mode_kl", "high_quality"]
MILESTONES = (6, 12, 18, 24)

HEAD = """# PacGAN's grid, re-run

`gantune run search_spaces/papers/pacgan_grid.yaml`, then `python benchmarks/pacgan_grid.py`. The
file says what is the paper's and what is not. {machine}; {hours:.1f} hours of training on one core.

{trials} trials of {rounds:,} rounds, 6% of the paper's 400,000; mean ± standard error over the
seeds (the paper: over 10 trials). `epochs.csv` has every epoch of every trial.

| | modes of 25 | reverse KL | high quality, % |
|---|---|---|---|
"""


def outcomes(run: gantune.Run) -> pd.DataFrame:
    """Every epoch of every trial with its packing and seed; high quality in percent."""
    packs = {n: run.parameters(n)["discriminator.pack"] for n in run.trials["number"]}
    seeds = dict(zip(run.trials["number"], run.trials["seed"], strict=True))
    epochs = run.epochs[["number", "epoch", *METRICS]].copy()
    epochs["high_quality"] *= 100
    epochs.insert(0, "pack", [packs[number] for number in epochs["number"]])
    epochs.insert(1, "seed", [seeds[number] for number in epochs["number"]])
    return epochs.sort_values(["pack", "seed", "epoch"], ignore_index=True)


def with_error(values: pd.Series) -> str:
    """Mean and standard error."""
    digits = 2 if values.abs().max() < 10 else 1
    return f"{values.mean():.{digits}f} ± {values.sem():.{digits}f}"


def table(epochs: pd.DataFrame) -> list[str]:
    """The last epoch beside the paper's."""
    lines = []
    for pack, rows in epochs[epochs["epoch"] == epochs["epoch"].max()].groupby("pack"):
        cells = [with_error(rows[metric]) for metric in METRICS]
        lines.append(f"| {NAMES[int(pack)]} | {' | '.join(cells)} |")
        lines.append(f"| {NAMES[int(pack)]}, the paper | {' | '.join(PAPER[int(pack)])} |")
    return lines


def course(epochs: pd.DataFrame) -> list[str]:
    """Modes and reverse KL on the way: where the ranks change."""
    lines = ["", "Means on the way (modes; reverse KL; high quality, %):", ""]
    lines += ["| rounds | GAN | PacGAN2 |", "|---|---|---|"]
    for epoch in MILESTONES:
        rows = epochs[epochs["epoch"] == epoch].groupby("pack")[METRICS].mean()
        cells = [
            f"{row['modes']:.1f}; {row['mode_kl']:.2f}; {row['high_quality']:.0f}"
            for _, row in rows.iterrows()
        ]
        lines.append(f"| {epoch * 1000:,} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Writes the report of a finished run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    run = gantune.load(options.run)
    epochs = outcomes(run)
    head = HEAD.format(
        machine=describe(),
        hours=run.epochs["train_s"].sum() / 3600,
        trials=len(run.trials),
        rounds=1000 * epochs["epoch"].max(),
    )
    text = head + "\n".join([*table(epochs), *course(epochs), ""])
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "README.md").write_text(text)
    epochs.to_csv(options.out / "epochs.csv", index=False, float_format="%.6g")
    print(text)


if __name__ == "__main__":
    main()
