"""What a search tries first: the base trial, then what the study names."""

from pathlib import Path
from typing import Any

import pytest
from conftest import make_study
from toy import ToyHost

from gantune.api import Silent
from gantune.checks import search_space
from gantune.errors import ConfigError
from gantune.paths import RunPaths
from gantune.starts import base_problem, start_keys
from gantune.study import Study
from gantune.tuning.conductor import Conductor
from gantune.tuning.local import drive

SEARCH: dict[str, Any] = {
    "optimizer.generator.lr": {"log_uniform": [1e-5, 1e-2]},
    "optimizer.discriminator.lr": {"log_uniform": [0.1, 10], "times": "optimizer.generator.lr"},
    "generator.hidden": {"choice": [[8], [16, 16]]},
    "penalty.name": {"choice": ["none", "r1"]},
    "penalty.weight": {"log_uniform": [0.01, 10], "when": {"penalty.name": "r1"}},
}
RATIO = "optimizer.discriminator.lr@ratio"
BASE = {
    "optimizer.generator.lr": 2e-4,
    RATIO: 1.0,
    "generator.hidden": "json:[8]",
    "penalty.name": "none",
}


def study(start: Any, search: dict[str, Any] = SEARCH, **sections: Any) -> Study:
    return make_study(search=search, start=start, **sections)


def keys(plan: Study) -> list[dict[str, Any]]:
    return start_keys(plan, search_space(plan))


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (None, [BASE]),
        ([], []),
        # A lower rate of G alone: D's rate stays the base's, so that its ratio is 2e-4 / 1e-4.
        (
            [{"optimizer.generator.lr": 1e-4}],
            [BASE, BASE | {"optimizer.generator.lr": 1e-4, RATIO: 2.0}],
        ),
        (
            [{"penalty": {"name": "r1", "weight": 0.5}, "generator.hidden": [16, 16]}],
            [
                BASE,
                BASE
                | {
                    "penalty.name": "r1",
                    "penalty.weight": 0.5,
                    "generator.hidden": "json:[16, 16]",
                },
            ],
        ),
        ([{"penalty.name": "none"}], [BASE]),  # the base trial itself, once
    ],
    ids=["default", "nothing", "dotted", "nested", "base"],
)
def test_what_is_tried_first(start: Any, expected: list[dict[str, Any]]) -> None:
    found = keys(study(start))
    assert [sorted(entry) for entry in found] == [sorted(entry) for entry in expected]
    for entry, wanted in zip(found, expected, strict=True):
        assert entry == pytest.approx(wanted) if not isinstance(wanted, str) else entry == wanted


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"optimizer.generator.lr": 1.0}, r"optimizer.generator.lr = 1.0 is not in \[1e-05, 0.01"),
        ({"optimizer.generator.beta1": 0.1}, "beta1 is not searched"),
        ({"optimizer": {"generator": {"beta1": 0.1}}}, "beta1 is not searched"),
        ({"optimizer.discriminator.lr": 1e-2}, "the ratio of optimizer.discriminator.lr = 50"),
        ({"generator.hidden": [9]}, "none of its choices"),
        ({"penalty.weight": 1.0}, "penalty.weight does not exist beside the other values"),
        ({"optimizer.generator.lr": "fast"}, "a multiple of optimizer.generator.lr = fast"),
    ],
)
def test_what_is_refused(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        study([entry])


def test_a_base_trial_outside_its_space_is_left_out_with_the_reason() -> None:
    plan = study(None, {"optimizer.generator.lr": {"log_uniform": [1e-3, 1e-2]}})
    assert keys(plan) == []
    assert base_problem(search_space(plan)) == (
        "optimizer.generator.lr = 0.0002 is not in [0.001, 0.01]"
    )


def test_a_grid_takes_none() -> None:
    search = {"generator.hidden": {"choice": [[8], [16]]}}
    assert keys(study(None, search, sampler={"name": "grid"})) == []
    with pytest.raises(ConfigError, match="a grid has every combination"):
        study([{"generator.hidden": [16]}], search, sampler={"name": "grid"})


@pytest.mark.parametrize("name", ["tpe", "random", "qmc", "gp"])
def test_the_trials_of_a_run_begin_with_them(name: str, tmp_path: Path) -> None:
    plan = study([{"optimizer.generator.lr": 1e-3}], sampler={"name": name}, budget={"trials": 6})
    conductor = Conductor(RunPaths(tmp_path), plan, Silent())
    drive(conductor, ToyHost())
    trials = conductor.optuna.get_trials()
    conductor.close()
    assert [trial.params for trial in trials[:2]] == keys(plan)
    rates = {trial.params["optimizer.generator.lr"] for trial in trials}
    assert len(rates) == 6
