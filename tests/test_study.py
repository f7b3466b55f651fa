"""The study file as a whole."""

import json
import re
from pathlib import Path

import pytest
from conftest import make_study

from gantune.document import Document, parse_document, write_document
from gantune.errors import ConfigError
from gantune.goals import OBJECTIVES
from gantune.loader import load_study, study_from_document
from gantune.paths import RunPaths
from gantune.study import schema, with_values
from gantune.tuning.lifecycle import create_run

BROKEN = """\
name: "../escape"
trial:
  generator: {name: mlp, latentdim: 64}
  optimizer:
    generator: {lr: off, beta1: 1.5}
  data: {name: digitz}
serach: {}
objective: {metric: fid}
budget: {trials: 0}
search:
  optimizer.generator.lr: {log_uniform: [1e-2, 1e-5]}
  optimizer.generator.betal: {uniform: [0, 1]}
  optimizer.generator.beta1: {same_as: optimizer.discriminator.beta1}
  optimizer.discriminator.beta1: {same_as: optimizer.generator.beta1}
"""


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        study_from_document(parse_document(text, source="s.yaml"))
    return [str(problem) for problem in caught.value.problems]


def test_every_error_at_once_with_line_path_value_and_rule() -> None:
    found = problems(BROKEN)
    expected = [
        ("line 1: name:", "'../escape'"),
        ("line 3: trial.generator.latentdim: unknown key; did you mean 'latent_dim'?", ""),
        ("line 5: trial.optimizer.generator.lr:", "'off'"),
        ("line 5: trial.optimizer.generator.beta1:", "1.5"),
        (
            "line 6: trial.data: unknown name digitz; known names: 'digits', 'ring', 'grid', ",
            "",
        ),
        ("line 7: serach: unknown key; did you mean 'search'?", ""),
        ("line 8: objective.metric: unknown metric 'fid'; known: frechet_distance", ""),
        ("line 9: budget.trials:", "0"),
        ("line 11: search.optimizer.generator.lr:", "needs low <= high"),
        ("line 12: search.optimizer.generator.betal: no such field", "did you mean"),
        ("line 13: search.optimizer.generator.beta1: these wait for each other", ""),
    ]
    for start, part in expected:
        assert any(p.startswith(start) and part in p for p in found), (start, found)
    assert len(found) == len(expected)


def test_an_unknown_metric_names_the_known_ones() -> None:
    (problem,) = problems("name: a\nobjective: {metric: fid}\n")
    start, known = problem.split("; known: ")
    assert start == "line 2: objective.metric: unknown metric 'fid'"
    assert known.split(", ") == list(OBJECTIVES)


def test_a_metric_that_the_data_does_not_have_is_refused() -> None:
    text = "name: a\nobjective: {metric: high_quality}\n"
    assert problems(text) == [
        "line 2: objective.metric: high_quality does not exist for digits, only for ring, grid"
    ]


@pytest.mark.parametrize("text", ["[1, 2]", "just words", "3"])
def test_a_file_that_is_no_mapping(text: str) -> None:
    (problem,) = problems(text)
    assert "mapping" in problem


@pytest.mark.parametrize("name", ["..", ".", "a/b", "", "-x", "a b", "<script>", "a\n", "é"])
def test_names_that_are_refused(name: str) -> None:
    assert any(p.startswith("line 1: name") for p in problems(f"name: {json.dumps(name)}\n"))


