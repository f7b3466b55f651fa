"""The tutorials' studies on 10,000 real digits: their own configuration against what is found.

    python benchmarks/seeds.py run --runs-dir runs --mnist DIR      (goes on where it stopped)
    python benchmarks/seeds.py table --runs-dir runs --out reports/seeds/README.md

The studies name torchvision's MNIST. Here they read IDX files and are shortened: see OPTIONS.
"""

import argparse
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from machine import describe

import gantune
from gantune.analysis.run import Run

STUDIES = Path(__file__).parent.parent / "search_spaces" / "seeds"
SHORT = ("train.epochs=12", "budget.trials=10")
SMALL = (*SHORT, "data.image_size=16", "generator.features=32")
OPTIONS: dict[str, tuple[str, ...]] = {
    "torchbearer_gan": SHORT,
    "jinglescode_gan": SHORT,
    "university_mlp": ("budget.trials=10",),
    "jrtechs_gan": (*SHORT, "train.steps_per_epoch=157"),
    "jrtechs_wgan": SHORT,
    "jrtechs_dcgan": (*SMALL, "train.steps_per_epoch=79"),
    "fastai_wgan": (*SMALL, "discriminator.features=32"),
    "fastai_adaptive": (*SMALL, "discriminator.features=16", "train.steps_per_epoch=79"),
}
"""What is changed of each study, on top of the data."""

HEAD = """# The tutorials' studies, run

`python benchmarks/seeds.py run`, then `table`, on {machine}: each file of `search_spaces/seeds/` on
10,000 real digits (`--set data.name=idx`) with the changes in the table. They are shorter than the
tutorials' own training: what is shown is that each runs, what its own configuration (trial 0) comes
to at this length, and what {trials} trials of the search around it find.

| study | changes | objective | the tutorial's own | best found | its trial | epochs | verdicts |
|---|---|---|---|---|---|---|---|
"""


def run(name: str, runs_dir: Path, mnist: Path) -> None:
    """Runs one study, or goes on with it."""
    command = [sys.executable, "-m", "gantune"]
    folder = runs_dir / name
    if folder.exists():
        if gantune.load(folder).status == "finished":
            return
        command += ["resume", str(folder)]
    else:
        changes = ("data.name=idx", f"data.root={mnist.resolve()}", *OPTIONS[name])
        command += ["run", str(STUDIES / f"{name}.yaml"), "--runs-dir", str(runs_dir)]
        command += [word for change in changes for word in ("--set", change)]
    subprocess.run([*command, "--concurrency", "1"], check=True)


def row(name: str, run: Run) -> str:
    """A line of the table."""
    trials, metric = run.trials.set_index("number"), run.study.objective.metric
    best = run.best_number()
    verdicts = trials["verdict"].value_counts()
    cells = [
        f"[{name}](../../search_spaces/seeds/{name}.yaml)",
        ", ".join(f"`{change}`" for change in OPTIONS[name]),
        metric,
        f"{trials.loc[0, 'objective']:.3g} ({trials.loc[0, 'verdict']})",
        f"{trials.loc[best, 'objective']:.3g} ({trials.loc[best, 'verdict']})",
        str(best),
        str(trials["epochs"].sum()),
        ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()),
    ]
    return f"| {' | '.join(cells)} |"


def table(runs_dir: Path) -> str:
    """The report."""
    rows = [row(name, gantune.load(runs_dir / name)) for name in OPTIONS]
    return HEAD.format(machine=describe(), trials=10) + "\n".join([*rows, ""])


def main() -> None:
    """Runs the studies, or writes the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("run", "table"))
    parser.add_argument("--runs-dir", type=Path, required=True)
    parser.add_argument("--mnist", type=Path, default=Path("data"), help="folder of IDX files")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.what == "run":
        for name in OPTIONS:
            run(name, options.runs_dir, options.mnist)
        return
    text = table(options.runs_dir)
    print(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text)


if __name__ == "__main__":
    main()
