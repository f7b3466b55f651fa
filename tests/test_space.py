"""Domains, relations, and their rendering to Optuna."""

import math
import random

import optuna
import pytest
from conftest import make_study

from gantune.checks import search_space
from gantune.errors import ConfigError
from gantune.space import propose
from gantune.walks import FixedSource, RandomSource, grid


def ask(study: optuna.Study, space: object) -> dict[str, object]:
    return propose(space, study.ask())  # type: ignore[arg-type]


@pytest.fixture
def optuna_study() -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))


def test_integers_include_both_ends_through_optuna(optuna_study: optuna.Study) -> None:
    space = search_space(make_study(search={"train.d_steps": {"int": [1, 3]}}))
    seen = {ask(optuna_study, space)["train.d_steps"] for _ in range(60)}
    assert seen == {1, 2, 3}


def test_steps_are_kept_through_optuna(optuna_study: optuna.Study) -> None:
    space = search_space(
        make_study(
            search={
                "train.batch_size": {"int": [8, 40], "step": 16},
                "optimizer.generator.beta1": {"uniform": [0.0, 0.9], "step": 0.45},
            }
        )
    )
    draws = [ask(optuna_study, space) for _ in range(60)]
    assert {d["train.batch_size"] for d in draws} == {8, 24, 40}
    assert {d["optimizer.generator.beta1"] for d in draws} == {0.0, 0.45, 0.9}


def test_times_holds_the_ratio_in_optuna_and_the_value_in_the_trial(
    optuna_study: optuna.Study,
) -> None:
    space = search_space(make_study())
    trial = optuna_study.ask()
    values = propose(space, trial)
    ratio = trial.params["optimizer.discriminator.lr@ratio"]
    assert 0.1 <= ratio <= 10
    assert values["optimizer.discriminator.lr"] == ratio * values["optimizer.generator.lr"]
    assert "optimizer.discriminator.lr" not in trial.params


def test_same_as_follows_and_is_no_parameter_of_optuna(optuna_study: optuna.Study) -> None:
    search = {
        "optimizer.discriminator.lr": {"same_as": "optimizer.generator.lr"},
        "optimizer.generator.lr": {"log_uniform": [1e-5, 1e-2]},
    }
    trial = optuna_study.ask()
    values = propose(search_space(make_study(search=search)), trial)
    assert values["optimizer.discriminator.lr"] == values["optimizer.generator.lr"]
    assert list(trial.params) == ["optimizer.generator.lr"]


def test_a_conditional_parameter_exists_only_under_its_condition(
    optuna_study: optuna.Study,
) -> None:
    search = {
        "generator.norm": {"choice": ["none", "batch"]},
        "generator.norm_eps": {"log_uniform": [1e-6, 0.9], "when": {"generator.norm": "batch"}},
    }
    space = search_space(make_study(search=search))
    both = set()
    for _ in range(30):
        trial = optuna_study.ask()
        values = propose(space, trial)
        active = values["generator.norm"] == "batch"
        assert ("generator.norm_eps" in values) == active == ("generator.norm_eps" in trial.params)
        both.add(active)
    assert both == {True, False}


def test_a_condition_on_an_inactive_parameter_does_not_hold() -> None:
    search = {
        "generator.norm": {"choice": ["none", "batch"]},
        "generator.activation": {"choice": ["relu", "tanh"], "when": {"generator.norm": "batch"}},
        "generator.norm_eps": {
            "log_uniform": [1e-6, 0.9],
            "when": {"generator.activation": ["relu", "tanh"]},
        },
    }
    space = search_space(make_study(search=search))
    source = FixedSource({"generator.norm": "none"}, random.Random(0))
    assert propose(space, source) == {"generator.norm": "none"}


def test_a_relation_may_refer_to_a_path_that_is_not_searched() -> None:
    search = {"optimizer.discriminator.lr": {"uniform": [2, 2], "times": "optimizer.generator.lr"}}
    values = propose(search_space(make_study(search=search)), RandomSource(random.Random(0)))
    assert values == {"optimizer.discriminator.lr": pytest.approx(4e-4)}


def test_lists_go_to_optuna_as_text_and_come_back(optuna_study: optuna.Study) -> None:
    search = {"generator.hidden": {"choice": [[8], [8, 16]]}}
    space = search_space(make_study(search=search))
    trial = optuna_study.ask()
    values = propose(space, trial)
    assert values["generator.hidden"] in ([8], [8, 16])
    assert isinstance(trial.params["generator.hidden"], str)


