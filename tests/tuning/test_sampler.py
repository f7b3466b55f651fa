"""Suggestions are a function of (seed, number, history)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from conftest import make_study
from optuna.trial import TrialState

from gantune.api import Silent
from gantune.checks import search_space
from gantune.pace import Pace
from gantune.paths import RunPaths
from gantune.seeds import derive_seed
from gantune.space import propose
from gantune.strategy import Gp, GridSearch, Qmc, RandomSearch, Sampler, Tpe
from gantune.study import Study
from gantune.tuning.conductor import Conductor
from gantune.tuning.prior import Continued
from gantune.tuning.sampler import Seeded
from gantune.tuning.told import Told, told_at_rung, told_of

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


FINITE = {
    "optimizer.generator.beta1": {"uniform": [0.0, 0.9], "step": 0.3},
    "optimizer.discriminator.beta1": {"uniform": [0.0, 0.9], "step": 0.1},
    "generator.activation": {"choice": ["relu", "tanh", "leaky_relu"]},
}
OPTIONS = {
    "tpe": Tpe(seed=3, startup_trials=5),
    "tpe, some at random": Tpe(seed=3, startup_trials=5, random_share=0.5),
    "random": RandomSearch(seed=3),
    "qmc": Qmc(seed=3),
    # Every draw fits a Gaussian process: a second each.
    "gp": Gp(seed=3, startup_trials=14),
}


@pytest.mark.parametrize("search", [SEARCH, CONDITIONAL], ids=["plain", "conditional"])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "gp")) for name in OPTIONS]
)
def test_a_study_that_is_reopened_before_every_ask_goes_the_same_way(
    name: str, search: dict
) -> None:
    study = make_study(search=search)
    space = search_space(study)

    def sampler() -> Seeded:
        return Seeded(OPTIONS[name], space)

    assert course(study, True, sampler) == course(study, False, sampler)


def test_a_grid_is_gone_through_once() -> None:
    study = make_study(search=FINITE)
    space = search_space(study)
    drawn = course(study, True, lambda: Seeded(GridSearch(), space))
    assert len({tuple(params.items()) for params in drawn}) == 30


def test_a_quasi_random_sequence_is_more_even_than_random_draws() -> None:
    """Sobol's points fill each dyadic interval exactly once; random draws leave some empty."""
    study = make_study(search=SEARCH)
    space = search_space(study)

    def filled(options: Sampler) -> int:
        opened = optuna.create_study(sampler=Seeded(options, space))
        draws = [propose(space, opened.ask()) for _ in range(17)]
        return len({int(values["optimizer.generator.beta1"] / 0.9 * 16) for values in draws[1:]})

    assert filled(Qmc(seed=1)) == 16
    assert filled(RandomSearch(seed=1)) < 14


def test_a_sampler_with_one_generator_does_not() -> None:
    """The control."""
    study = make_study(search=SEARCH)

    def sampler() -> optuna.samplers.TPESampler:
        return optuna.samplers.TPESampler(seed=3, n_startup_trials=5)

    assert course(study, True, sampler) != course(study, False, sampler)


def test_other_seeds_and_numbers_give_other_draws() -> None:
    study = make_study(search=SEARCH)
    space = search_space(study)
    by_seed = [
        course(study, False, lambda seed=seed: Seeded(Tpe(seed=seed), space)) for seed in (0, 1)
    ]
    assert by_seed[0] != by_seed[1]
    rates = [params["optimizer.generator.lr"] for params in by_seed[0]]
    assert len(set(rates)) == len(rates)


@pytest.mark.slow
def test_what_is_suggested_has_learned_from_what_was_told() -> None:
    """Independent draws alone would be random search: TPE's later trials must be better."""
    space = search_space(make_study(search=SEARCH))
    gaps = []
    for seed in range(5):
        study = optuna.create_study(sampler=Seeded(Tpe(seed=seed), space))
        values = []
        for _ in range(40):
            trial = study.ask()
            draw = propose(space, trial)
            values.append(abs(draw["optimizer.generator.beta1"] - 0.3))
            study.tell(trial, values[-1])
        gaps.append(sum(values[:10]) / 10 - sum(values[-10:]) / 10)
    assert min(gaps) > 0


