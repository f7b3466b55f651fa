"""Tables of what stopping by verdict did, from the raw results of its runs. Trains nothing."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from stop_figures import Outcome, Rule, Trial, as_run, ratio_interval, replayed
from stop_studies import EPOCHS, STOP, STUDIES, TRIALS

from gantune.columns import EPOCHS as COLUMNS
from gantune.columns import TIMES
from gantune.strategy import Asha
from gantune.study import Stop

LEFT_OUT = {*TIMES, "trial_id", "seq", "evidence", "extra_metrics", "number", "epoch"}
KEYS = ("study", "arm", "seed", "number", "epoch")
ASHA = Asha()
RUNGS = (ASHA.grace_epochs,)
assert ASHA.grace_epochs < EPOCHS <= ASHA.grace_epochs * ASHA.reduction_factor

RULES = {
    "as studied": Stop.model_validate(STOP),
    "patience 5": Stop.model_validate(STOP | {"patience": 5}),
    "patience 7": Stop.model_validate(STOP | {"patience": 7}),
    "mode_collapse only": Stop.model_validate(STOP | {"verdicts": ["mode_collapse"]}),
    "discriminator_dominates only": Stop.model_validate(
        STOP | {"verdicts": ["discriminator_dominates"]}
    ),
}


class Run(NamedTuple):
    """A study run: its trials in order."""

    study: str
    arm: str
    seed: int
    trials: list[Trial]


class Pair(NamedTuple):
    """The same study and seed without and with the stop.

    Attributes:
        study: Its name.
        without: What it came to without the stop.
        stopped: What it came to with it.
        cut: Trials that the stop ended before the epoch in which they ended without it; only where
            the trials are the same.
        recovered: Those whose last epoch without it has none of its verdicts.
        healthy: Those whose last epoch without it is healthy.
    """

    study: str
    without: Outcome
    stopped: Outcome
    cut: int | None = None
    recovered: int | None = None
    healthy: int | None = None

    @property
    def ratio(self) -> float:
        """Best objective with the stop over that without; above 1 is worse."""
        return self.stopped.best / self.without.best


def write_raw(lines: Sequence[dict[str, Any]], path: Path) -> None:
    """Writes every epoch of every run, without times, as one Parquet file."""
    rows = []
    for line in lines:
        identity = {"study": line["study"], "arm": line["arm"], "seed": line["seed"]}
        for number, trial in enumerate(line["trials"]):
            ends = {"number": number, "stopped_by": trial["stopped_by"]}
            rows += [{**record, **identity, **ends} for record in trial["records"]]
    columns: dict[str, pa.Array] = {}
    for name in (*KEYS, "stopped_by"):
        columns[name] = pa.array([row[name] for row in rows])
    for column in COLUMNS:
        values = [row.get(column.name) for row in rows]
        if column.name not in LEFT_OUT and any(value is not None for value in values):
            kinds = {"float": pa.float32(), "floats": pa.list_(pa.float32())}
            columns[column.name] = pa.array(values, kinds.get(column.kind))
    table = pa.table(columns, metadata={"machine": lines[-1]["machine"]})
    pq.write_table(table, path, compression="zstd", compression_level=19)


def read_raw(path: Path) -> tuple[list[Run], str]:
    """Reads the runs, and what they ran on."""
    table = pq.read_table(path, columns=[*KEYS, "stopped_by", "objective", "verdict"])
    rows = table.to_pylist()
    runs = []
    for (study, arm, seed), of_run in groupby(rows, lambda r: (r["study"], r["arm"], r["seed"])):
        trials = []
        for _, of_trial in groupby(of_run, lambda r: r["number"]):
            epochs = list(of_trial)
            verdicts = tuple(row["verdict"] for row in epochs)
            objectives = tuple(row["objective"] for row in epochs)
            trials.append(Trial(verdicts, objectives, epochs[0]["stopped_by"] == "verdict"))
        runs.append(Run(study, arm, seed, trials))
    return runs, table.schema.metadata[b"machine"].decode()


def trained_pairs(runs: Sequence[Run]) -> list[Pair]:
    """Runs with ASHA alone, and with the stop: trained apart."""
    stopped = {(run.study, run.seed): as_run(run.trials) for run in runs if run.arm == "asha_stop"}
    return [
        Pair(run.study, as_run(run.trials), stopped[run.study, run.seed])
        for run in runs
        if run.arm == "asha" and (run.study, run.seed) in stopped
    ]


def replayed_pairs(
    runs: Sequence[Run], arm: str, stop: Stop, rungs: tuple[int, ...] = ()
) -> list[Pair]:
    """The same trials without and with a stop."""
    pairs = []
    for run in runs:
        if run.arm == arm:
            without, stopped = (
                replayed(run.trials, Rule(rule, rungs, ASHA.reduction_factor), EPOCHS)
                for rule in (Stop(), stop)
            )
            cut = [n for n in stopped.stopped if stopped.lengths[n] < without.lengths[n]]
            last = [run.trials[n].verdicts[without.lengths[n] - 1] for n in cut]
            recovered = sum(verdict not in stop.verdicts for verdict in last)
            pairs.append(
                Pair(run.study, without, stopped, len(cut), recovered, last.count("healthy"))
            )
    return pairs


def _rows(pairs: Sequence[Pair], row: Callable[[str, Sequence[Pair]], str]) -> list[str]:
    of_study = {name: [pair for pair in pairs if pair.study == name] for name in STUDIES}
    return [row(name, found) for name, found in of_study.items() if found] + [row("all", pairs)]


def saved(pairs: Sequence[Pair]) -> float:
    """Share of the epochs."""
    without = sum(pair.without.epochs for pair in pairs)
    return 1 - sum(pair.stopped.epochs for pair in pairs) / without


def _figures(pairs: Sequence[Pair]) -> str:
    without = sum(pair.without.epochs for pair in pairs)
    stopped = sum(pair.stopped.epochs for pair in pairs)
    ended = sum(len(pair.stopped.stopped) for pair in pairs)
    cut = sum(pair.cut or 0 for pair in pairs)
    recovered = sum(pair.recovered or 0 for pair in pairs)
    same_trials = f": {cut} short, {recovered} recovered" if pairs[0].cut is not None else ""
    ratios = [pair.ratio for pair in pairs]
    same = sum(ratio == 1 for ratio in ratios)
    worse = sum(ratio > 1 for ratio in ratios)
    mean, low, high = ratio_interval(ratios)
    return (
        f"{without / len(pairs):.0f} | {stopped / len(pairs):.0f} | **{saved(pairs):.1%}** "
        f"| {ended} of {TRIALS * len(pairs)}{same_trials} "
        f"| {len(pairs) - same - worse} / {same} / {worse} "
        f"| {mean:.3f} [{low:.3f}, {high:.3f}] |"
    )


HEADER = (
    "epochs without | with stop | saved | trials it ended | best is better / same / worse "
    "| best with / without: mean [95%] |"
)


def trained_table(runs: Sequence[Run]) -> list[str]:
    """Separate runs with ASHA alone and with the stop."""

    def row(name: str, pairs: Sequence[Pair]) -> str:
        bests = [
            median(getattr(pair, arm).best for pair in pairs) for arm in ("without", "stopped")
        ]
        shown = ("", "") if name == "all" else tuple(f"{best:.4g}" for best in bests)
        return f"| {name} | {shown[0]} | {shown[1]} | {_figures(pairs)}"

    head = ["| study | median best without | with stop | " + HEADER, "|---" * 9 + "|"]
    return head + _rows(trained_pairs(runs), row)


def replayed_table(runs: Sequence[Run], arm: str, rungs: tuple[int, ...] = ()) -> list[str]:
    """The same trials under several stops; each study only under the one that was asked for."""
    lines = ["| stop | study | " + HEADER, "|---" * 8 + "|"]
    for label, stop in RULES.items():
        pairs = replayed_pairs(runs, arm, stop, rungs)
        rows = _rows(pairs, lambda name, found: f"{name} | {_figures(found)}")
        lines += [f"| {label} | {row}" for row in (rows if label == "as studied" else rows[-1:])]
    return lines


def ends_table(runs: Sequence[Run], arm: str) -> list[str]:
    """How trials of an arm stood at their last epoch."""
    lines = ["| study | verdicts at the trials' last epochs |", "|---|---|"]
    for name in STUDIES:
        counts = Counter(
            trial.verdicts[-1]
            for run in runs
            if (run.study, run.arm) == (name, arm)
            for trial in run.trials
        )
        text = ", ".join(f"{verdict} {count}" for verdict, count in counts.most_common())
        lines.append(f"| {name} | {text} |")
    return lines
