"""What does not go together is refused by name, and all that goes together is not."""

import itertools
from typing import Any

import pytest

from gantune.config import TrialConfig, sections_at
from gantune.legality import check_trial
from gantune.parts.penalties import GRADIENT_PENALTIES
from gantune.study import with_values


def complaints(**changes: Any) -> dict[str, str]:
    return dict(check_trial(with_values(TrialConfig(), changes)))


def names(section: str) -> list[str]:
    return sorted(str(part.model_fields["name"].default) for part in sections_at(section))


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"train.batch_size": 63, "discriminator.pack": 2}, "train.batch_size", "packs of 2"),
        ({"eval.samples": 2, "discriminator.pack": 4}, "eval.samples", "pack of 4"),
        (
            {"discriminator.name": "dcgan", "penalty.name": "wgan_gp"},
            "discriminator.norm",
            "use none, layer or spectral",
        ),
        (
            {"train.compile": True, "penalty.name": "r1"},
            "train.compile",
            "second derivatives",
        ),
        (
            {"penalty.name": "l2", "penalty.every": 29, "train.balance.name": "loss"},
            "penalty.every",
            "under a rule of balance",
        ),
        (
            {
                "discriminator.name": "dcgan",
                "discriminator.pack": 4,
                "train.batch_size": 4,
                "eval.samples": 50,
            },
            "train.batch_size",
            "is no batch",
        ),
        (
            {"discriminator.name": "upsample", "train.precision": "bf16"},
            "train.precision",
            "one pixel",
        ),
        ({"train.switch_eval": True}, "train.share_fake", "must be false"),
        (
            {"train.balance.name": "accuracy", "train.balance.low": 0.95},
            "train.balance.low",
            "above high",
        ),
        ({"data.name": "ring", "generator.name": "dcgan"}, "generator.name", "use mlp"),
        ({"data.name": "ring", "augment.flip": True}, "augment.flip", "is of points"),
        (
            {"data.image_size": 30, "generator.name": "dcgan"},
            "data.image_size",
            "the nearest is 28",
        ),
        (
            {"data.image_size": 18, "generator.name": "upsample"},
            "data.image_size",
            "multiples of 4",
        ),
        (
            {"discriminator.name": "upsample", "discriminator.norm": "instance"},
            "data.image_size",
            "32 pixels or more",
        ),
        ({"penalty.name": "r1", "penalty.every": 2}, "penalty.every", "does not divide"),
        ({"data.name": "ring", "eval.features": "pixels"}, "eval.features", "their own"),
        ({"data.name": "idx", "data.root": "/nowhere"}, "data.root", "nowhere"),
    ],
)
def test_each_rule_names_the_field_to_change(
    changes: dict[str, Any], path: str, words: str
) -> None:
    found = complaints(**changes)
    assert set(found) == {path}
    assert words in found[path]


def test_every_other_combination_of_parts_is_legal() -> None:
    """Networks x losses x penalties: only batch norm with a gradient penalty is not."""
    parts = ("generator", "discriminator", "loss", "penalty")
    for combination in itertools.product(*map(names, parts)):
        changes = {f"{part}.name": name for part, name in zip(parts, combination, strict=True)}
        trial = with_values(TrialConfig(), changes | {"train.steps_per_epoch": 4})
        norm = getattr(trial.discriminator, "norm", "none")
        refused = norm == "batch" and trial.penalty.name in GRADIENT_PENALTIES
        assert bool(list(check_trial(trial))) == refused, combination
