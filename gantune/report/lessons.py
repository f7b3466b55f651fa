"""What a search taught, in a sentence each: what mattered, what failed."""

from dataclasses import dataclass

import pandas as pd

from gantune.report.verdicts import look_of
from gantune.report.words import Fact, Sentence, counted, in_words, label, short

FEW_TRIALS = 20
NAME = 60
"""Letters of a foreign name within a sentence."""
MINOR = 0.1
"""Below such a share a parameter is not worth a sentence."""


@dataclass(frozen=True)
class WorstRegion:
    """The part of a parameter's domain in which most trials failed."""

    path: str
    part: str
    trials: int
    failed: int

    @property
    def rate(self) -> float:
        """Share of its trials that failed."""
        return self.failed / self.trials


def mattered(importance: pd.DataFrame, trials: int) -> Sentence:
    """What mattered most over all trials, and apart from that among those that have a parameter.

    Args:
        importance: A row per parameter, the most important first.
        trials: Of the search.
    """
    known = importance.dropna(subset=["importance"])
    always = known[~known["is_conditional"]]
    if always.empty:
        why = importance.attrs.get("warning") or f"there are {counted(trials, 'trial')}"
        return (f"It cannot be said: {why}.",)
    names = [str(path) for path in always["parameter"]]
    shares = [float(share) for share in always["importance"]]
    several = len(shares) > 1 and shares[1] >= MINOR
    parts: list[str | Fact] = []
    for name, share in list(zip(names, shares, strict=True))[: 2 if several else 1]:
        told = Fact(f"importance.{name}", share, "%")
        parts += [" and " if parts else "", short(label(name), NAME), " (", told, ")"]
    count = int(always["trials"].max())
    which = "each explains" if several else "it explains"
    parts += [f" most: the share of the objective’s variance that {which} by itself over "]
    few = ", which are few" if count < FEW_TRIALS else ""
    parts += [Fact("importance.trials", count), f" trials{few}."]
    return (*parts, *_mattered_to_some(known[known["is_conditional"]]))


def _mattered_to_some(known: pd.DataFrame) -> Sentence:
    """The largest share within a group of trials: of another whole than the shares over all."""
    if known.empty or float(known["importance"].iloc[0]) < MINOR:
        return ()
    path, count = str(known["parameter"].iloc[0]), int(known["trials"].iloc[0])
    return (
        " Among the ",
        Fact(f"importance.{path}.trials", count),
        f" trials that have it, {short(label(path), NAME)} explains ",
        Fact(f"importance.{path}", float(known["importance"].iloc[0]), "%"),
        " of what differs between those" + (", which are few." if count < FEW_TRIALS else "."),
    )


def failed(trials: pd.DataFrame, worst: WorstRegion | None) -> Sentence:
    """What failed most, and where.

    Args:
        trials: Of the search.
        worst: The region in which most failed.
    """
    verdicts = trials["verdict"].astype("string")
    judged = int(verdicts.notna().sum())
    if not judged:
        return ("No trial has been judged yet.",)
    counts = verdicts[verdicts != "healthy"].value_counts()
    bad = int(counts.sum())
    total = Fact("trials.judged", judged)
    if not bad and judged == 1:
        return ("Nothing failed: the one trial that was judged is healthy.",)
    if not bad:
        return ("Nothing failed: all ", total, " trials that were judged are healthy.")
    if bad == judged == int(counts.iloc[0]) > 1:
        name = str(counts.index[0])
        return ("All ", total, f" trials ended as {in_words(name)}: {look_of(name).meaning}.")
    parts: list[str | Fact] = ["Not healthy: ", Fact("trials.unhealthy", bad), " of ", total]
    parts += [" trials, most often ", in_words(str(counts.index[0]))]
    parts += [" (", Fact(f"verdicts.{counts.index[0]}", int(counts.iloc[0])), ")"]
    if worst is not None and worst.rate > bad / judged:
        key = f"failures.{worst.path}.{worst.part}"
        parts += [
            "; worst where ",
            short(label(worst.path), NAME),
            f" is {_unbroken(worst.part)}: ",
        ]
        parts += [Fact(f"{key}.failed", worst.failed), " of ", Fact(f"{key}.trials", worst.trials)]
    return (*parts, ".")


def _unbroken(part: str) -> str:
    """A range whose exponents stay on their line."""
    return short(part, NAME).replace("e-", "e\u2011")