def test_random_draws_are_log_uniform_and_within_bounds() -> None:
    space = search_space(
        make_study(
            search={
                "optimizer.generator.lr": {"log_uniform": [1e-4, 1e-2]},
                "train.batch_size": {"log_int": [2, 128]},
            }
        )
    )
    source = RandomSource(random.Random(0))
    draws = [propose(space, source) for _ in range(2000)]
    rates = [d["optimizer.generator.lr"] for d in draws]
    assert all(1e-4 <= rate <= 1e-2 for rate in rates)
    below = sum(rate < 1e-3 for rate in rates) / len(rates)  # half of a log range
    assert below == pytest.approx(0.5, abs=4 * math.sqrt(0.25 / 2000))
    sizes = [d["train.batch_size"] for d in draws]
    assert min(sizes) == 2 and max(sizes) <= 128


@pytest.mark.parametrize(
    ("path", "spec", "message"),
    [
        ("optimizer.generator.lr", {"log_uniform": [0, 1]}, "needs low > 0"),
        ("optimizer.generator.lr", {"uniform": [1, 0.1]}, "needs low <= high"),
        ("optimizer.generator.lr", {"uniform": [0.1, float("inf")]}, "finite"),
        ("optimizer.generator.lr", {"uniform": [0.1, float("nan")]}, "finite"),
        ("optimizer.generator.lr", {}, "needs exactly one of"),
        ("optimizer.generator.lr", {"uniform": [0.1, 1], "choice": [1]}, "needs exactly one of"),
        ("optimizer.generator.lr", {"choice": []}, "at least one"),
        ("optimizer.generator.lr", {"choice": [0.1, 0.1]}, "a value twice"),
        ("optimizer.generator.lr", {"log_uniform": [0.1, 1], "step": 0.1}, "does not go with"),
        ("train.d_steps", {"int": [1, 4], "step": 2}, "not a whole number of steps"),
        ("train.d_steps", {"int": [1, 4], "step": 0}, "must be a positive"),
        ("train.d_steps", {"int": [1.5, 4]}, "integer"),
        ("train.d_steps", {"uniform": [1, 4]}, "makes no valid trial"),
        ("optimizer.generator.lr", {"same_as": "train.epochs", "uniform": [0, 1]}, "same_as takes"),
        ("optimizer.generator.lr", {"same_as": "optimizer.generator.l"}, "refers to"),
        ("optimizer.generator.rate", {"uniform": [0.1, 1]}, "no such field"),
        ("optimizer.generator", {"choice": [1]}, "no such field"),
        ("optimizer.generator.lr", {"uniform": [0.1, 100]}, "= 100"),
        ("train.batch_size", {"choice": [8, 400]}, "more than the 200 training samples"),
        ("generator.norm", {"choice": ["batch", "bacth"]}, "bacth"),
    ],
)
def test_what_is_refused(path: str, spec: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_study(search={path: spec})
    assert message in str(caught.value)


def test_a_pair_of_choices_that_does_not_go_together_is_found() -> None:
    search = {"data.points": {"choice": [100, 200]}, "train.batch_size": {"choice": [8, 150]}}
    with pytest.raises(ConfigError, match="150 is more than the 100 training samples"):
        make_study(search=search, objective={"metric": "high_quality"})


def test_the_corners_of_a_conditional_or_relative_domain_are_walked() -> None:
    """Random draws rarely meet an end, let alone two at once behind a condition."""
    hidden = {
        "generator.norm": {"choice": ["none", "batch"]},
        "generator.norm_eps": {"uniform": [0.5, 1.001], "when": {"generator.norm": "batch"}},
    }
    with pytest.raises(ConfigError, match=r"norm_eps = 1\.001"):
        make_study(search=hidden)
    relative = {
        "optimizer.generator.lr": {"log_uniform": [1e-5, 1.001]},
        "optimizer.discriminator.lr": {
            "log_uniform": [0.1, 10],
            "times": "optimizer.generator.lr",
        },
    }
    with pytest.raises(ConfigError, match=r"has 10\.0"):
        make_study(search=relative)


def test_a_parameter_that_can_never_exist_is_refused() -> None:
    search = {
        "generator.norm": {"choice": ["none", "batch"]},
        "generator.norm_eps": {"uniform": [0.1, 0.5], "when": {"generator.norm": "bacth"}},
    }
    with pytest.raises(ConfigError, match="it never exists"):
        make_study(search=search)


def test_what_refers_to_an_inactive_path_takes_its_base_value() -> None:
    search = {
        "generator.norm": {"choice": ["none", "batch"]},
        "optimizer.generator.beta1": {"uniform": [0.0, 0.1], "when": {"generator.norm": "batch"}},
        "optimizer.discriminator.beta1": {"same_as": "optimizer.generator.beta1"},
    }
    source = FixedSource({"generator.norm": "none"}, random.Random(0))
    values = propose(search_space(make_study(search=search)), source)
    assert values == {"generator.norm": "none", "optimizer.discriminator.beta1": 0.5}


def test_distances_to_different_data_are_not_searched_over() -> None:
    with pytest.raises(ConfigError, match="do not compare: grid, ring"):
        make_study(search={"data.name": {"choice": ["ring", "grid"]}})
    make_study(
        search={"data.name": {"choice": ["ring", "grid"]}}, objective={"metric": "mode_entropy"}
    )


def test_distances_of_other_numbers_of_samples_are_not_searched_over() -> None:
    search = {"eval.samples": {"int": [50, 100]}}
    with pytest.raises(
        ConfigError, match=r"more or fewer samples do not compare: fix eval\.samples"
    ):
        make_study(search=search)
    make_study(search=search, objective={"metric": "mode_entropy"})


def test_a_cycle_is_named() -> None:
    search = {
        "optimizer.generator.lr": {"same_as": "optimizer.discriminator.lr"},
        "optimizer.discriminator.lr": {"same_as": "optimizer.generator.lr"},
    }
    with pytest.raises(ConfigError, match="wait for each other"):
        make_study(search=search)
    when = {
        "generator.norm": {"choice": ["none"], "when": {"generator.activation": "relu"}},
        "generator.activation": {"choice": ["relu"], "when": {"generator.norm": "none"}},
    }
    with pytest.raises(ConfigError, match="wait for each other"):
        make_study(search=when)


def test_a_grid_has_every_combination_once_and_knows_of_conditions() -> None:
    search = {
        "generator.activation": {"choice": ["relu", "tanh", "leaky_relu"]},
        "generator.negative_slope": {
            "uniform": [0.0, 0.2],
            "step": 0.1,
            "when": {"generator.activation": "leaky_relu"},
        },
        "train.d_steps": {"int": [1, 2]},
        "optimizer.generator.lr": {"uniform": [1e-3, 1e-3]},
    }
    study = make_study(search=search, sampler={"name": "grid"}, budget={"trials": 100})
    assert study.budget.trials == 10
    found = grid(search_space(study))
    # relu, tanh, and leaky_relu with three slopes; each with one or two updates of D.
    assert len(found) == (2 + 3) * 2
    assert len({tuple(sorted(values.items())) for values in found}) == len(found)
    slopes = [values.get("generator.negative_slope") for values in found]
    assert slopes.count(None) == 4 and slopes.count(pytest.approx(0.1)) == 2


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"optimizer.generator.lr": {"uniform": [0, 0.1]}}, "optimizer.generator.lr is a range"),
        ({"optimizer.generator.lr": {"log_uniform": [1e-5, 1e-2]}}, "needs choices"),
        (
            {f"optimizer.{p}.lr": {"int": [1, 1000]} for p in ("generator", "discriminator")},
            "1,000,000 combinations; 10,000 are the most: fewer choices",
        ),
        (
            {"optimizer.generator.lr": {"int": [1, 73]}, "train.d_steps": {"int": [1, 137]}},
            "10,001 combinations",
        ),
        (
            {
                "penalty.name": {"choice": ["none", "r1"]},
                "penalty.weight": {"int": [1, 100], "when": {"penalty.name": "r1"}},
                "optimizer.generator.lr": {"int": [1, 20_000]},
            },
            "2,020,000 combinations",
        ),
        (
            {
                "generator.latent_dim": {"choice": list(range(1, 121))},
                "train.d_steps": {"choice": list(range(1, 101))},
                "optimizer.generator.beta1": {
                    "choice": [0.0, 0.5],
                    "when": {"generator.latent_dim": 1},
                },
                "optimizer.discriminator.beta1": {
                    "choice": [0.0, 0.5],
                    "when": {"train.d_steps": 1},
                },
            },
            r"the grid has more than 10,\d\d\d combinations",
        ),
    ],
)
def test_a_grid_that_is_refused(search: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_study(search=search, sampler={"name": "grid"})


@pytest.mark.parametrize("relation", ["times", "same_as"])
def test_a_parent_that_may_be_missing_is_said_with_what_to_do(relation: str) -> None:
    child = {"log_uniform": [1e-5, 1e-3], "times": "penalty.weight"}
    search = {
        "penalty.name": {"choice": ["none", "r1"]},
        "penalty.weight": {"log_uniform": [0.1, 10], "when": {"penalty.name": "r1"}},
        "optimizer.generator.lr": child if relation == "times" else {"same_as": "penalty.weight"},
    }
    message = r"refers to penalty\.weight, which not every .*penalty\.name.*give it the same `when`"
    with pytest.raises(ConfigError, match=message):
        make_study(search=search)
    search["optimizer.generator.lr"]["when"] = {"penalty.name": "r1"}
    assert make_study(search=search).search["optimizer.generator.lr"].when
