"""Studies with planted faults: what the verdicts are calibrated and tested on."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from plant_studies import D_BETA, D_LR, DATA, G_BETA, G_LR, STUDIES, Values

from gantune.config import TrialConfig
from gantune.engine.data import load_source
from gantune.parts.data import Digits, Npz
from gantune.study import with_values

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

SHORT: Values = {"train.steps_per_epoch": 25, "train.epochs": 8}

FAULTS: dict[str, tuple[Values, ...]] = {
    "healthy": ({}, {"train.batch_size": 128}),
    "memorizing": (
        {**FEW, "train.epochs": 9, G_LR: 1e-3, D_LR: 1e-3},
        {**FEW, "train.epochs": 6, "discriminator.hidden": [256, 256], G_LR: 1e-3, D_LR: 2e-3},
        {**FEW, "train.epochs": 6, "generator.hidden": [256, 256], G_LR: 2e-3, D_LR: 2e-3},
    ),
    "mode_collapse": (
        {G_LR: 2e-2, "train.epochs": 8},
        {**SHORT, "discriminator.hidden": [4], "train.g_steps": 4, G_LR: 2e-3},
        {**SHORT, "train.g_steps": 8, G_LR: 5e-3, G_BETA: 0.9},
    ),
    "discriminator_dominates": (
        {G_LR: 1e-7, D_LR: 2e-3, "train.epochs": 8},
        {**SHORT, G_LR: 1e-6, "train.d_steps": 5, D_LR: 1e-3},
    ),
    "diverged": (
        {**SGD, G_LR: 10.0, D_LR: 10.0},
        {**SGD, G_LR: 10.0, D_LR: 10.0, **MOMENTUM},
    ),
    "generator_dominates": (
        {G_LR: 5e-4, D_LR: 1e-7, "train.epochs": 8},
        {**SHORT, "discriminator.hidden": [2], "train.g_steps": 4, D_LR: 1e-5, G_LR: 5e-4},
    ),
    "mode_dropping": (
        {G_LR: 5e-3, "train.epochs": 8},
        {"train.batch_size": 8, "generator.latent_dim": 2, G_LR: 1e-3, D_LR: 1e-3},
    ),
    "oscillating": (
        {G_LR: 5e-3, D_LR: 5e-3, G_BETA: 0.9, D_BETA: 0.9, "penalty.name": "none"},
        {"train.steps_per_epoch": 40, G_LR: 3e-3, D_LR: 3e-3, "penalty.name": "none"},
    ),
    "undertrained": (
        {G_LR: 5e-5, D_LR: 5e-5},
        {"train.steps_per_epoch": 10},
    ),
}
"""What is changed to plant each fault."""

SHOWN = ("generator_dominates", "mode_dropping", "oscillating", "undertrained")
"""Verdicts without a truth but their definition: their plants are examples."""

SET, BLIND = (
    tuple(name for name, study in STUDIES.items() if study.half == half)
    for half in ("set", "blind")
)
CHEAP = ("digits_hinge", "digits_least_squares")
POINTS = ("ring_non_saturating", "grid_hinge", "grid_least_squares")
COSTLY = ("ring_relativistic", "ring_wasserstein", "mnist_non_saturating")
LABELLED = tuple(name for name in SET if STUDIES[name].data != "unlabelled")
ALL = (0, 1, 2)


class Round(NamedTuple):
    """Runs that are trained after each other: each fault and variant of each study."""

    seed: int
    studies: tuple[str, ...]
    faults: tuple[str, ...]
    variants: tuple[int, ...] = ALL


BLINDLY = ("healthy", "mode_collapse")
QUICK = ("mode_collapse", "discriminator_dominates", "diverged")

ROUNDS = (
    Round(0, SET, BLINDLY),
    Round(1, ("unlabelled_non_saturating",), BLINDLY),
    Round(1, ("grid_relativistic",), ("healthy",)),
    Round(0, LABELLED, ("diverged",)),
    Round(0, LABELLED, ("discriminator_dominates",), (1,)),
    Round(2, BLIND, BLINDLY),
    Round(2, (*CHEAP, *POINTS), ("healthy",)),
    Round(2, CHEAP, QUICK, (0, 1)),
    Round(2, (*POINTS, *COSTLY), QUICK, (1,)),
    Round(3, CHEAP, ("healthy",)),
    Round(3, BLIND, BLINDLY),
    Round(4, CHEAP, ("healthy",)),
    Round(2, CHEAP, ("memorizing",)),
    Round(5, CHEAP, ("healthy",)),
    Round(0, ("digits_non_saturating",), SHOWN),
    Round(6, CHEAP, ("healthy",)),
    Round(3, CHEAP, ("memorizing",)),
    Round(7, CHEAP, ("healthy",)),
    Round(8, CHEAP, ("healthy",)),
    Round(4, CHEAP, ("memorizing",)),
    Round(0, ("digits_non_saturating",), ("memorizing",)),
    Round(1, ("digits_non_saturating",), ("memorizing",)),
    Round(5, CHEAP, ("memorizing",)),
    Round(3, CHEAP, QUICK, (0, 1)),
    Round(3, POINTS, ("healthy",)),
    Round(2, COSTLY, ("healthy",), (0,)),
    Round(0, ("ring_hinge",), SHOWN),
    Round(2, (*POINTS, *COSTLY), QUICK, (0, 2)),
)
"""In the order in which they are trained.

The last ones of the list have not been trained yet: the report has those that have.
Seeds from 2 on, of the studies that are held out, were trained when the thresholds had been set.
"""


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


def plants() -> Iterator[Plant]:
    """Every run."""
    for seed, names, faults, variants in ROUNDS:
        for fault in faults:
            for variant in variants:
                if variant < len(FAULTS[fault]):
                    yield from (Plant(name, fault, variant, seed) for name in names)


def configure(plant: Plant, mnist: str, digits: str) -> TrialConfig:
    """The trial's configuration.

    Args:
        plant: The run.
        mnist: Folder with IDX files of digits.
        digits: Where :func:`withhold_labels` has put digits without labels.
    """
    study = STUDIES[plant.study]
    values = {**DATA[study.data], **study.loss, **FAULTS[plant.fault][plant.variant]}
    if values.get("penalty.name") == "none":
        values.pop("penalty.weight", None)
    roots = {"mnist": mnist, "unlabelled": digits}
    if study.data in roots:
        values["data.root"] = roots[study.data]
    if "optimizer.generator.lr" not in values:
        values |= {G_LR: 5e-4, D_LR: 5e-4}
    return with_values(TrialConfig(), values)


def withhold_labels(path: Path) -> None:
    """Writes the digits, and no labels, where a configuration of ``unlabelled`` expects them."""
    np.savez(path, images=load_source(Digits()).samples)


def with_labels(config: TrialConfig) -> TrialConfig:
    """The same trial on the same digits with their labels: what its truth is measured by."""
    data = config.data
    assert isinstance(data, Npz)
    return config.model_copy(update={"data": Digits(limit=data.limit, holdout=data.holdout)})
