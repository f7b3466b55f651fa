"""Suggestions are a function of (seed, number, history)."""

from collections.abc import Callable

import optuna
import pytest
from conftest import make_study
from optuna.trial import TrialState

from gantune.checks import search_space
from gantune.space import propose
from gantune.study import Study, Tpe
from gantune.tuning.sampler import SeededTpe

SEARCH = {
    "optimizer.generator.lr": {"log_uniform": [1e-5, 1e-2]},
    "optimizer.discriminator.lr": {"log_uniform": [0.1, 10], "times": "optimizer.generator.lr"},
    "optimizer.generator.beta1": {"uniform": [0.0, 0.9]},
    "generator.activation": {"choice": ["relu", "tanh", "leaky_relu"]},
}
CONDITIONAL = SEARCH | {
    "generator.negative_slope": {
        "uniform": [0.0, 0.5],
        "when": {"generator.activation": "leaky_relu"},
    }
}


def course(study: Study, reopen: bool, sampler: Callable[[], optuna.samplers.BaseSampler]) -> list:
    """30 trials, three running at once, with every kind of end; maybe reopened before each ask."""
    storage = optuna.storages.InMemoryStorage()
    space, opened, running = search_space(study), None, []
    for number in range(30):
        if opened is None or reopen:
            opened = optuna.create_study(
                storage=storage, study_name="s", sampler=sampler(), load_if_exists=True
            )
        trial = opened.ask()
        running.append((number, propose(space, trial), trial))
        if len(running) == 3:
            ended, values, done = running.pop(0)
            value = abs(values["optimizer.generator.beta1"] - 0.3)
            if ended % 4 == 3:
                opened.tell(done.number, state=TrialState.PRUNED)
            elif ended % 7 == 6:
                opened.tell(done.number, state=TrialState.FAIL)
            else:
                opened.tell(done.number, value)
    return [trial.params for trial in opened.get_trials()]


@pytest.mark.parametrize("search", [SEARCH, CONDITIONAL], ids=["plain", "conditional"])
def test_a_study_that_is_reopened_before_every_ask_goes_the_same_way(search: dict) -> None:
    study = make_study(search=search)
    grouped = search_space(study).conditional

    def sampler() -> SeededTpe:
        return SeededTpe(Tpe(seed=3, startup_trials=5), grouped=grouped)

    assert course(study, True, sampler) == course(study, False, sampler)


def test_a_sampler_with_one_generator_does_not() -> None:
    """The control."""
    study = make_study(search=SEARCH)

    def sampler() -> optuna.samplers.TPESampler:
        return optuna.samplers.TPESampler(seed=3, n_startup_trials=5)

    assert course(study, True, sampler) != course(study, False, sampler)


def test_other_seeds_and_numbers_give_other_draws() -> None:
    study = make_study(search=SEARCH)
    by_seed = [
        course(study, False, lambda seed=seed: SeededTpe(Tpe(seed=seed), grouped=False))
        for seed in (0, 1)
    ]
    assert by_seed[0] != by_seed[1]
    rates = [params["optimizer.generator.lr"] for params in by_seed[0]]
    assert len(set(rates)) == len(rates)


def test_what_is_suggested_has_learned_from_what_was_told() -> None:
    """Independent draws alone would be random search: TPE's later trials must be better."""
    space = search_space(make_study(search=SEARCH))
    gaps = []
    for seed in range(5):
        study = optuna.create_study(sampler=SeededTpe(Tpe(seed=seed), grouped=False))
        values = []
        for _ in range(40):
            trial = study.ask()
            draw = propose(space, trial)
            values.append(abs(draw["optimizer.generator.beta1"] - 0.3))
            study.tell(trial, values[-1])
        gaps.append(sum(values[:10]) / 10 - sum(values[-10:]) / 10)
    assert min(gaps) > 0
