"""Optuna's sampler made a function of (seed, trial number, history).

A sampler that carries a generator from trial to trial proposes other values after a crash than it
would have without one. Here each draw comes from a fresh sampler seeded with the number of the
trial and the name of the parameter: a resumed study goes on with the very suggestions of an
undisturbed one, also where the crash fell into the middle of an ask.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from gantune.seeds import derive_seed
from gantune.study import Tpe


class SeededTpe(BaseSampler):
    """Multivariate TPE with constant liar, one fresh sampler per draw."""

    def __init__(self, options: Tpe, *, grouped: bool) -> None:
        """Makes the sampler.

        Args:
            options: Of the study file.
            grouped: Whether parameters are conditional.
        """
        self._options, self._grouped = options, grouped

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._fresh(trial.number).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        sampler = self._fresh(trial.number)
        if self._grouped:  # a grouped sampler keeps what it inferred between the two calls
            search_space = sampler.infer_relative_search_space(study, trial)
        return sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        sampler = self._fresh(trial.number, param_name)
        return sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Nothing: a fresh sampler has nothing to learn from it."""

    def _fresh(self, number: int, parameter: str = "") -> TPESampler:
        seed = derive_seed("sampler", self._options.seed, number, parameter) % 2**32
        with warnings.catch_warnings():
            # Optuna marks these two options as experimental; what they do is documented.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return TPESampler(
                seed=seed,
                n_startup_trials=self._options.startup_trials,
                multivariate=True,
                group=self._grouped,
                constant_liar=True,
            )


SAMPLERS: Mapping[str, type[SeededTpe]] = {"tpe": SeededTpe}
