"""Ray Tune's stopper: ends the whole run, leaving its trials unfinished and resumable."""

from typing import Any

from ray.tune import Stopper

from gantune.tuning.conductor import Conductor


class RunStopper(Stopper):
    """Stops the run when it was interrupted, or when the conductor cannot write any more."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor

    def __reduce__(self) -> tuple[Any, ...]:
        return str, ("stopper",)  # see Conductor.__reduce__

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._conductor.halted
