"""What the verdicts say of planted faults, as Markdown."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, get_args

from confusion import Counts, Judged, judge
from verdict_records import PlantedRun

from gantune.columns import VerdictName

HEAD = """# What the verdicts say of planted faults

{runs} runs of small networks, each with a fault planted in it or none
([plants.py](../../benchmarks/plants.py)). {machine}.

`python benchmarks/verdicts.py run` trains them, `pack` keeps what a verdict reads
([runs.parquet](runs.parquet), [epochs.parquet](epochs.parquet)), `table` diagnoses those again and
writes this page. `tests/diagnosis/test_planted_faults.py` asserts its claims.

## Protocol

- **Truth** is measured apart from what a verdict sees, at the end of each run, on 10,000 samples of
  other latents: parameters or losses that are not finite (diverged); modes as good as sqrt(K) of K
  or fewer (mode collapse); at least 5% of 1,000 samples copies in pixels (memorizing); 90% of the
  modes, exp(-KL) of 0.75 and coverage of 0.15 (healthy). Dominance is true by the plant.
- A plant that **did not take** has no truth. It is listed and not counted.
- **Halves** are split by study (data and loss), not by seed: no study is in both. Thresholds were
  set on the one half, with seeds 0 and 1.
- An earlier set of runs had 2 false alarms on 22 healthy held-out ones, both on the grid under the
  relativistic loss. They were looked at, so that **study is now in the half that sets thresholds**,
  and mode_dropping and oscillating were defined anew: what a recent epoch has served is not lost.
  The held-out runs here are fresh: seeds from 2 on, none of which had been trained before, and
  studies that had never been run (`ring_relativistic`, `grid_hinge`, `grid_least_squares`).
- That `mode_dropping` and `oscillating` spare runs whose last epochs serve all modes follows from
  their definition and that of a healthy run. It is no evidence that they find what they should.
- What the median of three epochs says and what is true at the end can differ: runs that wander
  between two truths are mostly among those that did not take.
- Macro F1 is the mean of the F1 of each truth. A false alarm is a healthy run that is called
  anything else.
