"""Every field that can be searched changes the outcome.

Ray's own GAN example ignores the learning rates that it searches; compare_gan's test of disc_iters
writes "dics_iters" and tests the default three times. Here each field has two values, and one seed
must give two outcomes; a field without a case fails the first test.
"""

from pathlib import Path
from typing import Any

import pytest

from gantune.config import TrialConfig, all_paths
from gantune.engine.data import load_dataset
from gantune.host import Host
from gantune.study import with_values
from gantune.trial import TrialSpec

BASE = {
    "data.name": "ring",
    "data.points": 120,
    "generator.hidden": [6, 5],
    "generator.latent_dim": 3,
    "discriminator.hidden": [6],
    "train.epochs": 2,
    "train.steps_per_epoch": 4,
    "train.batch_size": 8,
    "eval.samples": 40,
}

# Path: another value, and what else it needs.
CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "data.name": ("grid", {}),
    "data.limit": (100, {"data.name": "digits"}),
    "data.holdout": (0.4, {}),
    "data.modes": (5, {}),
    "data.radius": (2.0, {}),
    "data.std": (0.2, {}),
    "data.points": (150, {}),
    "data.side": (3, {"data.name": "grid"}),
    "data.spacing": (1.0, {"data.name": "grid"}),
    "generator.latent_dim": (4, {}),
    "generator.latent": ("uniform", {}),
    "generator.hidden": ([7, 5], {}),
    "generator.activation": ("tanh", {}),
    "generator.negative_slope": (0.1, {}),
    "generator.norm": ("batch", {}),
    "generator.norm_eps": (0.5, {"generator.norm": "batch"}),
    "generator.output": ("tanh", {}),
    "discriminator.hidden": ([7], {}),
    "discriminator.activation": ("relu", {}),
    "discriminator.negative_slope": (0.1, {}),
    "loss.name": ("hinge", {}),
    "penalty.name": ("r1", {}),
    "penalty.bound": (0.05, {"penalty.name": "weight_clip"}),
    "penalty.weight": (3.0, {"penalty.name": "wgan_gp"}),
    "penalty.every": (2, {"penalty.name": "r1"}),
    "optimizer.generator.lr": (1e-2, {}),
    "optimizer.generator.beta1": (0.1, {}),
    "optimizer.generator.beta2": (0.5, {}),
    "optimizer.generator.eps": (1e-1, {}),
    "optimizer.discriminator.lr": (1e-2, {}),
    "optimizer.discriminator.beta1": (0.1, {}),
    "optimizer.discriminator.beta2": (0.5, {}),
    "optimizer.discriminator.eps": (1e-1, {}),
    "train.epochs": (3, {}),
    "train.steps_per_epoch": (5, {}),
    "train.batch_size": (16, {}),
    "train.d_steps": (2, {}),
    "train.g_steps": (2, {}),
    "train.share_fake": (False, {}),
    "eval.samples": (50, {}),
    "eval.every": (2, {"train.epochs": 4}),
}

# Names with one part so far, and what is not a hyperparameter.
ONLY_ONE = {
    "generator.name",
    "discriminator.name",
    "optimizer.generator.name",
    "optimizer.discriminator.name",
}
NOT_SEARCHED = {"seed", "device"}


def test_every_field_has_a_case() -> None:
    assert set(all_paths()) == set(CASES) | ONLY_ONE | NOT_SEARCHED


def outcome(values: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """Everything that a trial says of itself, without times."""
    config = with_values(TrialConfig(), values)
    spec = TrialSpec(
        trial_id="t",
        number=0,
        seed=5,
        config=config,
        metric="frechet_distance",
        goal="minimize",
        rungs=(),
        folder=str(folder),
        threads=1,
    )
    host = Host()
    handle, records = host.open(spec), []
    while not records or records[-1]["epoch"] < spec.epochs:
        records += host.advance(handle, spec.epochs, 60).records
    names = ("epoch", "g_loss", "d_loss", "g_grad_norm", "objective", "mode_kl")
    return [{name: record.get(name) for name in names} for record in records]


@pytest.mark.parametrize("path", sorted(CASES))
def test_a_field_changes_the_outcome(path: str, tmp_path: Path) -> None:
    value, needed = CASES[path]
    base = BASE | needed
    if needed.get("data.name") == "digits":
        base.pop("data.points")
    assert outcome(base, tmp_path / "a") != outcome(base | {path: value}, tmp_path / "b")


def test_an_equal_configuration_does_not(tmp_path: Path) -> None:
    """The control: without it, anything random would pass the tests above."""
    assert outcome(BASE, tmp_path / "a") == outcome(BASE, tmp_path / "b")


def test_a_searched_data_set_is_the_one_that_is_loaded() -> None:
    trial = with_values(TrialConfig(), {"data.name": "grid", "data.side": 3})
    assert load_dataset(trial.data).classes == 9
