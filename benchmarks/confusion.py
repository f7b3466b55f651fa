"""Counts of (truth, verdict), and what they come to."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, get_args

from gantune.columns import VerdictName

NEAR_COPIES = 0.05
"""Share of copies from which a run memorizes; runs on all of the data have none."""

LEAST_COVERAGE = 0.15
LEAST_MODES = 0.75


class Judged(NamedTuple):
    """A run with its truth and its verdict.

    Attributes:
        key: Names the run.
        half: ``set`` or ``held``.
        fault: What was planted.
        truth: What it is; None where the plant did not take, or the run is between two truths.
        verdict: What the diagnosis says.
        evidence: Its sentence.
    """

    key: str
    half: str
    fault: str
    truth: str | None
    verdict: str
    evidence: str


def truth_of(fault: str, truth: dict[str, Any], modes: int) -> str | None:
    """What a run is, by samples and parameters that no verdict sees.

    Args:
        fault: What was planted.
        truth: What was measured at its end on 10,000 samples.
        modes: Modes or classes of the data.
    """
    if not truth["is_finite"]:
        return "diverged"
    share = None if truth.get("mode_kl") is None else 2.718281828459045 ** -truth["mode_kl"]
    is_well = share is not None and share >= LEAST_MODES and truth["coverage"] >= LEAST_COVERAGE
    found = {
        "diverged": False,
        "discriminator_dominates": True,
        "mode_collapse": share is not None and share <= modes**-0.5,
        "memorizing": truth.get("near_copies", 0.0) >= NEAR_COPIES,
        "healthy": is_well and truth["modes"] >= 0.9 * modes,
    }
    return fault if found[fault] else None


def matrix(runs: Iterable[Judged]) -> Counter[tuple[str, str]]:
    """How often each verdict was given of each truth."""
    return Counter((run.truth, run.verdict) for run in runs if run.truth is not None)


def f1(counts: Counter[tuple[str, str]], name: str) -> float:
    """2 TP / (2 TP + FP + FN) of one truth."""
    hits = counts[name, name]
    missed = sum(n for (truth, verdict), n in counts.items() if truth == name != verdict)
    wrong = sum(n for (truth, verdict), n in counts.items() if verdict == name != truth)
    return 2 * hits / (2 * hits + missed + wrong) if hits + missed + wrong else 0.0


def summary(runs: Sequence[Judged]) -> list[str]:
    """Lines of Markdown: figures, the confusion matrix, every mistake."""
    counts = matrix(runs)
    names = [name for name in get_args(VerdictName) if any(t == name for t, _ in counts)]
    given = [name for name in get_args(VerdictName) if any(v == name for _, v in counts)]
    macro = sum(f1(counts, name) for name in names) / len(names)
    missed = sum(n for (t, v), n in counts.items() if t == "diverged" != v)
    well = sum(n for (t, _), n in counts.items() if t == "healthy")
    alarms = well - counts["healthy", "healthy"]
    total = sum(counts.values())
    lines = [
        f"{total} runs: macro F1 **{macro:.3f}**, divergences missed: **{missed}**, false alarms "
        f"on healthy runs: **{alarms} of {well}**.",
        "",
        f"| truth \\ verdict | {' | '.join(given)} | runs | F1 |",
        f"|---{'|---' * (len(given) + 2)}|",
    ]
    for name in names:
        row = [counts[name, verdict] for verdict in given]
        cells = " | ".join(str(n) if n else "" for n in row)
        lines.append(f"| {name} | {cells} | {sum(row)} | {f1(counts, name):.3f} |")
    mistakes = [run for run in runs if run.truth is not None and run.truth != run.verdict]
    lines += ["", f"Mistakes: {len(mistakes) or 'none'}.", ""]
    return lines + [f"- `{run.key}`, in truth {run.truth}: {run.evidence}" for run in mistakes]


def left_out(runs: Sequence[Judged]) -> list[str]:
    """Lines of Markdown: runs without a truth, with what was said of them."""
    without = [run for run in runs if run.truth is None]
    lines = [f"{len(without)} runs are left out:", ""]
    return lines + [f"- `{run.key}`: {run.evidence}" for run in without]