def test_overrides_are_typed_checked_and_fix_a_searched_path(lr_beta: Path) -> None:
    study = load_study(
        lr_beta, ["optimizer.generator.lr=1e-3", "train.epochs=3", "budget.trials=2"]
    )
    assert study.trial.optimizer.generator.lr == 1e-3
    assert study.trial.train.epochs == 3
    assert study.budget.trials == 2
    assert "optimizer.generator.lr" not in study.search
    assert "optimizer.discriminator.lr" in study.search  # its ratio is now to the fixed value


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epochs=many", "--set: trial.train.epochs:"),
        ("train.epoch=3", "--set: trial.train.epoch: unknown key; did you mean 'epochs'?"),
        ("train.epochs", "--set: train.epochs: write it as PATH=VALUE"),
        ("=3", "write it as PATH=VALUE"),
        ("train.epochs=[1", "--set: train.epochs: not YAML"),
    ],
)
def test_overrides_that_are_refused(lr_beta: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_study(lr_beta, [override])
    assert message in str(caught.value)


def test_rungs_are_grace_times_factor_to_the_k() -> None:
    trial = {"train": {"epochs": 243, "steps_per_epoch": 1, "batch_size": 8}}
    scheduler = {"name": "asha", "grace_epochs": 1, "reduction_factor": 3}
    # Ray's float logarithms miss 81 here.
    assert make_study(trial=trial, scheduler=scheduler).rungs == (1, 3, 9, 27, 81)
    assert make_study(trial=trial, scheduler={"name": "none"}).rungs == ()


def test_a_new_part_keeps_what_it_knows_of_the_old_one() -> None:
    base = make_study().trial
    grid = with_values(base, {"data.name": "grid", "data.side": 3})
    assert grid.data.name == "grid" and grid.data.side == 3
    assert grid.data.points == base.data.points  # known to both
    assert not hasattr(grid.data, "radius")


def test_the_schema_covers_every_section() -> None:
    made = schema()
    assert made["additionalProperties"] is False
    assert {"name", "trial", "search", "objective", "budget"} <= set(made["properties"])
    json.dumps(made)


@pytest.mark.parametrize("name", ["08", "1e3", "0x1F", "off", "1.5", "a.b"])
def test_a_study_as_resolved_is_read_back_as_it_was(name: str, tmp_path: Path) -> None:
    """PyYAML writes 08 and 1e3 without quotes, which YAML 1.2 reads as numbers."""
    study = make_study(name=name, description=name)
    text = write_document(study.model_dump(mode="json", exclude_none=True))
    assert study_from_document(parse_document(text, source="x")) == study


def test_an_override_of_a_section_fixes_what_is_searched_below_it(lr_beta: Path) -> None:
    study = load_study(lr_beta, ["optimizer.generator={lr: 1e-3}"])
    assert set(study.search) == {"optimizer.discriminator.lr", "optimizer.discriminator.beta1"}


def test_an_override_of_a_part_leaves_the_old_ones_options_behind(lr_beta: Path) -> None:
    assert load_study(lr_beta, ["scheduler.name=none"]).rungs == ()
    study = load_study(lr_beta, ["objective.metric=modes"])
    assert study.objective.direction == "maximize"  # the file's goal was another metric's
    kept = load_study(lr_beta, ["objective.metric=modes", "objective.goal=minimize"])
    assert kept.objective.direction == "minimize"


@pytest.mark.parametrize("override", ["data=digits", "scheduler=none"])
def test_a_part_given_as_a_word_says_how_to_write_it(lr_beta: Path, override: str) -> None:
    with pytest.raises(ConfigError, match=r"write it as \{name: ...\}"):
        load_study(lr_beta, [override])


def test_the_longest_trial_counts_for_the_rungs() -> None:
    search = {
        "generator.norm": {"choice": ["none", "batch"]},
        "train.epochs": {"int": [2, 3], "when": {"generator.norm": "batch"}},
    }
    trial = {"train": {"epochs": 40, "steps_per_epoch": 1, "batch_size": 8}}
    assert make_study(search=search, trial=trial).rungs == (1, 3, 9, 27)
    with pytest.raises(ConfigError, match="must stand on its own"):
        make_study(search={"train.epochs": {"uniform": [1, 2], "times": "train.d_steps"}})


def test_stop_takes_faults_only() -> None:
    study = make_study(stop={"verdicts": ["mode_collapse", "diverged"], "patience": 5})
    assert study.stop.verdicts == ("mode_collapse", "diverged") and study.stop.patience == 5
    assert make_study().stop.verdicts == ()
    with pytest.raises(ConfigError, match="undertrained is no reason to end a trial early"):
        make_study(stop={"verdicts": ["undertrained"]})
    with pytest.raises(ConfigError, match=r"stop\.verdicts"):
        make_study(stop={"verdicts": ["collapse"]})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("confirm: 3", "confirm: should be a mapping, {key: value}, has 3"),
        ("constraints: coverage", "constraints: should be a list, [value, value], has 'coverage'"),
        ("trial: {generator: {hidden: 5}}", "should be a list, [value, value], has 5"),
    ],
)
def test_kinds_of_values_are_called_by_yamls_names(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        study_from_document(parse_document(f"name: x\n{text}", source="study.yaml"))


@pytest.mark.parametrize("name", [{"name": "hinge"}, ["hinge"], 1])
def test_a_choice_of_parts_that_are_no_names_is_refused(name: object) -> None:
    """Found by fuzzing."""
    with pytest.raises(ConfigError, match=r"loss.name = .* makes no valid trial"):
        make_study(search={"loss.name": {"choice": ["minimax", name]}})


@pytest.mark.parametrize("said", [["checkpoint.keep_top=null"], ["train.ema=null"], []])
def test_a_study_is_the_same_in_the_file_of_its_run(tmp_path: Path, said: list[str]) -> None:
    """Also where nothing is what was asked for, and something would be without a word."""
    plan = study_from_document(Document("test", {"name": "tiny"}), said)
    paths = RunPaths(tmp_path / "tiny")
    create_run(paths, plan)
    # The metric's own goal is written, too: who opens a run may not know the metric.
    again = load_study(paths.study).model_copy(update={"objective": plan.objective})
    assert again == plan
    assert "null" not in paths.study.read_text() or said == ["checkpoint.keep_top=null"]
