"""Losses and their options."""

from typing import Annotated, Literal

from pydantic import Field, Tag

from gantune.parts.base import FOREIGN, LANE, Options, by_name
from gantune.parts.foreign import ForeignPart


class LossOptions(Options):
    """What goes with every loss."""

    name: str
    content_weight: Annotated[float, Field(ge=0, le=1e6), LANE] = Field(
        0.0, description="Adds this times E |G(z) - x| over pairs to the generator's loss."
    )
    instance_noise: Annotated[float, Field(ge=0, le=100), LANE] = Field(
        0.0, description="Standard deviation of noise on all that D sees, at the start."
    )
    instance_noise_epochs: Annotated[Annotated[float, Field(gt=0, le=1e6)] | None, LANE] = Field(
        None, description="Epochs in which it falls linearly to 0; null: the whole training."
    )


class LabelledLoss(LossOptions):
    """A loss whose discriminator aims at labels, which can be softened."""

    label_smoothing: Annotated[float, Field(ge=0, lt=1), LANE] = Field(
        0.0, description="Real samples' label is 1 minus this (one-sided, Salimans et al. 2016)."
    )
    label_flip: Annotated[float, Field(ge=0, le=0.5), LANE] = Field(
        0.0, description="Chance of a sample's label being the other one in D's updates."
    )


class NonSaturating(LabelledLoss):
    """Softplus losses on logits, the generator maximising log D(G(z)) (Goodfellow et al. 2014)."""

    name: Literal["non_saturating"] = "non_saturating"


class Minimax(LabelledLoss):
    """The original game: the generator minimises log(1 - D(G(z))) (Goodfellow et al. 2014)."""

    name: Literal["minimax"] = "minimax"


class LeastSquares(LabelledLoss):
    """Squared distance to targets 0 and 1 (Mao et al. 2017)."""

    name: Literal["least_squares"] = "least_squares"


class Wasserstein(LossOptions):
    """Difference of a critic's means (Arjovsky et al. 2017)."""

    name: Literal["wasserstein"] = "wasserstein"


class Hinge(LossOptions):
    """Margins of 1 (Lim & Ye 2017)."""

    name: Literal["hinge"] = "hinge"


class Relativistic(LossOptions):
    """Pairs of a real and a generated sample (Huang et al. 2024)."""

    name: Literal["relativistic"] = "relativistic"


BUILT_IN_LOSS = (
    "non_saturating",
    "minimax",
    "least_squares",
    "wasserstein",
    "hinge",
    "relativistic",
)


Loss = Annotated[
    Annotated[NonSaturating, Tag("non_saturating")]
    | Annotated[Minimax, Tag("minimax")]
    | Annotated[LeastSquares, Tag("least_squares")]
    | Annotated[Wasserstein, Tag("wasserstein")]
    | Annotated[Hinge, Tag("hinge")]
    | Annotated[Relativistic, Tag("relativistic")]
    | Annotated[LossOptions, ForeignPart("loss", LossOptions, BUILT_IN_LOSS), Tag(FOREIGN)],
    by_name("non_saturating", *BUILT_IN_LOSS),
]
