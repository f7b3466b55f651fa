"""Verdicts on trials that are really trained."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from conftest import make_study
from optuna.trial import TrialState

import gantune
from gantune.config import TrialConfig
from gantune.diagnosis.context import context_of
from gantune.diagnosis.verdicts import diagnose
from gantune.display import show_run, show_trial
from gantune.host import Host
from gantune.paths import RunPaths
from gantune.study import Stop, with_values
from gantune.terminal import Terminal
from gantune.trial import TrialSpec
from gantune.tuning import journal

G_LR = "optimizer.generator.lr"

DIGITS: dict[str, Any] = {
    "data.holdout": 0.1,
    "generator.hidden": [128, 128],
    "generator.norm": "batch",
    "generator.latent_dim": 32,
    "discriminator.hidden": [128, 128],
    "train.steps_per_epoch": 60,
    "train.epochs": 8,
    G_LR: 5e-4,
    "optimizer.discriminator.lr": 5e-4,
}
COLLAPSE: dict[str, Any] = {
    **DIGITS,
    "discriminator.hidden": [4],
    "train.g_steps": 4,
    "train.steps_per_epoch": 20,
    G_LR: 2e-3,
}
EAGER = Stop(verdicts=("mode_collapse", "generator_dominates"), patience=2)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def spec(folder: Path, values: dict[str, Any], stop: Stop | None = None) -> TrialSpec:
    return TrialSpec(
        trial_id="t_0",
        number=0,
        seed=0,
        config=with_values(TrialConfig(), values),
        metric="frechet_distance",
        goal="minimize",
        rungs=(),
        folder=str(folder),
        threads=1,
        stop=stop or Stop(),
    )


def train(trial: TrialSpec, host: Host, until: int = 10**9) -> tuple[list[dict[str, Any]], str]:
    handle = host.open(trial)
    while True:
        progress = host.advance(handle, min(until, trial.epochs), 60)
        records, status = host._open[handle].records, progress.status
        if status != "running" or len(records) >= until:
            return records, status


@pytest.mark.slow
def test_a_planted_collapse_is_found_and_a_healthy_run_is_not_blamed(tmp_path: Path) -> None:
    host = Host()
    records, status = train(spec(tmp_path / "collapse", COLLAPSE), host)
    assert status == "completed"
    assert records[-1]["verdict"] == "mode_collapse", records[-1]["evidence"]
    assert "of 10 modes hold" in records[-1]["evidence"]
    config = with_values(TrialConfig(), COLLAPSE)
    whole = diagnose(records, context_of(config))
    assert (whole.name, whole.evidence) == (records[-1]["verdict"], records[-1]["evidence"])

    records, _ = train(spec(tmp_path / "healthy", DIGITS), host)
    assert records[-1]["verdict"] == "healthy", records[-1]["evidence"]


@pytest.mark.slow
def test_a_resumed_trial_is_judged_and_ended_as_one_never_interrupted(tmp_path: Path) -> None:
    host = Host()
    whole, status = train(spec(tmp_path / "whole", COLLAPSE, EAGER), host)
    assert status == "stopped" and len(whole) == 4  # judged from epoch 3 on, patience 2
    train(spec(tmp_path / "broken", COLLAPSE, EAGER), host, until=3)
    again, status = train(spec(tmp_path / "broken", COLLAPSE, EAGER), Host())
    assert status == "stopped"
    for name in ("verdict", "evidence", "frechet_distance"):
        assert [r[name] for r in again] == [r[name] for r in whole]


@pytest.mark.slow
def test_a_study_ends_a_trial_by_its_verdict(tmp_path: Path) -> None:
    study = make_study(search={}, stop=EAGER.model_dump(mode="json"))
    study = study.model_copy(update={"trial": with_values(TrialConfig(), COLLAPSE)})
    root = tmp_path / "r"
    gantune.train(study, root)
    run = gantune.load(root)
    (row,) = run.trials.to_dict("records")
    assert (row["status"], row["stopped_by"], row["epochs"]) == ("stopped", "verdict", 4)
    assert row["verdict"] == "mode_collapse" and 3 <= row["verdict_epoch"] <= 4
    # What is said while it runs is what is said of its table.
    verdict = diagnose(run.epochs.to_dict("records"), context_of(run.study.trial))
    assert verdict.name == row["verdict"] and verdict.epoch == row["verdict_epoch"]
    assert verdict.evidence == run.epochs["evidence"].iloc[-1]

    sampler = optuna.samplers.RandomSampler()
    paths = RunPaths(root)
    (trial,) = journal.open_journal(paths.journal, "tiny", ["minimize"], sampler).get_trials()
    assert trial.state == TrialState.PRUNED and sorted(trial.intermediate_values) == [1, 2, 3, 4]

    shown = io.StringIO()
    console = Terminal(file=shown, width=200, soft_wrap=True)
    show_run(run, console)
    show_trial(run, 0, console)
    assert "verdicts: 1 mode_collapse" in shown.getvalue()
    assert "stopped (verdict)" in shown.getvalue()
    assert f"evidence: {verdict.evidence}" in shown.getvalue()
