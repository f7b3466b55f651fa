"""The tables of the report on search quality. Trains nothing."""

from collections.abc import Sequence

import numpy as np
from search_figures import (
    Interval,
    Search,
    geometric_mean,
    matrix,
    paired_bootstrap,
    ratios_at,
    ratios_overall,
    share_of_epochs,
)
from search_surrogate import Answer, Recorded

NO_WORSE = 1.05
"""A best objective that is at most so many times the other's is no worse."""


class Findings:
    """The searches of one task, simulated or trained."""

    def __init__(self, searches: Sequence[Search], task: str, kind: str) -> None:
        arms = dict.fromkeys(s.arm for s in searches if (s.task, s.kind) == (task, kind))
        self.best = {arm: matrix(searches, task, kind, arm) for arm in arms}
        self.seeds, self.budget = self.best["gantune"].shape

    @property
    def moments(self) -> list[int]:
        """Epochs spent at which searches are compared: a sixth, a third, two thirds, all."""
        return [round(self.budget * share) for share in (1 / 6, 1 / 3, 2 / 3, 1)]

    def share(self, arm: str) -> Interval:
        """Of random search's epochs, until the median is where random search's ends."""
        return paired_bootstrap(share_of_epochs, [self.best[arm], self.best["random"]])

    def ratio(self, other: str, epochs: int | None = None, arm: str = "gantune") -> Interval:
        """The best of an arm over another's, after so many epochs or over all of them."""
        pair = self.best[arm], self.best[other]
        ratios = ratios_at(epochs, *pair) if epochs else ratios_overall(*pair)
        return paired_bootstrap(geometric_mean, [ratios])


def arms_table(found: Findings) -> list[str]:
    """What each search found, and when it was where random search ends."""
    moments = " | ".join(f"{epochs}" for epochs in found.moments)
    lines = [
        f"| search | median best after {moments} epochs | epochs to random search's last median "
        "| of its epochs [95%] |",
        "|---" * 7 + "|",
    ]
    for arm, best in found.best.items():
        medians = " | ".join(f"{np.median(best[:, epochs - 1]):.3g}" for epochs in found.moments)
        share = found.share(arm)
        epochs = "never" if share.value == np.inf else f"{share.value * found.budget:.0f}"
        lines.append(f"| {arm} | {medians} | {epochs} | {shown_share(share)} |")
    return lines


def ratios_table(found: Findings, others: Sequence[str]) -> list[str]:
    """gantune's best over the others' at equal epochs."""
    moments = " | ".join(f"after {epochs}" for epochs in found.moments[1:])
    lines = [f"| gantune / | {moments} | over all epochs |", "|---" * 5 + "|"]
    for other in others:
        ratios = [found.ratio(other, epochs) for epochs in (*found.moments[1:], None)]
        lines.append(f"| {other} | {' | '.join(map(shown_ratio, ratios))} |")
    return lines


def seeds_table(found: Findings) -> list[str]:
    """The best of each seed at the end, where there are few of them."""
    seeds = " | ".join(f"seed {seed}" for seed in range(found.seeds))
    lines = [f"| best after {found.budget} epochs | {seeds} |", "|---" * (found.seeds + 1) + "|"]
    for arm, best in found.best.items():
        lines.append(f"| {arm} | {' | '.join(f'{value:.3g}' for value in best[:, -1])} |")
    return lines


def shown_share(share: Interval) -> str:
    """A share of epochs and its interval, as text."""
    low, high = (f"{v:.0%}" if v != np.inf else "never" for v in (share.low, share.high))
    value = f"{share.value:.0%}" if share.value != np.inf else "never"
    return f"**{value}** [{low}, {high}]"


def shown_ratio(ratio: Interval) -> str:
    """A ratio and its interval, as text."""
    return f"**{ratio.value:.2f}** [{ratio.low:.2f}, {ratio.high:.2f}]"


def surrogate_table(answers: Sequence[Answer], epochs: Sequence[int]) -> list[str]:
    """How far the surrogate's answers are from trials that it has not seen."""
    lines = [
        "| best up to epoch | rank correlation: one answer | median of its answers "
        "| typical factor between one answer and the trial |",
        "|---" * 4 + "|",
    ]
    for epoch in epochs:
        true = np.array([answer.true.best(epoch) for answer in answers])
        given = np.array([[curve.best(epoch) for curve in answer.given] for answer in answers])
        # One answer, as in a search: the mean over the trees of what one tree says.
        one = float(np.mean([rank_correlation(true, column) for column in given.T]))
        middle = rank_correlation(true, np.median(given, axis=1))
        known = np.isfinite(given) & np.isfinite(true[:, None])
        logs = np.log(given, where=known, out=np.zeros_like(given))
        logs -= np.log(true, where=np.isfinite(true), out=np.zeros_like(true))[:, None]
        factor = float(np.exp(np.median(np.abs(logs[known]))))
        lines.append(f"| {epoch} | {one:.2f} | {middle:.2f} | {factor:.2f} |")
    return lines


def early_table(recorded: Recorded, rungs: Sequence[int], factor: int) -> list[str]:
    """How far the recorded trials' first epochs tell which of them end well.

    Args:
        recorded: Trials, all of the same length.
        rungs: Epochs at which one could decide.
        factor: One trial in this many would go on.
    """
    share = f"of the best tenth, the best 1/{factor} has"
    lines = [
        f"| epoch | rank correlation with the end: of the value there | of the best so far "
        f"| {share}: by the value there | by the best so far |",
        "|---" * 5 + "|",
    ]
    length = max(len(curve.objectives) for curve in recorded.curves)
    end = np.array([curve.best(length) for curve in recorded.curves])
    top = np.argsort(end)[: len(end) // 10]
    for epoch in rungs:
        there = [curve.objective(epoch) for curve in recorded.curves]
        early = (
            np.array([np.inf if value is None else value for value in there]),
            np.array([curve.best(epoch) for curve in recorded.curves]),
        )
        ranks = " | ".join(f"{rank_correlation(values, end):.2f}" for values in early)
        kept = " | ".join(f"{_kept(values, top, factor):.0%}" for values in early)
        lines.append(f"| {epoch} | {ranks} | {kept} |")
    return lines


def _kept(early: np.ndarray, top: np.ndarray, factor: int) -> float:
    return float(np.mean(early[top] <= np.sort(early)[len(early) // factor - 1]))


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's, ties at their mean rank."""
    return float(np.corrcoef(_ranks(one), _ranks(other))[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: np.ndarray = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return ranks
