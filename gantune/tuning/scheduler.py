"""Ray Tune's scheduler: hands records to the conductor and passes on its decision."""

import warnings
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from gantune.tuning.conductor import Conductor


class StudyScheduler(FIFOScheduler):
    """First in, first out; each trial goes on for as long as the conductor says."""

    def __init__(self, conductor: Conductor) -> None:
        super().__init__()
        self._conductor = conductor

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        # A trial whose worker dies before it has begun on it Tune fails for good, however many
        # attempts it has left.
        if trial.status == Trial.PENDING:
            self._conductor.take_up_again(trial.config["number"])

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if "storage_error" in result:
            self._conductor.fatal = OSError(result["storage_error"])
            return str(TrialScheduler.CONTINUE)
        if "gave_up" in result:
            self._conductor.give_up(result["number"], result["gave_up"])
            return str(TrialScheduler.STOP)
        for note in result["notes"]:
            warnings.warn(note, stacklevel=2)
        goes_on = self._conductor.observe(
            result["number"], result["records"], result["steps"], result["worker"]
        )
        for rows in (result["records"], result["steps"]):
            rows.clear()  # Tune keeps every trial's last result for as long as it runs
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)
