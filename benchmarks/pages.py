"""How long the report of a large run takes, how large its page is, how soon it can be used.

    python benchmarks/pages.py --out benchmarks/results/pages.md

The runs are those of the report's tests (tests/report/made.py): 1,000 and 10,000 trials of 100
epochs, with verdicts of all kinds, a journal, and pictures of 20 trials. CPU seconds do not count
other work on the machine, seconds on the clock do; of each stands the best. A page is used when
Chromium without a window has loaded it, opened a trial by a click and sorted the table: seconds on
the clock from the address on, and CPU seconds of the page's own thread.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "report"))

from browser import open_browser, open_trials, resize, visit
from machine import describe
from made import make_run

import gantune
from gantune.report.write import write_report

EPOCHS = 100
PICTURED = 20


def timed(action: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """CPU seconds of this process and seconds on the clock: of each the best."""
    cpu, wall = [], []
    for _ in range(repeats):
        began = time.process_time(), time.perf_counter()
        action()
        cpu.append(time.process_time() - began[0])
        wall.append(time.perf_counter() - began[1])
    return min(cpu), min(wall)


def use(page: Path, repeats: int) -> tuple[float, float]:
    """CPU seconds of the page's thread and seconds on the clock until a page was used."""
    cpu, wall = [], []
    for _ in range(repeats):
        with open_browser() as driver:
            resize(driver, 1440)
            driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
            began = time.perf_counter()
            visit(driver, page)
            assert open_trials(driver, 1) == 1
            driver.execute_script("document.querySelector('#table thead button').click()")
            assert driver.execute_script("return document.querySelectorAll('tr.detail').length")
            wall.append(time.perf_counter() - began)
            metrics = driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
            cpu.append({m["name"]: m["value"] for m in metrics}["TaskDuration"])
    return min(cpu), min(wall)


def measure(trials: int, repeats: int) -> str:
    """A row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        root = make_run(Path(folder) / "run", trials=trials, epochs=EPOCHS, pictures=PICTURED)

        def load() -> gantune.Run:
            run = gantune.load(root)
            assert len(run.trials) == trials and len(run.epochs) > trials * EPOCHS // 2
            return run

        load()
        loaded = timed(load, repeats)
        out = Path(folder) / "report"
        written = timed(lambda: write_report([gantune.load(root)], out), repeats)
        used = use(out / "index.html", repeats)
        size = (out / "index.html").stat().st_size / 1e6
    cells = [f"{cpu:.2f} ({wall:.2f})" for cpu, wall in (loaded, written, used)]
    return f"| {trials:,} | {cells[0]} | {cells[1]} | {size:.1f} | {cells[2]} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--trials", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    lines = [
        "# Reports of large runs",
        "",
        "`python benchmarks/pages.py --out benchmarks/results/pages.md`",
        "",
        f"{describe()}. CPU seconds, in brackets seconds on the clock; the best of "
        f"{options.repeats}.",
        "",
        f"| trials of {EPOCHS} epochs | `gantune.load` | report | page, MB | page used |",
        "|---|---|---|---|---|",
    ]
    for trials in options.trials:
        lines.append(measure(trials, options.repeats))
        print(lines[-1], flush=True)
    load = f"{os.getloadavg()[1]:.0f} processes wanted to run at once on {os.cpu_count()} cores"
    lines += [
        "",
        f"While this was measured {load}: what a quiet machine takes is nearer to the first.",
    ]
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
