"""Data, losses and networks in which faults are planted."""

from collections.abc import Mapping
from typing import Any, NamedTuple

Values = Mapping[str, Any]

G_LR, D_LR = "optimizer.generator.lr", "optimizer.discriminator.lr"
D_BETA, G_BETA = "optimizer.discriminator.beta1", "optimizer.generator.beta1"


class PlantStudy(NamedTuple):
    """A data set with a loss and a pair of networks.

    Attributes:
        data: Name in DATA.
        loss: Values that make the loss.
        half: ``set``: its runs set the thresholds; ``held``: they only test them;
            ``blind``: held out, too, and trained without labels.
    """

    data: str
    loss: Values
    half: str


DATA: dict[str, Values] = {
    "digits": {
        "data.name": "digits",
        "data.holdout": 0.1,
        "generator.hidden": [128, 128],
        "generator.norm": "batch",
        "generator.latent_dim": 32,
        "discriminator.hidden": [128, 128],
        "train.steps_per_epoch": 60,
        "train.epochs": 12,
    },
    "ring": {
        "data.name": "ring",
        "data.points": 10_000,
        "data.std": 0.05,
        "data.holdout": 0.1,
        "generator.hidden": [128, 128],
        "generator.latent_dim": 8,
        "discriminator.hidden": [128, 128],
        "train.steps_per_epoch": 120,
        "train.epochs": 10,
        G_LR: 1e-3,
        D_LR: 1e-3,
    },
    "grid": {
        "data.name": "grid",
        "data.points": 10_000,
        "data.std": 0.1,
        "data.spacing": 1.0,
        "data.holdout": 0.1,
        "generator.hidden": [128, 128],
        "generator.latent_dim": 8,
        "discriminator.hidden": [128, 128],
        "train.steps_per_epoch": 150,
        "train.epochs": 10,
        G_LR: 1e-3,
        D_LR: 1e-3,
    },
    "unlabelled": {
        "data.name": "npz",
        "data.holdout": 0.1,
        "generator.hidden": [128, 128],
        "generator.norm": "batch",
        "generator.latent_dim": 32,
        "discriminator.hidden": [128, 128],
        "train.steps_per_epoch": 60,
        "train.epochs": 12,
    },
    "mnist": {
        "data.name": "idx",
        "data.limit": 5000,
        "data.holdout": 0.1,
        "generator.hidden": [128, 256],
        "generator.norm": "batch",
        "generator.latent_dim": 64,
        "discriminator.hidden": [256, 128],
        "train.steps_per_epoch": 60,
        "train.epochs": 10,
    },
}

CLASSES = {"digits": 10, "ring": 8, "grid": 25, "unlabelled": 10, "mnist": 10}
"""Modes or classes of each: what the truth knows also where no verdict does."""

NON_SATURATING: Values = {"loss.name": "non_saturating"}
HINGE: Values = {"loss.name": "hinge"}
LEAST_SQUARES: Values = {"loss.name": "least_squares"}
WASSERSTEIN: Values = {
    "loss.name": "wasserstein",
    "penalty.name": "wgan_gp",
    "penalty.weight": 1.0,
    "train.d_steps": 2,
}
RELATIVISTIC: Values = {
    "loss.name": "relativistic",
    "penalty.name": "r1_r2",
    "penalty.weight": 0.1,
}
R1: Values = {"penalty.name": "r1", "penalty.weight": 0.1}

STUDIES: dict[str, PlantStudy] = {
    "digits_non_saturating": PlantStudy("digits", NON_SATURATING, "set"),
    "digits_relativistic": PlantStudy("digits", RELATIVISTIC, "set"),
    "digits_wasserstein": PlantStudy("digits", WASSERSTEIN, "set"),
    "ring_hinge": PlantStudy("ring", {**HINGE, **R1}, "set"),
    "grid_non_saturating": PlantStudy("grid", {**NON_SATURATING, **R1}, "set"),
    "grid_relativistic": PlantStudy("grid", RELATIVISTIC, "set"),
    "mnist_hinge": PlantStudy("mnist", HINGE, "set"),
    "digits_hinge": PlantStudy("digits", HINGE, "held"),
    "digits_least_squares": PlantStudy("digits", LEAST_SQUARES, "held"),
    "ring_non_saturating": PlantStudy("ring", {**NON_SATURATING, **R1}, "held"),
    "ring_relativistic": PlantStudy("ring", RELATIVISTIC, "held"),
    "ring_wasserstein": PlantStudy("ring", WASSERSTEIN, "held"),
    "grid_hinge": PlantStudy("grid", {**HINGE, **R1}, "held"),
    "grid_least_squares": PlantStudy("grid", {**LEAST_SQUARES, **R1}, "held"),
    "mnist_non_saturating": PlantStudy("mnist", NON_SATURATING, "held"),
    "unlabelled_non_saturating": PlantStudy("unlabelled", NON_SATURATING, "set"),
    "unlabelled_hinge": PlantStudy("unlabelled", HINGE, "blind"),
    "unlabelled_least_squares": PlantStudy("unlabelled", LEAST_SQUARES, "blind"),
}
"""``unlabelled``: the digits again, their labels withheld from all but the truth."""
