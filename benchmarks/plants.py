"""Studies with planted faults: what the verdicts are calibrated and tested on."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from gantune.config import TrialConfig
from gantune.study import with_values

Values = Mapping[str, Any]

G_LR, D_LR = "optimizer.generator.lr", "optimizer.discriminator.lr"
D_BETA, G_BETA = "optimizer.discriminator.beta1", "optimizer.generator.beta1"


class PlantStudy(NamedTuple):
    """A data set with a loss and a pair of networks.

    Attributes:
        data: Name in DATA.
        loss: Values that make the loss.
        half: ``set``: its runs set the thresholds; ``held``: they only test them.
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
    "digits_hinge": PlantStudy("digits", HINGE, "held"),
    "digits_least_squares": PlantStudy("digits", LEAST_SQUARES, "held"),
    "digits_relativistic": PlantStudy("digits", RELATIVISTIC, "set"),
    "digits_wasserstein": PlantStudy("digits", WASSERSTEIN, "set"),
    "ring_non_saturating": PlantStudy("ring", {**NON_SATURATING, **R1}, "held"),
    "ring_hinge": PlantStudy("ring", {**HINGE, **R1}, "set"),
    "ring_wasserstein": PlantStudy("ring", WASSERSTEIN, "held"),
    "grid_non_saturating": PlantStudy("grid", {**NON_SATURATING, **R1}, "set"),
    "grid_relativistic": PlantStudy("grid", RELATIVISTIC, "held"),
    "mnist_hinge": PlantStudy("mnist", HINGE, "set"),
    "mnist_non_saturating": PlantStudy("mnist", NON_SATURATING, "held"),
}

FEW: Values = {
    "data.limit": 128,
    "data.holdout": 0.5,
    "train.batch_size": 32,
    "train.steps_per_epoch": 250,
}
"""64 training images, 64 held out."""

SGD: Values = {"optimizer.generator.name": "sgd", "optimizer.discriminator.name": "sgd"}
MOMENTUM: Values = {"optimizer.generator.momentum": 0.9, "optimizer.discriminator.momentum": 0.9}
"""Adam's steps are as large as its rate, whatever the gradient: it hardly ever leaves float32."""

FAULTS: dict[str, tuple[Values, ...]] = {
    "healthy": ({}, {"train.batch_size": 128}),
    "memorizing": (
        {**FEW, G_LR: 1e-3, D_LR: 1e-3},
        {**FEW, "generator.hidden": [256, 256], G_LR: 1e-3, D_LR: 5e-4},
    ),
    "mode_collapse": (
        {G_LR: 2e-2},
        {"discriminator.hidden": [4], "train.g_steps": 4, G_LR: 2e-3},
        {"train.g_steps": 8, G_LR: 5e-3, G_BETA: 0.9},
    ),
    "discriminator_dominates": (
        {G_LR: 1e-7, D_LR: 2e-3},
        {G_LR: 1e-6, "train.d_steps": 5, D_LR: 1e-3},
    ),
    "diverged": (
        {**SGD, G_LR: 10.0, D_LR: 10.0},
        {**SGD, G_LR: 10.0, D_LR: 10.0, **MOMENTUM},
    ),
}
"""What is changed to plant each fault."""

SEEDS = 2


class Plant(NamedTuple):
    """One run."""

    study: str
    fault: str
    variant: int
    seed: int

    @property
    def key(self) -> str:
        """Names it in the file of results."""
        return f"{self.study}/{self.fault}/{self.variant}/{self.seed}"


def plants(seeds: int) -> Iterator[Plant]:
    """Every run, so that any beginning of the list has something of everything."""
    for seed in range(seeds):
        for fault, variants in FAULTS.items():
            for variant in range(len(variants)):
                for study, options in STUDIES.items():
                    if fault != "memorizing" or options.data in ("digits", "mnist"):
                        yield Plant(study, fault, variant, seed)


def configure(plant: Plant, mnist: str) -> TrialConfig:
    """The trial's configuration."""
    study = STUDIES[plant.study]
    values = {**DATA[study.data], **study.loss, **FAULTS[plant.fault][plant.variant]}
    if study.data == "mnist":
        values["data.root"] = mnist
    if "optimizer.generator.lr" not in values:
        values |= {G_LR: 5e-4, D_LR: 5e-4}
    return with_values(TrialConfig(), values)
