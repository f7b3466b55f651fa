"""What the driver of a run takes for each record, from the first hundred trials to the last.

    python benchmarks/overhead.py --out benchmarks/results/overhead.md

A run on a real Ray, two trials at once, of trials that train next to nothing: one step of 8 points
per epoch, 20 epochs. Figures for each hundred trials, over the records that came in meanwhile:

- the driver's CPU time: the whole process, its threads, Tune and Ray's client included;
- of it, what proposing trials takes: Optuna's TPE weighs all trials that have ended;
- the time in gantune's own part (proposing, taking in records, ending), on the clock, with what it
  waits for the disk. Waiting for workers is in none of them.

And the memory that the process has at the end of each hundred. Each run has a process of its own.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import psutil

sys.path.insert(0, str(Path(__file__).parent))

from machine import describe

from gantune.document import Document
from gantune.loader import study_from_document
from gantune.study import Study
from gantune.trial import Record, TrialSpec
from gantune.tuning.conductor import Conductor
from gantune.tuning.runner import run_study

EPOCHS = 20
SLOTS = 2
TRIALS = 500
BLOCKS = 5
FIRST = 10
"""Trials after which memory is said to grow: Ray runs, and every code path has been taken."""

PROPOSE = "ask"
OWN_PART = (PROPOSE, "observe", "finish")
SCHEDULERS: dict[str, dict[str, Any]] = {
    "none": {"name": "none"},
    "asha": {"name": "asha", "grace_epochs": 2, "reduction_factor": 2},
}


def trivial_study(trials: int, scheduler: dict[str, Any]) -> Study:
    """A study whose trials train next to nothing."""
    tree = {
        "name": "trivial",
        "trial": {
            "data": {"name": "ring", "points": 200},
            "generator": {"hidden": [4], "latent_dim": 2},
            "discriminator": {"hidden": [4]},
            "train": {"epochs": EPOCHS, "steps_per_epoch": 1, "batch_size": 8},
            "eval": {"samples": 50},
        },
        "search": {
            "optimizer.generator.lr": {"log_uniform": [1e-5, 1e-2]},
            "optimizer.discriminator.lr": {
                "log_uniform": [0.1, 10],
                "times": "optimizer.generator.lr",
            },
            "optimizer.generator.beta1": {"uniform": [0.0, 0.9]},
        },
        "scheduler": scheduler,
        "budget": {"trials": trials},
        "samples": {"every": 0},
        "checkpoint": {"every": EPOCHS},
    }
    return study_from_document(Document("trivial", tree))


class Mark(NamedTuple):
    """What had been used when a trial ended.

    Attributes:
        cpu_s: CPU seconds of this process.
        propose_s: Of them, those of proposing trials.
        own_s: Seconds in gantune's own part, on the clock.
        records: Records that had come in.
        memory_mb: Memory of this process.
    """

    cpu_s: float
    propose_s: float
    own_s: float
    records: int
    memory_mb: float


class Meter:
    """Hears a run, and notes what its driver has used whenever a trial ends."""

    def __init__(self) -> None:
        self.marks: list[Mark] = []
        self._own_s = self._propose_s = 0.0
        self._records = 0
        self._process = psutil.Process()

    def __enter__(self) -> "Meter":
        return self

    def __exit__(self, *_: object) -> None: ...

    def resumed(self, rows: Sequence[dict[str, Any]]) -> None: ...

    def began(self, spec: TrialSpec) -> None: ...

    def recorded(self, number: int, records: Sequence[Record], steps: Sequence[Record]) -> None:
        self._records += len(records)

    def paused(self, number: int, row: dict[str, Any]) -> None: ...

    def ended(self, number: int, row: dict[str, Any]) -> None:
        memory = self._process.memory_info().rss / 2**20
        used = time.process_time(), self._propose_s, self._own_s
        self.marks.append(Mark(*used, self._records, memory))

    def timed(self, name: str, action: Callable[..., Any]) -> Callable[..., Any]:
        """The same action, its seconds counted as gantune's own."""

        def count(*values: Any, **named: Any) -> Any:
            began, cpu = time.perf_counter(), time.thread_time()
            try:
                return action(*values, **named)
            finally:
                self._own_s += time.perf_counter() - began
                if name == PROPOSE:
                    self._propose_s += time.thread_time() - cpu

        return count


