"""The searches that are compared, without a cluster: gantune's conductor, Ray's own objects."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol

from search_surrogate import Curve, shortfall

from gantune.api import Silent
from gantune.checks import search_space
from gantune.goals import Goal
from gantune.paths import RunPaths
from gantune.seeds import trial_seed
from gantune.space import Parameter, Space, propose
from gantune.study import Study
from gantune.trial import Record, TrialSpec
from gantune.tuning.conductor import Conductor

WORST = 1e6
"""The shortfall that a hand-written script reports of a GAN that is no number any more."""


class Curves(Protocol):
    """Trials as they would be: a :class:`search_surrogate.Surrogate`."""

    def curve(self, values: Mapping[str, Any], seed: int) -> Curve: ...


class Running(NamedTuple):
    """A trial in a slot.

    Attributes:
        key: Its arm's name of it.
        values: The searched values.
        seed: The trial's own.
        trained: Epochs that it has had.
    """

    key: Any
    values: Mapping[str, Any]
    seed: int
    trained: int = 0


class Arm(Protocol):
    """A search: proposes trials and hears how they go."""

    def ask(self) -> Running | None:
        """The next trial; None: no more."""

    def tell(self, trial: Running, epoch: int, curve: Curve) -> bool:
        """Takes in a trial's next epoch; returns whether it goes on."""

    def close(self) -> None:
        """Closes what is open."""


class Gantune:
    """gantune's own conductor: its sampler, its rungs, its way of telling Optuna."""

    def __init__(self, study: Study, folder: Path) -> None:
        """Opens a new run.

        Args:
            study: With its budget.
            folder: Of the run.
        """
        folder.mkdir()
        self.conductor = Conductor(RunPaths(folder), study, Silent())
        self._goal = study.objective.direction

    def ask(self) -> Running | None:
        spec = self.conductor.ask()
        if spec is None:
            return None
        started = self.conductor.ledger.starts[spec.number]
        trained = len(self.conductor.ledger.records.get(spec.number, ()))
        return Running(spec, json.loads(started["parameters"]), spec.seed, trained)

    def tell(self, trial: Running, epoch: int, curve: Curve) -> bool:
        spec: TrialSpec = trial.key
        record = _record(spec, epoch, curve, self._goal)
        goes_on = self.conductor.observe(spec.number, [record], [], "simulated")
        if not goes_on:
            self.conductor.finish(spec.number, failed=False)
        return goes_on

    def close(self) -> None:
        self.conductor.close()
        if self.conductor.fatal:
            raise self.conductor.fatal


def _record(spec: TrialSpec, epoch: int, curve: Curve, goal: Goal) -> Record:
    best = curve.best(epoch)
    diverged = curve.diverged and epoch == len(curve.objectives)
    return {
        "trial_id": spec.trial_id,
        "number": spec.number,
        "epoch": epoch,
        "wall_s": float(epoch),
        "objective": shortfall(goal, curve.objective(epoch)),
        "best_objective": shortfall(goal, best) if best < float("inf") else None,
        "rung": spec.rung_at(epoch),
        "verdict": "diverged" if diverged else "healthy",
    }


class ByHand:
    """What a hand-written Ray Tune script does: OptunaSearch's default under ASHAScheduler.

    The objective of each epoch is reported as it is, a trial that ASHA stops is told with its last
    value, and Tune asks one trial ahead of the slots.

    Attributes:
        proposed: The searched values of each trial.
    """

    def __init__(self, study: Study, seed: int, grace: int, factor: int) -> None:
        """Makes the search.

        Args:
            study: Its space, objective and length of a trial.
            seed: Of the sampler, and of the trials.
            grace: ``grace_period``.
            factor: ``reduction_factor``.
        """
        from ray.tune.schedulers import ASHAScheduler
        from ray.tune.search.optuna import OptunaSearch

        self._space = search_space(study)
        self._metric, self._seed = study.objective.metric, seed
        self._goal = study.objective.direction
        self._epochs = study.trial.train.epochs
        self._searcher = OptunaSearch(seed=seed)
        mode = self._goal[:3]
        self._searcher.set_search_properties(self._metric, mode, tune_space(self._space))
        self._scheduler = ASHAScheduler(
            max_t=self._epochs, grace_period=grace, reduction_factor=factor
        )
        self._scheduler.set_search_properties(self._metric, mode)
        self.proposed: list[dict[str, Any]] = []
        self._pending = self._suggested()

    def ask(self) -> Running:
        trial, self._pending = self._pending, self._suggested()
        self._scheduler.on_trial_add(None, SimpleNamespace(trial_id=trial.key))
        return trial

    def _suggested(self) -> Running:
        number = len(self.proposed)
        values = effective(self._space, self._searcher.suggest(str(number)))
        self.proposed.append(values)
        return Running(str(number), values, trial_seed(self._seed, number))

    def tell(self, trial: Running, epoch: int, curve: Curve) -> bool:
        lacks = curve.objective(epoch)
        value = shortfall(self._goal, WORST if lacks is None else lacks)
        result = {self._metric: value, "training_iteration": epoch}
        handle = SimpleNamespace(trial_id=trial.key)
        if self._scheduler.on_trial_result(None, handle, result) != "STOP":
            self._searcher.on_trial_result(trial.key, result)
            return True
        self._scheduler.on_trial_complete(None, handle, result)
        self._searcher.on_trial_complete(trial.key, result)
        return False

    def close(self) -> None:
        """Nothing is open."""


def tune_space(space: Space) -> dict[str, Any]:
    """The independent parameters of a space as one writes them for Ray Tune, ratios as ratios."""
    return {p.key: _domain(p) for p in space.parameters if not p.spec.same_as}


def _domain(parameter: Parameter) -> Any:
    from ray import tune

    make = {"uniform": tune.uniform, "log_uniform": tune.loguniform}
    kind = parameter.spec.domain
    return make[kind](*parameter.ends()) if kind in make else tune.choice(parameter.ends())


class _Drawn:
    """Suggests what was drawn elsewhere."""

    def __init__(self, drawn: Mapping[str, Any]) -> None:
        self._drawn = drawn

    def suggest_float(self, name: str, low: float, high: float, **options: Any) -> float:
        return float(self._drawn[name])

    def suggest_int(self, name: str, low: int, high: int, **options: Any) -> int:
        return int(self._drawn[name])

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return self._drawn[name]


def effective(space: Space, drawn: Mapping[str, Any]) -> dict[str, Any]:
    """Searched values by path, from what Ray drew: ratios multiplied, same values filled in."""
    return propose(space, _Drawn(drawn))
