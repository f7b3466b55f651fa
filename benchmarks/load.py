"""How long it takes to open a large run: tables of 1,000 and 10,000 trials of 100 epochs.

    python benchmarks/load.py --out benchmarks/results/load.md

The tables are made up and written by the project's own writer: once as a run's end leaves them, as
one segment of large batches, and once as they are while it goes on, a batch for every few records.
Counted are the CPU seconds of `gantune.load` with its frames of trials and epochs, the best of
three, in turns with the least that it could be: pyarrow alone reading the same files of epochs and
turning them into pandas. The last column is the ratio.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parent))

from machine import describe

import gantune
from gantune.columns import EPOCHS
from gantune.document import Document
from gantune.loader import study_from_document
from gantune.paths import RunPaths
from gantune.records import TableWriter, compact, read_table
from gantune.tuning.lifecycle import create_run

EPOCHS_EACH = 100
REPEATS = 3
NULL = ("content_loss", "d_loss_real", "penalty", "extra_metrics", "mode_kl", "vendi")


def make_run(root: Path, trials: int, batch: int, *, closed: bool) -> Path:
    """A run of made-up records.

    Args:
        root: Where.
        trials: How many.
        batch: Records per batch.
        closed: As at a run's end.
    """
    tree = {
        "name": "large",
        "search": {"optimizer.generator.lr": {"log_uniform": [1e-5, 1e-2]}},
        "trial": {"train": {"epochs": EPOCHS_EACH}},
        "budget": {"trials": trials},
    }
    paths = RunPaths(root)
    create_run(paths, study_from_document(Document("large", tree)))
    rng = np.random.default_rng(0)
    ended, epochs = TableWriter(paths.table("trials")), TableWriter(paths.table("epochs"))
    rows: list[dict[str, Any]] = []
    for number in range(trials):
        rows += trial_rows(rng, number)
        while len(rows) >= batch:
            epochs.append(rows[:batch])
            rows = rows[batch:]
        ended.append([start_row(number), end_row(number)])
    epochs.append(rows)
    for name, writer in (("trials", ended), ("epochs", epochs)):
        writer.close()
        if closed:
            compact(paths.table(name))
    return root


def trial_rows(rng: np.random.Generator, number: int) -> list[dict[str, Any]]:
    """The records of a trial."""
    names = [column.name for column in EPOCHS if column.kind == "float" and column.name not in NULL]
    values = rng.random((EPOCHS_EACH, len(names)))
    best = np.minimum.accumulate(values[:, names.index("objective")])
    return [
        {
            **dict(zip(names, values[index].tolist(), strict=True)),
            "trial_id": f"large_{number:05d}",
            "number": number,
            "seq": number * EPOCHS_EACH + index,
            "epoch": index + 1,
            "step": (index + 1) * 100,
            "images_seen": (index + 1) * 6400,
            "modes": 8,
            "mode_histogram": [0.1] * 10,
            "best_objective": float(best[index]),
            "verdict": "healthy",
            "evidence": "nothing found",
        }
        for index in range(EPOCHS_EACH)
    ]


def start_row(number: int) -> dict[str, Any]:
    """A trial's first row."""
    return {
        "trial_id": f"large_{number:05d}",
        "number": number,
        "status": "running",
        "seed": number,
        "started_at": "2026-01-01T00:00:00.000+00:00",
        "parameters": f'{{"optimizer.generator.lr": {1e-5 * (1 + number)}}}',
    }


def end_row(number: int) -> dict[str, Any]:
    """A trial's last row."""
    return {
        **start_row(number),
        "status": "completed",
        "epochs": EPOCHS_EACH,
        "verdict": "healthy",
        "objective": 0.01,
        "best_epoch": 50,
        "last_objective": 0.5,
        "wall_s": 100.0,
    }


def load(root: Path) -> None:
    """What is measured."""
    run = gantune.load(root)
    assert len(run.trials) * EPOCHS_EACH == len(run.epochs)


def read(root: Path) -> None:
    """The least that it could be: the table of epochs as Arrow, then as pandas."""
    for path in RunPaths(root).table("epochs").glob("*.arrow"):
        pa.ipc.open_stream(path.read_bytes()).read_all().to_pandas()


def seconds(action: Callable[[Path], None], root: Path) -> float:
    """CPU seconds of one run of an action: a machine's other work does not count."""
    begin = time.process_time()
    action(root)
    return time.process_time() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--trials", type=int, nargs="+", default=[1000, 10_000])
    options = parser.parse_args()
    lines = [
        "# Opening large runs",
        "",
        "`python benchmarks/load.py --out benchmarks/results/load.md`",
        "",
        f"{describe()}.",
        "",
        f"| trials of {EPOCHS_EACH} epochs | table | CPU seconds | against pyarrow alone |",
        "|---|---|---|---|",
    ]
    load(make_run(Path(tempfile.mkdtemp()) / "warm", 5, 10, closed=True))
    for trials in options.trials:
        for closed, batch in ((True, 1000), (False, 20)):
            with tempfile.TemporaryDirectory() as folder:
                root = make_run(Path(folder) / "run", trials, batch, closed=closed)
                assert read_table(RunPaths(root).table("epochs")).num_rows == trials * EPOCHS_EACH
                times = [(seconds(load, root), seconds(read, root)) for _ in range(REPEATS)]
            loaded, least = (min(column) for column in zip(*times, strict=True))
            kind = "as a run's end leaves it" if closed else f"batches of {batch} records"
            lines.append(f"| {trials:,} | {kind} | {loaded:.2f} | {loaded / least:.1f} |")
            print(lines[-1], flush=True)
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
