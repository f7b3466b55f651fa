"""Counts of (truth, verdict), and what they come to."""

import math
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple, get_args

from verdict_records import PlantedRun

from gantune.columns import VerdictName
from gantune.diagnosis.verdicts import Verdict, diagnose

NEAR_COPIES = 0.05
"""Share of copies from which a run memorizes; runs on all of the data have none."""

LEAST_COVERAGE = 0.15
LEAST_MODES = 0.75


class Judged(NamedTuple):
    """A run with its truth and its verdict.

    Attributes:
        run: The run.
        truth: What it is; None where the plant did not take, or the run is between two truths.
        verdict: What the diagnosis says.
    """

    run: PlantedRun
    truth: str | None
    verdict: Verdict

    @property
    def is_mistake(self) -> bool:
        """Whether it has a truth and is called something else."""
        return self.truth is not None and self.truth != self.verdict.name


def judge(run: PlantedRun) -> Judged:
    """Diagnoses a run's records again."""
    return Judged(run, truth_of(run), diagnose(run.records, run.context))


def truth_of(run: PlantedRun) -> str | None:
    """What a run is, by samples and parameters that no verdict sees."""
    truth = run.truth
    if not truth["is_finite"]:
        return "diverged"
    divergence = truth["mode_kl"]
    share = None if divergence is None else math.exp(-divergence)
    is_well = share is not None and share >= LEAST_MODES and truth["coverage"] >= LEAST_COVERAGE
    found = {
        "discriminator_dominates": True,
        "mode_collapse": share is not None and share <= run.classes**-0.5,
        "memorizing": truth["near_copies"] >= NEAR_COPIES,
        "healthy": is_well and truth["modes"] >= 0.9 * run.classes,
    }
    is_found = run.fault in found and found[run.fault]
    return run.fault if is_found else None


class Counts(NamedTuple):
    """How often each verdict was given of each truth."""

    of: Counter[tuple[str, str]]

    @classmethod
    def of_runs(cls, runs: Iterable[Judged]) -> "Counts":
        """Counts runs that have a truth."""
        return cls(Counter((r.truth, r.verdict.name) for r in runs if r.truth is not None))

    @property
    def truths(self) -> list[str]:
        """That any run has, the most severe first."""
        return [name for name in get_args(VerdictName) if any(t == name for t, _ in self.of)]

    @property
    def verdicts(self) -> list[str]:
        """That were given, the most severe first."""
        return [name for name in get_args(VerdictName) if any(v == name for _, v in self.of)]

    def runs(self, truth: str) -> int:
        """Runs that are this in truth."""
        return sum(n for (t, _), n in self.of.items() if t == truth)

    def missed(self, truth: str) -> int:
        """Runs that are this in truth, and are called something else."""
        return self.runs(truth) - self.of[truth, truth]

    def f1(self, name: str) -> float:
        """2 TP / (2 TP + FP + FN) of one truth."""
        hits = self.of[name, name]
        wrong = sum(n for (t, v), n in self.of.items() if v == name != t)
        missed = self.missed(name)
        return 2 * hits / (2 * hits + missed + wrong) if hits + missed + wrong else 0.0

    @property
    def macro_f1(self) -> float:
        """Mean over the truths."""
        return sum(map(self.f1, self.truths)) / len(self.truths)
