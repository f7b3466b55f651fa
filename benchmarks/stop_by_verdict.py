"""What stopping by verdict saves, on top of ASHA and alone, and what it costs in quality.

    python benchmarks/stop_by_verdict.py run --runs stop.jsonl --mnist DIR [--minutes 30]
    python benchmarks/stop_by_verdict.py raw --runs stop.jsonl
    python benchmarks/stop_by_verdict.py table

``run`` trains the studies of ``stop_studies.py``, five seeds each, with and without `stop`; it adds
a line per run to the file and goes on where it stopped. ``raw`` keeps what the report needs, and
all that verdicts are made of, in ``reports/stop_by_verdict/epochs.parquet``; ``table`` writes the
report beside it.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from machine import describe
from stop_report import read_raw, write_raw
from stop_studies import SEEDS, STUDIES, make_study, run_study
from stop_text import report
from trained_once import TrainedOnce

from gantune.host import Host
from gantune.study import with_values

REPORT = Path(__file__).parent.parent / "reports" / "stop_by_verdict"


def plan() -> Iterator[tuple[str, str, int]]:
    """Study, arm and seed of each run; whole pairs first, so that any beginning is of use."""
    for arms in (("asha", "asha_stop"), ("full",)):
        for seed in range(SEEDS):
            for name in STUDIES:
                for arm in arms:
                    yield name, arm, seed


def run(path: Path, mnist: Path, minutes: float) -> None:
    """Trains what is not in the file yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.loads(line) for line in path.open()] if path.exists() else []
    done = {(line["study"], line["arm"], line["seed"]) for line in lines}
    hosts = {name: TrainedOnce(Host()) for name in STUDIES}
    for line in lines:
        study = make_study(line["study"], line["arm"], line["seed"], mnist)
        for trial in line["trials"]:
            config = with_values(study.trial, trial["parameters"])
            hosts[line["study"]].learn(config, trial["seed"], trial["records"])
    began = time.monotonic()
    for name, arm, seed in plan():
        if (name, arm, seed) in done:
            continue
        if time.monotonic() - began > 60 * minutes:
            break
        trials = run_study(make_study(name, arm, seed, mnist), hosts[name])
        line = {"study": name, "arm": arm, "seed": seed, "machine": describe(), "trials": trials}
        with path.open("a") as file:
            file.write(json.dumps(line, allow_nan=False) + "\n")
        epochs = sum(len(trial["records"]) for trial in trials)
        print(
            name,
            arm,
            seed,
            epochs,
            hosts[name].read,
            f"{time.monotonic() - began:.0f} s",
            flush=True,
        )


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("action", choices=("run", "raw", "table"))
    parser.add_argument("--runs", type=Path, default=Path("stop.jsonl"))
    parser.add_argument("--mnist", type=Path, default=Path("data"))
    parser.add_argument("--minutes", type=float, default=60)
    options = parser.parse_args()
    if options.action == "run":
        run(options.runs, options.mnist, options.minutes)
    elif options.action == "raw":
        REPORT.mkdir(parents=True, exist_ok=True)
        lines = [json.loads(line) for line in options.runs.open()]
        write_raw(lines, REPORT / "epochs.parquet")
    else:
        text = report(*read_raw(REPORT / "epochs.parquet"))
        (REPORT / "README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
