"""Kills a worker that its own watch cannot: one that stands still as a whole."""

import time
from typing import Any

import ray
from ray.tune import Callback
from ray.tune.experiment import Trial

from gantune.storage import write_atomically
from gantune.tuning.conductor import Conductor

GRACE_S = 30.0
"""Seconds beyond the limit, in which a worker that runs ends itself and says where it hung."""

STEP_S = 5.0
"""At most so much of the time between two looks counts: the driver itself may have stood still."""

NOTE = "no stack: its process stood still as a whole, and the driver ended it\n"


class Watch(Callback):
    """Hears of every trial that a worker has, and kills the worker of one that falls silent.

    A stopped process (SIGSTOP, a frozen container) runs none of its threads, so that
    :func:`gantune.tuning.stalls.ends_when_stalled` does not end it. Ray does, from outside.
    """

    def __init__(self, conductor: Conductor, seconds: float) -> None:
        """Makes a watch that has heard of nothing.

        Args:
            conductor: Whose trials they are.
            seconds: How long one may give no record.
        """
        self._conductor, self._limit = conductor, seconds + GRACE_S
        self._silent: dict[Trial, float] = {}
        self._looked = time.monotonic()

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        self._silent[trial] = 0.0

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **_: Any
    ) -> None:
        self._silent[trial] = 0.0

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **_: Any
    ) -> None:
        self._silent.pop(trial, None)

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        self._silent.pop(trial, None)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        self._silent.pop(trial, None)

    def on_step_end(self, iteration: int, trials: list[Trial], **_: Any) -> None:
        now = time.monotonic()
        passed, self._looked = min(now - self._looked, STEP_S), now
        for trial in self._silent:
            self._silent[trial] += passed
        for trial in [t for t, seconds in self._silent.items() if seconds > self._limit]:
            del self._silent[trial]
            self._kill(trial)

    def _kill(self, trial: Trial) -> None:
        actor = trial.temporary_state.ray_actor
        if actor is None:
            return
        try:
            note = self._conductor.paths.stalled(trial.config["number"])
            write_atomically(note, NOTE.encode())
        except OSError as error:
            self._conductor.fatal = error
        ray.kill(actor)
