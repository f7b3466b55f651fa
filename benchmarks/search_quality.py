"""Whether gantune finds good GANs with less: its search against random search and a Ray script.

    python benchmarks/search_quality.py record --runs DIR [--minutes 60]
    python benchmarks/search_quality.py train --runs DIR [--seeds 3]
    python benchmarks/search_quality.py simulate --runs DIR
    python benchmarks/search_quality.py table

``record`` trains a few hundred trials of two studies and keeps them in ``reports/search_quality/``;
``train`` runs the searches on real training; both go on where they stopped. ``simulate`` runs the
searches on the recorded trials in simulated time, and writes what all of them found, those of
``train`` included. ``table`` writes the report and its figures from that.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from machine import describe
from search_figures import Search, read_searches, write_searches
from search_record import TASKS, record, write_trials
from search_simulate import all_simulated
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
    options = parser.parse_args()
    REPORT.mkdir(parents=True, exist_ok=True)
    if options.action == "record":
        for name in TASKS:
            record(name, options.runs, options.minutes / len(TASKS))
            write_trials(name, options.runs, REPORT / f"{name}.parquet")
    elif options.action == "train":
        for search in train(options.seeds, options.runs):
            shown(search)
    elif options.action == "simulate":
        searches = [*all_simulated(REPORT, shown), *read_trained(options.runs)]
        write_searches(searches, REPORT / "searches.parquet", describe())
    else:
        write_report(REPORT, *read_searches(REPORT / "searches.parquet"))


if __name__ == "__main__":
    main()
