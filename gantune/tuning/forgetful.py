"""Empties what Ray Tune keeps of trials that have ended: a study may have thousands of them."""

from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.result import DONE


class Forgetful(Callback):
    """Lets Tune forget results and their statistics, which nobody asks it for: tables have them.

    The trials themselves stay in its list for as long as it runs.
    """

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **_: Any
    ) -> None:
        self._forget(trial)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **_: Any) -> None:
        self._forget(trial)

    @staticmethod
    def _forget(trial: Trial) -> None:
        # Of one that has none at all Tune would ask its worker.
        trial.run_metadata.last_result = {DONE: True}
        trial.metric_analysis.clear()
        trial.metric_n_steps.clear()
        trial.set_experiment_tag("")  # the whole configuration once more
