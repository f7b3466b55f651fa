"""Every field that can be searched changes the outcome.

Ray's own GAN example ignores the learning rates that it searches; compare_gan's test of disc_iters
writes "dics_iters" and tests the default three times. Here each field has two values, and one seed
must give two outcomes; a field without a case fails the first test.
"""

from pathlib import Path
from typing import Any

import pytest
from data_files import random_images, two_classes, write_idx

from gantune.config import TrialConfig, all_paths
from gantune.engine.data import load_dataset
from gantune.host import Host
from gantune.sources import source_info
from gantune.sources.folder import list_images
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

IMAGES = {
    "data.name": "digits",
    "data.limit": 100,
    "generator.name": "mlp",
    "discriminator.name": "mlp",
}

# Path: another value, and what else it needs.
CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "data.name": ("grid", {}),
    "data.limit": (100, {"data.name": "digits"}),
    "data.root": ("b", {"data.name": "idx", "data.root": "a"}),
    "data.image_size": (9, {"data.name": "idx", "data.root": "a"}),
    "data.channels": (1, {"data.name": "image_folder", "data.root": "pictures"}),
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
    "generator.norm_momentum": (0.5, {"generator.norm": "batch"}),
    "generator.norm_first": (True, {"generator.norm": "batch"}),
    "generator.norm_bias": (True, {"generator.norm": "batch"}),
    "generator.dropout": (0.3, {}),
    "generator.init": ("kaiming", {}),
    "generator.output": ("tanh", {}),
    "generator.name": ("resnet", {**IMAGES, "generator.name": "dcgan"}),
    "generator.features": (3, {**IMAGES, "generator.name": "dcgan"}),
    "generator.extra_layers": (1, {**IMAGES, "generator.name": "basic"}),
    "discriminator.name": ("maxout", {}),
    "discriminator.hidden": ([7], {}),
    "discriminator.activation": ("relu", {}),
    "discriminator.negative_slope": (0.1, {}),
    "discriminator.norm": ("layer", {"discriminator.hidden": [6, 5]}),
    "discriminator.norm_eps": (
        0.5,
        {"discriminator.norm": "layer", "discriminator.hidden": [6, 5]},
    ),
    "discriminator.dropout": (0.3, {}),
    "discriminator.unit_input": (True, {}),
    "discriminator.init": ("normal", {}),
    "discriminator.pack": (2, {}),
    "discriminator.minibatch_std": (True, {}),
    "discriminator.pieces": (3, {"discriminator.name": "maxout"}),
    "discriminator.features": (3, {**IMAGES, "discriminator.name": "resnet"}),
    "discriminator.extra_layers": (1, {**IMAGES, "discriminator.name": "dcgan"}),
    "discriminator.self_attention": (
        False,
        {**IMAGES, "data.image_size": 16, "discriminator.name": "dense_residual"},
    ),
    "loss.name": ("hinge", {}),
    "loss.content_weight": (1.0, {}),
    "loss.instance_noise": (0.2, {}),
    "loss.instance_noise_epochs": (1.0, {"loss.instance_noise": 0.2}),
    "loss.label_smoothing": (0.1, {}),
    "loss.label_flip": (0.3, {}),
    "penalty.name": ("r1", {}),
    "penalty.bound": (0.05, {"penalty.name": "weight_clip"}),
    "penalty.weight": (3.0, {"penalty.name": "wgan_gp"}),
    "penalty.every": (2, {"penalty.name": "r1"}),
    "penalty.decay": (0.5, {"penalty.name": "lecam"}),
    **{
        f"optimizer.{player}.{field}": case
        for player in ("generator", "discriminator")
        for field, case in {
            "name": ("sgd", {}),
            "lr": (1e-2, {}),
            "beta1": (0.1, {}),
            "beta2": (0.5, {}),
            "eps": (1e-1, {}),
            "weight_decay": (0.5, {f"optimizer.{player}.name": "adamw"}),
            "alpha": (0.5, {f"optimizer.{player}.name": "rmsprop"}),
            "momentum": (0.5, {f"optimizer.{player}.name": "sgd"}),
        }.items()
    },
    "schedule.name": ("cosine", {}),
    "schedule.warmup_epochs": (1.0, {}),
    "schedule.begin": (0.5, {"schedule.name": "linear"}),
    "schedule.final": (0.5, {"schedule.name": "cosine"}),
    "train.epochs": (3, {}),
    "train.steps_per_epoch": (5, {}),
    "train.batch_size": (16, {}),
    "train.d_steps": (2, {}),
    "train.g_steps": (2, {}),
    "train.order": ("generator_first", {}),
    "train.share_fake": (False, {}),
    "train.joint_batch": (True, {"discriminator.minibatch_std": True}),
    "train.switch_eval": (True, {"train.share_fake": False, "generator.norm": "batch"}),
    "train.balance.name": ("loss", {}),
    "train.balance.generator": (-100.0, {"train.balance.name": "loss"}),
    "train.balance.discriminator": (-1.0, {"train.balance.name": "loss"}),
    "train.balance.low": (1.0, {"train.balance.name": "accuracy", "train.balance.high": 1.0}),
    "train.balance.high": (0.0, {"train.balance.name": "accuracy"}),
    "train.ema": (0.5, {}),
    "train.grad_clip": (0.01, {}),
    "train.precision": ("bf16", {}),
    "augment.flip": (True, IMAGES),
    "augment.color": (True, IMAGES),
    "augment.translation": (True, IMAGES),
    "augment.cutout": (True, IMAGES),
    "eval.samples": (50, {}),
    "eval.metrics": (["modes"], {}),
    "eval.features": ("pixels", IMAGES),
    "eval.every": (2, {"train.epochs": 4}),
}

