"""The configuration layer and the engine speak of the same parts and fields."""

from conftest import make_study

from gantune.config import (
    TrialConfig,
    all_paths,
    leaves,
    rounds_per_epoch,
    sections_at,
    static_hash,
)
from gantune.engine.augment import AUGMENTATIONS
from gantune.engine.balance import RULES
from gantune.engine.data import DATASETS, load_dataset
from gantune.engine.losses import LOSSES
from gantune.engine.networks import DISCRIMINATORS, GENERATORS
from gantune.engine.optim import OPTIMIZERS
from gantune.engine.penalties import PENALTIES
from gantune.engine.schedules import SCHEDULES
from gantune.parts.training import Augment
from gantune.sources import training_size
from gantune.study import with_values


def names(section: str) -> set[str]:
    return {str(part.model_fields["name"].default) for part in sections_at(section)}


def test_every_name_has_an_implementation() -> None:
    assert names("data") == set(DATASETS)
    assert names("generator") == set(GENERATORS)
    assert names("discriminator") == set(DISCRIMINATORS)
    assert names("loss") == set(LOSSES)
    assert names("penalty") == set(PENALTIES)
    assert names("optimizer.generator") == names("optimizer.discriminator") == set(OPTIMIZERS)
    assert names("schedule") == set(SCHEDULES)
    assert names("train.balance") == set(RULES)
    assert set(Augment.model_fields) == {*AUGMENTATIONS, "flip"}


def test_lane_fields_are_rates_and_weights_and_static_ones_shapes() -> None:
    lanes = {path for path, _, lane in leaves(TrialConfig()) if lane}
    rates = {"lr", "beta1", "beta2", "eps"}
    both = {f"optimizer.{who}.{rate}" for who in ("generator", "discriminator") for rate in rates}
    softness = {"label_smoothing", "label_flip", "content_weight", "instance_noise"}
    loss = {f"loss.{name}" for name in {*softness, "instance_noise_epochs"}}
    train = {f"train.{name}" for name in ("epochs", "ema", "grad_clip")}
    assert lanes == both | loss | train | {"schedule.warmup_epochs"}


def test_the_hash_of_static_fields_groups_what_could_share_a_model() -> None:
    base = TrialConfig()
    same = with_values(base, {"optimizer.generator.lr": 0.01, "train.epochs": 3, "seed": 9})
    other = with_values(base, {"generator.hidden": [4]})
    assert static_hash(base) == static_hash(same) != static_hash(other)


def test_sizes_are_known_without_loading_the_data() -> None:
    for changes in (
        {"data.name": "digits", "data.limit": 101, "data.holdout": 0.3},
        {"data.name": "digits"},
        {"data.name": "ring", "data.points": 333, "data.holdout": 0.1},
        {"data.name": "grid", "data.points": 100},
    ):
        trial = with_values(TrialConfig(), changes)
        assert training_size(trial.data) == len(load_dataset(trial.data).train)
        assert rounds_per_epoch(trial) == -(-training_size(trial.data) // 64)


def test_an_epoch_is_once_through_the_data_by_default() -> None:
    trial = make_study(trial={"train": {"batch_size": 8, "d_steps": 2}}).trial
    assert rounds_per_epoch(trial) == 13  # ceil(200 / 16)


def test_all_paths_name_every_field_of_every_part() -> None:
    found = set(all_paths())
    assert {"data.radius", "data.side", "data.limit", "optimizer.generator.lr"} <= found
    assert {path for path, _, _ in leaves(TrialConfig())} <= found
