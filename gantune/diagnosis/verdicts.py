"""Names what is wrong with a trial, since when, and by which numbers.

``diagnose`` is a fold over the records: what it says of the first n epochs never depends on later
ones, so that a verdict given while a trial runs and one given of its whole history are the same.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gantune.columns import VerdictName
from gantune.diagnosis.context import Context
from gantune.diagnosis.rules import RULES, healthy
from gantune.diagnosis.signals import SignalTracker
from gantune.diagnosis.thresholds import THRESHOLDS


class Verdict(NamedTuple):
    """What is to be said of a trial.

    Attributes:
        name: The most severe verdict that holds.
        epoch: Where it began: it has held in every epoch since.
        evidence: One sentence with the numbers and the thresholds that they crossed.
        others: Further verdicts that hold, the most severe first.
    """

    name: VerdictName
    epoch: int
    evidence: str
    others: tuple[VerdictName, ...] = ()


class Watch:
    """Judges a trial while its records come in, one by one, in the same time each."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._tracker = SignalTracker(context)
        self._since: dict[VerdictName, int] = {}
        self._well_since: int | None = None

    def add(self, record: Mapping[str, Any]) -> Verdict:
        """Takes in the next record; returns the verdict as of its epoch."""
        epoch = int(record["epoch"])
        if record.get("verdict") == "diverged":
            # The engine saw it: what is not finite is no number that could be judged here.
            return Verdict("diverged", epoch, str(record["evidence"]), tuple(self._since))
        signals = self._tracker.add(record)
        found: dict[VerdictName, str] = {}
        if epoch >= THRESHOLDS.first_epoch:
            for name, rule in RULES.items():
                text = rule(signals, self._context)
                if text is not None:
                    found[name] = text
        self._since = {name: self._since.get(name, epoch) for name in found}
        if found:
            self._well_since = None
            first, *others = found
            since = self._since[first]
            evidence = f"{first} since epoch {since}: {found[first]}."
            return Verdict(first, since, evidence, tuple(others))
        since = self._well_since = self._well_since or epoch
        if epoch < THRESHOLDS.first_epoch:
            evidence = f"healthy so far: nothing is judged before epoch {THRESHOLDS.first_epoch}."
        else:
            evidence = f"healthy since epoch {since}: {healthy(signals, self._context)}."
        return Verdict("healthy", since, evidence)


def diagnose(records: Sequence[Mapping[str, Any]], context: Context) -> Verdict:
    """The verdict on a trial.

    Args:
        records: Its rows of the ``epochs`` table, from the first on; a prefix is judged as such.
            Metrics that are null or absent are not known, and nothing is said because of them.
        context: What else has to be known of it.

    Raises:
        ValueError: There is no record.
    """
    if not records:
        raise ValueError("a trial without a record has no verdict")
    watch = Watch(context)
    for record in records:
        verdict = watch.add(record)
    return verdict
