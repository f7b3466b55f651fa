"""How long, in what order and how precisely a trial trains, and when it is scored."""

from typing import Annotated, Literal

from pydantic import Field, Tag

from gantune.parts.base import LANE, Options, by_name


class FixedBalance(Options):
    """Both players in every round."""

    name: Literal["fixed"] = "fixed"


Threshold = Annotated[float, Field(ge=-1e6, le=1e6)]


class LossBalance(Options):
    """One player at a time, until its loss is under its threshold (fastai's adaptive switcher)."""

    name: Literal["loss"] = "loss"
    generator: Threshold | None = Field(None, description="null: one round at a time.")
    discriminator: Threshold | None = Field(None, description="null: one round at a time.")


class AccuracyBalance(Options):
    """A player that is too far ahead by D's accuracy pauses for a round."""

    name: Literal["accuracy"] = "accuracy"
    low: Annotated[float, Field(ge=0, le=1)] = Field(0.0, description="Below it G pauses.")
    high: Annotated[float, Field(ge=0, le=1)] = Field(0.9, description="Above it D pauses.")


Balance = Annotated[
    Annotated[FixedBalance, Tag("fixed")]
    | Annotated[LossBalance, Tag("loss")]
    | Annotated[AccuracyBalance, Tag("accuracy")],
    by_name("fixed"),
]


class Train(Options):
    """Length, order and precision of training."""

    epochs: Annotated[int, Field(ge=1, le=1_000_000), LANE] = 40
    steps_per_epoch: Annotated[int, Field(ge=1, le=10_000_000)] | None = Field(
        None, description="Rounds in an epoch; null: once through the data."
    )
    batch_size: Annotated[int, Field(ge=2, le=1_000_000)] = 64
    d_steps: Annotated[int, Field(ge=1, le=100)] = Field(1, description="D updates per round.")
    g_steps: Annotated[int, Field(ge=1, le=100)] = Field(1, description="G updates per round.")
    order: Literal["discriminator_first", "generator_first"] = "discriminator_first"
    share_fake: bool = Field(
        True, description="The second player's first update uses the first's last fakes."
    )
    joint_batch: bool | None = Field(
        None,
        description="Real and fake samples pass D together; null: where it judges each alone.",
    )
    switch_eval: bool = Field(False, description="The player that is not updated is in eval mode.")
    balance: Balance = FixedBalance()
    ema: Annotated[Annotated[float, Field(gt=0, lt=1)] | None, LANE] = Field(
        None, description="Decay of an average of G's weights, which is scored and exported."
    )
    grad_clip: Annotated[Annotated[float, Field(gt=0, le=1e6)] | None, LANE] = Field(
        None, description="Largest norm of a player's gradient."
    )
    precision: Literal["fp32", "bf16"] = "fp32"
    channels_last: bool = Field(False, description="Memory layout of images; speed only.")
    compile: bool = Field(False, description="torch.compile the networks; speed only.")


class Augment(Options):
    """Differentiable augmentation of all that D sees (DiffAugment, Zhao et al. 2020), and flips."""

    flip: bool = Field(False, description="Mirrors half of the real images.")
    color: bool = Field(False, description="Brightness, saturation and contrast.")
    translation: bool = Field(False, description="Shifts by up to an eighth of the size.")
    cutout: bool = Field(False, description="Blanks a square of half the size.")


Metric = Literal[
    "frechet_distance",
    "kernel_distance",
    "classifier_score",
    "manifold",
    "vendi",
    "pair_distance_ratio",
    "modes",
    "nearest_neighbor_ratio",
]
"""Groups of metrics that are computed together; each has a column of its own, but for ``manifold``
(precision, recall, density, coverage) and ``modes`` (all that begin with mode, high_quality)."""

Features = Literal["auto", "classifier", "random_conv", "pixels", "inception"]


class Evaluation(Options):
    """When and on how many samples a trial is scored."""

    samples: Annotated[int, Field(ge=2, le=1_000_000)] | None = Field(
        None, description="Generated samples; null: 1,000 images or 2,500 points."
    )
    every: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        1, description="Epochs between evaluations; epoch 1, rungs and the last always are."
    )
    metrics: Annotated[tuple[Metric, ...], Field(min_length=1, strict=False)] | None = Field(
        None, description="Groups of metrics; null: all that apply to the data."
    )
    features: Features = Field(
        "auto", description="Of images; auto: the classifier's, or random_conv without labels."
    )