# What is not a hyperparameter: it changes nothing but speed, or the machine.
NOT_SEARCHED = {
    "seed",
    "device",
    "data.download",
    "data.workers",
    "train.channels_last",
    "train.compile",
}


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data sets that cases name, in the working directory."""
    for seed, name in enumerate("ab"):
        write_idx(tmp_path / name, random_images(40, 8, 8, seed=seed))
    two_classes(tmp_path / "pictures", count=20)
    monkeypatch.chdir(tmp_path)
    # Relative roots mean another folder now.
    source_info.cache_clear()
    list_images.cache_clear()


def test_every_field_has_a_case() -> None:
    assert set(all_paths()) == set(CASES) | NOT_SEARCHED


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


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(CASES))
def test_a_field_changes_the_outcome(path: str, tmp_path: Path) -> None:
    value, needed = CASES[path]
    base = BASE | needed
    if needed.get("data.name") in ("digits", "idx", "image_folder"):
        base.pop("data.points")
    for player in ("generator", "discriminator"):
        if base.get(f"{player}.name", "mlp") not in ("mlp", "maxout"):
            base.pop(f"{player}.hidden")
    assert outcome(base, tmp_path / "a") != outcome(base | {path: value}, tmp_path / "b")


def test_how_many_processes_read_the_files_changes_nothing(tmp_path: Path) -> None:
    base = BASE | {"data.name": "image_folder", "data.root": "pictures"}
    base.pop("data.points")
    in_memory = outcome(base, tmp_path / "a")
    assert in_memory == outcome(base | {"data.workers": 1}, tmp_path / "b")


def test_an_equal_configuration_does_not(tmp_path: Path) -> None:
    """The control: without it, anything random would pass the tests above."""
    assert outcome(BASE, tmp_path / "a") == outcome(BASE, tmp_path / "b")


def test_a_searched_data_set_is_the_one_that_is_loaded() -> None:
    trial = with_values(TrialConfig(), {"data.name": "grid", "data.side": 3})
    assert load_dataset(trial.data).classes == 9