@pytest.mark.slow
def test_the_gaussian_process_learns_too() -> None:
    space = search_space(make_study(search={"optimizer.generator.beta1": {"uniform": [0.0, 0.9]}}))
    study = optuna.create_study(sampler=Seeded(Gp(seed=0, startup_trials=5), space))
    values = []
    for _ in range(12):
        trial = study.ask()
        draw = propose(space, trial)
        values.append(abs(draw["optimizer.generator.beta1"] - 0.3))
        study.tell(trial, values[-1])
    assert min(values[5:]) < min(values[:5]) and min(values) < 0.02


def test_of_the_draws_of_tpe_a_share_is_at_random() -> None:
    """Where history could only teach one answer, a random draw is one that differs from TPE's."""
    study = make_study(search=SEARCH)
    space = search_space(study)

    def drawn(share: float) -> list:
        options = Tpe(seed=3, startup_trials=5, random_share=share)
        return course(study, False, lambda: Seeded(options, space))

    plain, some, random = (
        drawn(0.0),
        drawn(0.25),
        course(study, False, lambda: Seeded(RandomSearch(seed=3), space)),
    )
    assert drawn(1.0) == random
    at_random = [number for number in range(30) if some[number] == random[number]]
    assert set(range(5)) < set(at_random) and 3 <= len(at_random) - 5 <= 11  # of 25
    assert some != plain


def test_a_trial_that_waits_is_seen_where_it_is() -> None:
    """Its best so far may be luck; what it was before its rung does not count as its value."""
    storage = optuna.storages.InMemoryStorage()
    own = optuna.create_study(storage=storage, study_name="s")
    trial = own.ask()
    trial.suggest_float("x", 0, 1)
    at_rung: dict[int, Told] = {}
    view = Continued(own, (), at_rung)
    assert [t.state for t in view.get_trials()] == [TrialState.RUNNING]
    at_rung[0] = Told({1: 5.0, 2: 9.0}, [5.0])
    for waiting in ({1: 5.0, 2: 9.0}, {1: 5.0, 2: 9.0, 4: 7.0}):
        at_rung[0] = Told(waiting, [5.0])
        (seen,) = view.get_trials(states=(TrialState.PRUNED,))
        assert seen.intermediate_values == waiting and seen.params == trial.params
        assert seen.value == list(waiting.values())[-1]
    own.tell(0, 3.0)
    (seen,) = view.get_trials()
    assert seen.state == TrialState.COMPLETE and seen.value == 3.0


def test_what_a_rung_sees_and_what_optuna_is_told_at_the_end() -> None:
    study = make_study()
    values = [3.0, 9.0, None]
    records = [
        {"epoch": e, "objective": v, "best_objective": 3.0, "wall_s": e}
        for e, v in enumerate(values, 1)
    ]
    pace = Pace(epochs=4)
    assert told_of(study, records, pace).way == {1: 3.0, 2: 3.0}
    assert told_at_rung(study, records, pace) == told_of(study, records, pace)._replace(
        way={1: 3.0, 2: 9.0}
    )


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_the_model_keeps_away_from_trials_that_still_run(tmp_path: Path) -> None:
    """Optuna's own TPE with and without constant liar, in the same history."""
    sampler = {"name": "tpe", "seed": 3, "startup_trials": 4}
    plan = make_study(search=SEARCH, sampler=sampler, budget={"trials": 20})
    conductor = Conductor(RunPaths(tmp_path), plan, Silent())
    for number in range(8):
        assert conductor.ask() is not None
        conductor.optuna.tell(number, abs(number - 3.5))
    for _ in range(3):  # these go on
        assert conductor.ask() is not None
    history, asked = conductor.optuna.get_trials()[:-1], conductor.optuna.get_trials()[-1]
    assert [trial.state for trial in history[8:]] == [TrialState.RUNNING] * 2
    conductor.close()

    def drawn(constant_liar: bool) -> dict[str, Any]:
        reference = optuna.create_study(
            sampler=optuna.samplers.TPESampler(
                seed=derive_seed("sampler", 3, 10, "") % 2**32,
                n_startup_trials=4,
                multivariate=True,
                constant_liar=constant_liar,
            )
        )
        reference.add_trials(history)
        trial = reference.ask()
        propose(search_space(plan), trial)
        return dict(trial.params)

    assert asked.params == drawn(constant_liar=True)
    assert asked.params != drawn(constant_liar=False)