- Small networks, 8 to 12 short epochs: what the figures mean for other networks is not known.
"""

NO_LABELS = """
The digits with their labels withheld: features are random convolutions, and a verdict sees no
modes. The truth is measured with the labels all the same. The threshold (pairs at most 0.9 as far
apart as the data's) was set on the runs of `unlabelled_non_saturating`; the runs here are of other
losses and seeds. A collapse onto one class that keeps the variety of that class cannot be seen by
distances of pairs: real digits of one class are 0.7 to 1 as far apart as digits of all classes.
Dominance and memorization were not planted here."""

CLAIM = """
`generator_dominates`, `mode_dropping`, `oscillating` and `undertrained` have no truth but their
definition. Nothing is claimed of them; this is how often they were said, and an example of each.
"""

TITLES = {
    "held": "Held out",
    "blind": "Held out, without labels",
    "set": "The half that set the thresholds",
}

CURVES = {
    "Fréchet": "frechet_distance",
    "coverage": "coverage",
    "precision": "precision",
    "entropy of modes": "mode_entropy",
    "KL of modes": "mode_kl",
    "pairs": "pair_distance_ratio",
    "Vendi": "vendi",
    "D accuracy": "d_acc",
    "D AUC": "d_auc",
    "near/held out": "nearest_neighbor_ratio",
}


def report(runs: Sequence[PlantedRun], machine: str) -> str:
    """The page."""
    judged = [judge(run) for run in runs]
    lines = [HEAD.format(runs=len(runs), machine=machine)]
    for half, title in TITLES.items():
        lines.append(f"## {title}")
        if half == "blind":
            lines.append(NO_LABELS)
        lines += ["", *_summary([one for one in judged if one.run.half == half])]
    lines += ["## Verdicts without a truth", CLAIM, *_shown(judged)]
    return "\n".join([*lines, "## Plants that did not take", "", *_left_out(judged), ""])


def _summary(judged: Sequence[Judged]) -> list[str]:
    """Figures, the confusion matrix, every mistake."""
    counts = Counts.of_runs(judged)
    well, alarms = counts.runs("healthy"), counts.missed("healthy")
    diverged = counts.runs("diverged")
    missed = f"divergences missed: **{counts.missed('diverged')} of {diverged}**, "
    shown = missed if diverged else ""
    lines = [
        f"{counts.of.total()} runs: macro F1 **{counts.macro_f1:.3f}**, {shown}"
        f"false alarms: **{alarms} of {well}** healthy runs ({alarms / well:.1%}).",
        "",
        f"| truth \\ verdict | {' | '.join(counts.verdicts)} | runs | F1 |",
        f"|---{'|---' * (len(counts.verdicts) + 2)}|",
    ]
    for name in counts.truths:
        row = [counts.of[name, verdict] for verdict in counts.verdicts]
        cells = " | ".join(str(n) if n else "" for n in row)
        lines.append(f"| {name} | {cells} | {sum(row)} | {counts.f1(name):.3f} |")
    mistakes = [one for one in judged if one.is_mistake]
    lines += ["", f"Mistakes: {len(mistakes) or 'none'}.", ""]
    for one in mistakes:
        lines += [f"- `{one.run.key}`, in truth {one.truth}: {one.verdict.evidence}", ""]
        lines += [*_curves(one.run.records), ""]
    return lines


def _curves(records: Sequence[dict[str, Any]]) -> list[str]:
    """The numbers behind a verdict, epoch by epoch."""
    known = {t: c for t, c in CURVES.items() if any(r[c] is not None for r in records)}
    lines = [f"  | epoch | {' | '.join(known)} |", f"  |---{'|---' * len(known)}|"]
    for record in records:
        cells = ["" if record[c] is None else f"{record[c]:.3g}" for c in known.values()]
        lines.append(f"  | {record['epoch']} | {' | '.join(cells)} |")
    return lines


def _shown(judged: Sequence[Judged]) -> list[str]:
    """Rates and an example of each verdict without a truth."""
    names = [n for n in get_args(VerdictName) if any(_has(one, n) for one in judged)]
    names = [n for n in names if n not in _with_truth(judged)]
    lines = [
        "Said, as the verdict or among its `others`, of runs that are in truth (or, in the lower "
        "part, in which was planted):",
        "",
        f"| runs | {' | '.join(names)} | number |",
        f"|---{'|---' * (len(names) + 1)}|",
    ]
    for title, group in _groups(judged).items():
        cells = " | ".join(f"{sum(_has(one, n) for one in group)}" for n in names)
        lines.append(f"| {title} | {cells} | {len(group)} |")
    lines += ["", "What was said first of runs with these plants:", ""]
    for fault, group in _planted(judged).items():
        said = Counter(one.verdict.name for one in group).most_common()
        lines.append(f"- {fault}: {', '.join(f'{n} {name}' for name, n in said)}")
    lines += ["", "Examples:", ""]
    for name in names:
        found = [one for one in judged if one.verdict.name == name]
        lines += [f"- `{one.run.key}`: {one.verdict.evidence}" for one in found[:2]]
        if not found:
            lines.append(f"- {name}: only ever among the others")
    return [*lines, ""]


def _with_truth(judged: Sequence[Judged]) -> set[str]:
    return {one.truth for one in judged if one.truth is not None}


def _planted(judged: Sequence[Judged]) -> dict[str, list[Judged]]:
    groups: dict[str, list[Judged]] = {}
    for one in judged:
        if one.run.half == "shown":
            groups.setdefault(one.run.fault, []).append(one)
    return groups


def _groups(judged: Sequence[Judged]) -> dict[str, list[Judged]]:
    """Runs by their truth, then by the plants that have none."""
    groups = {
        name: [one for one in judged if one.truth == name and one.run.half != "shown"]
        for name in get_args(VerdictName)
    }
    planted = {f"planted: {name}": group for name, group in _planted(judged).items()}
    return {name: group for name, group in groups.items() if group} | planted


def _has(one: Judged, name: str) -> bool:
    return name in (one.verdict.name, *one.verdict.others)


def _left_out(judged: Sequence[Judged]) -> list[str]:
    """Runs without a truth, with what was said of them."""
    without = [one for one in judged if one.truth is None and one.run.half != "shown"]
    lines = [f"{len(without)} runs:", ""]
    for one in without:
        divergence, coverage = one.run.truth["mode_kl"], one.run.truth["coverage"]
        served = "no modes" if divergence is None else f"exp(-KL) {math.exp(-divergence):.2f}"
        lines.append(
            f"- `{one.run.key}` ({served}, coverage {coverage:.2f}): {one.verdict.evidence}"
        )
    return lines