@contextmanager
def metered() -> Iterator[Meter]:
    """A meter that counts the time in the conductor for as long as the context lasts."""
    meter, plain = Meter(), {name: getattr(Conductor, name) for name in OWN_PART}
    for name, action in plain.items():
        setattr(Conductor, name, meter.timed(name, action))
    try:
        yield meter
    finally:
        for name, action in plain.items():
            setattr(Conductor, name, action)


class Cost(NamedTuple):
    """Of some records in a row.

    Attributes:
        records: How many.
        cpu_ms: CPU time of the driver for each.
        propose_ms: Of it, what proposing trials took.
        own_ms: Time in gantune's own part for each.
        memory_mb: Memory at the end.
    """

    records: int
    cpu_ms: float
    propose_ms: float
    own_ms: float
    memory_mb: float


def cost(begin: Mark, end: Mark) -> Cost:
    """What came in between two moments, and what it cost."""
    records = end.records - begin.records
    pairs = zip(begin[:3], end[:3], strict=True)
    each = (1000 * (after - before) / records for before, after in pairs)
    return Cost(records, *each, end.memory_mb)


class Measured(NamedTuple):
    """A run.

    Attributes:
        whole: From the end of its first trial to that of its last.
        blocks: The same in equal parts.
        growth_mb: Memory at its highest, over that after the first ten trials.
        closing_s: CPU seconds from the end of its last trial to that of the run.
    """

    whole: Cost
    blocks: list[Cost]
    growth_mb: float
    closing_s: float


def measure(study: Study, folder: Path) -> Measured:
    """Runs a study and counts. The first trial's end comes after the start of Ray and workers."""
    with metered() as meter:
        run_study(study, lambda _: meter, runs_dir=folder, concurrency=SLOTS)
    marks, closing = meter.marks, time.process_time() - meter.marks[-1].cpu_s
    cuts = [round((len(marks) - 1) * n / BLOCKS) for n in range(BLOCKS + 1)]
    blocks = [cost(marks[begin], marks[end]) for begin, end in pairwise(cuts)]
    growth = peak_mb() - marks[FIRST].memory_mb
    return Measured(cost(marks[0], marks[-1]), blocks, growth, closing)


def peak_mb() -> float:
    """The most memory that this process has ever had."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def measured(scheduler: str, trials: int) -> Measured:
    """Runs a study in a process of its own."""
    command = [sys.executable, __file__, "--scheduler", scheduler, "--trials", str(trials)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    whole, blocks, *rest = json.loads(done.stdout)
    return Measured(Cost(*whole), [Cost(*block) for block in blocks], *rest)


def table(found: dict[str, Measured]) -> list[str]:
    """As Markdown."""
    heads = [f"part {n}" for n in range(1, BLOCKS + 1)]
    lines = [f"| | whole run | {' | '.join(heads)} |", "|---" * (BLOCKS + 2) + "|"]
    for name, run in found.items():
        columns = [run.whole, *run.blocks]
        rows = {
            "records": [f"{one.records:,}" for one in columns],
            "driver's CPU, ms per record": [f"{one.cpu_ms:.2f}" for one in columns],
            "of it proposing": [f"{one.propose_ms:.2f}" for one in columns],
            "in gantune on the clock, ms per record": [f"{one.own_ms:.2f}" for one in columns],
            "memory at the end, MB": [f"{one.memory_mb:.0f}" for one in columns],
        }
        lines += [f"| {name}: {title} | {' | '.join(cells)} |" for title, cells in rows.items()]
    return lines


def main() -> None:
    """Measures one scheduler, or all in turn for the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--scheduler", choices=SCHEDULERS, help="this one alone, as JSON")
    options = parser.parse_args()
    if options.scheduler:
        study = trivial_study(options.trials, SCHEDULERS[options.scheduler])
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(study, Path(folder))))
        return
    found = {name: measured(name, options.trials) for name in SCHEDULERS}
    lines = [
        "# What the driver takes for each record",
        "",
        "`python benchmarks/overhead.py --out benchmarks/results/overhead.md`",
        "",
        f"{options.trials} trials of {EPOCHS} epochs that train next to nothing, {SLOTS} at once, "
        "on a real Ray, without a scheduler and with ASHA's rungs at epochs 2, 4, 8 and 16 that "
        f"let half go on; parts are fifths of the trials, as they ended. {describe()}.",
        "",
        *table(found),
        "",
        *(
            f"{name}: memory grew by {run.growth_mb:.0f} MB at most; closing the run took "
            f"{run.closing_s:.1f} CPU seconds.\n"
            for name, run in found.items()
        ),
    ]
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
