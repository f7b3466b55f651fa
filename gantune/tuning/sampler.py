"""Optuna's samplers made functions of (seed, trial number, history).

A sampler that carries a generator from trial to trial proposes other values after a crash than it
would have without one. Here each draw comes from a fresh sampler seeded with the number of the
trial and the name of the parameter: a resumed study goes on with the very suggestions of an
undisturbed one, also where the crash fell into the middle of an ask.

A sampler is added with its options in ``strategy`` and one entry in ``SAMPLERS``; one that learns
from trials is also named in ``LEARNING``.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GPSampler, QMCSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from gantune.seeds import derive_seed
from gantune.space import Space
from gantune.strategy import Gp, GridSearch, Qmc, RandomSearch, Sampler, Tpe
from gantune.tuning.confirm import repeat_of
from gantune.tuning.prior import Continued
from gantune.tuning.told import Told
from gantune.walks import grid

Fresh = Callable[[int, int], BaseSampler]
"""(trial number, seed of the draw) -> a sampler for one draw."""


class Seeded(BaseSampler):
    """One fresh sampler per draw, after the configurations that a study starts with."""

    def __init__(
        self,
        options: Sampler,
        space: Space,
        start: Sequence[Mapping[str, Any]] = (),
        prior: Sequence[FrozenTrial] = (),
        at_rung: Mapping[int, Told] = MappingProxyType({}),
    ) -> None:
        """Makes the sampler of a study.

        Args:
            options: Of the study file.
            space: The search space.
            start: The first trials, by the names that Optuna knows.
            prior: Trials of an earlier study that this one goes on from.
            at_rung: What is known of trials that have not ended and wait, or have waited.
        """
        self._at_rung = at_rung
        self._seed, self._conditional = options.seed, space.conditional
        self._start, self._prior = start, prior
        self._continued: Continued | None = None
        self._make = SAMPLERS[type(options)](options, space)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        if trial.number < len(self._start):
            return {}
        study, trial = self._seen(study, trial)
        return self._fresh(trial.number).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if trial.number < len(self._start):
            return {}
        study, trial = self._seen(study, trial)
        sampler = self._fresh(trial.number)
        if self._conditional:  # a grouped sampler keeps what it inferred between the two calls
            search_space = sampler.infer_relative_search_space(study, trial)
        return sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        if trial.number < len(self._start):
            return self._start[trial.number][param_name]
        study, trial = self._seen(study, trial)
        sampler = self._fresh(trial.number, param_name)
        return sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Nothing: a fresh sampler has nothing to learn from it."""

    def _seen(self, study: Study, trial: FrozenTrial) -> tuple[Study, FrozenTrial]:
        """The study and its trial after those of the earlier one.

        A seed by the number there repeats no draw of that study's, also where the seeds are equal.
        """
        has_repeats = any(map(repeat_of, study.get_trials(deepcopy=False)))
        if not self._prior and not has_repeats and not self._at_rung:
            return study, trial
        if self._continued is None:
            self._continued = Continued(study, self._prior, self._at_rung)
        return self._continued, self._continued.renumbered(trial)

    def _fresh(self, number: int, parameter: str = "") -> BaseSampler:
        seed = derive_seed("sampler", self._seed, number, parameter) % 2**32
        with warnings.catch_warnings():
            # Optuna marks some of these as experimental; what they do is documented.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return self._make(number, seed)


class GridPoint(RandomSampler):
    """A combination of a grid."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(seed=0)
        self._values = values

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self._values[param_name]


class QmcPoint(QMCSampler):
    """A point of one quasi-random sequence, by the number of its trial.

    Optuna counts points in the study's storage, where a crash in the middle of an ask skips one.
    """

    def __init__(self, number: int, seed: int, scramble_seed: int) -> None:
        independent = RandomSampler(seed=seed)
        super().__init__(
            scramble=True,
            seed=scramble_seed,
            independent_sampler=independent,
            warn_independent_sampling=False,
        )
        self._number = number

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """That of the first trial, which is drawn at random."""
        first = study.get_trials(deepcopy=False)[0]
        return dict(first.distributions) if self._number else {}

    def _find_sample_id(self, study: Study, search_space: dict[str, BaseDistribution]) -> int:
        return self._number - 1


def _tpe(options: Tpe, space: Space) -> Fresh:
    def make(number: int, seed: int) -> BaseSampler:
        if derive_seed("at random", options.seed, number) % 1000 < 1000 * options.random_share:
            return RandomSampler(seed=seed)
        return TPESampler(
            seed=seed,
            n_startup_trials=options.startup_trials,
            multivariate=True,
            group=space.conditional,
            constant_liar=True,
        )

    return make


def _random(options: RandomSearch, space: Space) -> Fresh:
    return lambda number, seed: RandomSampler(seed=seed)


def _grid(options: GridSearch, space: Space) -> Fresh:
    combinations = grid(space)
    return lambda number, seed: GridPoint(combinations[number])


def _qmc(options: Qmc, space: Space) -> Fresh:
    return lambda number, seed: QmcPoint(number, seed, options.seed % 2**32)


def _gp(options: Gp, space: Space) -> Fresh:
    return lambda number, seed: GPSampler(
        seed=seed, n_startup_trials=options.startup_trials, warn_independent_sampling=False
    )


SAMPLERS: Mapping[type[Any], Callable[[Any, Space], Fresh]] = {
    Tpe: _tpe,
    RandomSearch: _random,
    GridSearch: _grid,
    Qmc: _qmc,
    Gp: _gp,
}

LEARNING: tuple[type[Any], ...] = (Tpe, Gp)
"""Those whose draws depend on earlier trials."""
