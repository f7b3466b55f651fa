"""Whether gantune finds good GANs with less: its search against random search and a Ray script.

    python benchmarks/search_quality.py record --runs DIR [--minutes 60] [--task grid]
    python benchmarks/search_quality.py train --runs DIR [--seeds 3]
    python benchmarks/search_quality.py simulate --runs DIR [--task grid]
    python benchmarks/search_quality.py table

``record`` trains a few hundred trials of each study and keeps them in ``reports/search_quality/``;
``train`` runs the searches on real training; both go on where they stopped. ``simulate`` runs the
searches on the recorded trials in simulated time, and writes what all of them found, those of
``train`` included; with ``--task`` what was found of other tasks stays. ``table`` writes the report
and its figures from that.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from machine import describe
from search_figures import Search, read_searches, write_searches
from search_record import TASKS, record, write_trials
from search_simulate import simulated
from search_text import write_report
from search_trained import read_trained, train

REPORT = Path(__file__).parent.parent / "reports" / "search_quality"


def shown(search: Search) -> None:
    """One line of progress."""
    print(
        f"{search.kind} {search.task} {search.arm} {search.seed}: {search.best[-1]:.4g}", flush=True
    )


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("action", choices=("record", "train", "simulate", "table"))
    parser.add_argument("--runs", type=Path, default=Path("search_quality"))
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--task", choices=tuple(TASKS), action="append", dest="tasks")
    options = parser.parse_args()
    REPORT.mkdir(parents=True, exist_ok=True)
    tasks = options.tasks or list(TASKS)
    if options.action == "record":
        for name in tasks:
            record(name, options.runs, options.minutes / len(tasks))
            write_trials(name, options.runs, REPORT / f"{name}.parquet")
    elif options.action == "train":
        for search in train(options.seeds, options.runs):
            shown(search)
    elif options.action == "simulate":
        table = REPORT / "searches.parquet"
        known = read_searches(table)[0] if options.tasks else []
        kept = [s for s in known if s.kind == "simulated" and s.task not in tasks]
        trained = list(read_trained(options.runs)) or [s for s in known if s.kind == "trained"]
        found = [search for name in tasks for search in simulated(name, REPORT, shown)]
        write_searches([*kept, *found, *trained], table, describe())
    else:
        write_report(REPORT, *read_searches(REPORT / "searches.parquet"))


if __name__ == "__main__":
    main()
