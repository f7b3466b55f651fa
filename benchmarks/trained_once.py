"""A host that trains no trial twice: what two studies have in common is read, not repeated."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from gantune.config import TrialConfig
from gantune.host import Host, Progress
from gantune.trial import Record, TrialSpec, ends_by_verdict


@dataclass
class _Open:
    """An open trial; ``handle``: at the host, once it has to be trained."""

    spec: TrialSpec
    known: list[Record]
    sent: int = 0
    handle: int | None = None


class TrainedOnce:
    """Trains trials; those with the configuration and seed of an earlier one have its records.

    Training is a function of the two (a stop only cuts it short), so that the studies' course is
    the same as if each had trained all its trials itself.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._known: dict[str, list[Record]] = {}
        self._open: dict[int, _Open] = {}
        self.read = 0
        """Epochs that were not trained again."""

    def learn(self, config: TrialConfig, seed: int, records: Sequence[Record]) -> None:
        """Takes in what was trained before."""
        known = self._known.setdefault(_key(config, seed), [])
        known.extend(records[len(known) :])

    def open(self, spec: TrialSpec) -> int:
        """Opens a trial; returns its handle."""
        handle = len(self._open)
        known = self._known.setdefault(_key(spec.config, spec.seed), [])
        self._open[handle] = _Open(spec, known)
        return handle

    def advance(self, handle: int, until: int, at_most_s: float) -> Progress:
        """Hands out a trial's new records, known or newly trained."""
        trial = self._open[handle]
        fresh = _until_stopped(trial, until)
        if fresh:
            self.read += len(fresh)
        else:
            fresh = self._train(trial, until, at_most_s)
            trial.known.extend(fresh)
        trial.sent += len(fresh)
        identity = {"trial_id": trial.spec.trial_id, "number": trial.spec.number}
        return Progress([{**record, **identity} for record in fresh], [], "running")

    def _train(self, trial: _Open, until: int, at_most_s: float) -> list[Record]:
        if trial.handle is None:
            trial.handle, again = self._host.open(trial.spec), 0
            while again < trial.sent:
                again += len(self._host.advance(trial.handle, trial.sent, at_most_s).records)
            self.read -= trial.sent
        return self._host.advance(trial.handle, until, at_most_s).records

    def close(self, handle: int) -> None:
        """Forgets a trial, not its records."""
        inner = self._open[handle].handle
        if inner is not None:
            self._host.close(inner)


def _until_stopped(trial: _Open, until: int) -> list[Record]:
    """What is known and not sent yet; a host hands out nothing beyond a stop."""
    for epoch in range(trial.sent + 1, min(until, len(trial.known)) + 1):
        if ends_by_verdict(trial.known[:epoch], trial.spec.stop):
            return trial.known[trial.sent : epoch]
    return trial.known[trial.sent : until]


def _key(config: TrialConfig, seed: int) -> str:
    return json.dumps([config.model_dump(mode="json"), seed], sort_keys=True)
