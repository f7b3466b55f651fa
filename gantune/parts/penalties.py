"""Penalties on the discriminator and their options."""

from typing import Annotated, Literal

from pydantic import Field, Tag

from gantune.parts.base import FOREIGN, LANE, Beta, Options, by_name
from gantune.parts.foreign import ForeignPart

Weight = Annotated[float, Field(ge=0, le=1e6), LANE]
Every = Annotated[int, Field(ge=1, le=1000)]


class NoPenalty(Options):
    """Nothing is added to the discriminator's loss."""

    name: Literal["none"] = "none"


class WeightClip(Options):
    """Weights of the discriminator are held within bounds (Arjovsky et al. 2017)."""

    name: Literal["weight_clip"] = "weight_clip"
    bound: Annotated[float, Field(gt=0, le=1000), LANE] = 0.01


class PenaltyTerm(Options):
    """A term that is added to the discriminator's loss."""

    name: str
    weight: Weight = 1.0
    every: Every = Field(1, description="Rounds between uses; the term is multiplied by it.")


class R1(PenaltyTerm):
    """weight / 2 * E ||grad D(x)||^2 (Mescheder et al. 2018)."""

    name: Literal["r1"] = "r1"


class R2(PenaltyTerm):
    """weight / 2 * E ||grad D(G(z))||^2 (Mescheder et al. 2018)."""

    name: Literal["r2"] = "r2"


class R1R2(PenaltyTerm):
    """R1 and R2 with one weight (Huang et al. 2024)."""

    name: Literal["r1_r2"] = "r1_r2"


class WganGp(PenaltyTerm):
    """weight * E (||grad D|| - 1)^2 between real and generated samples (Gulrajani et al. 2017)."""

    name: Literal["wgan_gp"] = "wgan_gp"
    weight: Weight = 10.0


class Dragan(PenaltyTerm):
    """weight * E (||grad D|| - 1)^2 around real samples (Kodali et al. 2017)."""

    name: Literal["dragan"] = "dragan"
    weight: Weight = 10.0


class L2(PenaltyTerm):
    """weight / 2 * sum of squares of the discriminator's weights (not of its biases)."""

    name: Literal["l2"] = "l2"
    weight: Weight = 1e-4


class LeCam(PenaltyTerm):
    """weight * distance of D's outputs to running means of the other side's (Tseng et al. 2021)."""

    name: Literal["lecam"] = "lecam"
    weight: Weight = 0.3
    decay: Beta = Field(0.99, description="Of the running means.")


GRADIENT_PENALTIES = ("r1", "r2", "r1_r2", "wgan_gp", "dragan")
"""Penalties on the discriminator's gradient at each sample."""


BUILT_IN_PENALTY = (
    "none",
    "weight_clip",
    "r1",
    "r2",
    "r1_r2",
    "wgan_gp",
    "dragan",
    "l2",
    "lecam",
)


Penalty = Annotated[
    Annotated[NoPenalty, Tag("none")]
    | Annotated[WeightClip, Tag("weight_clip")]
    | Annotated[R1, Tag("r1")]
    | Annotated[R2, Tag("r2")]
    | Annotated[R1R2, Tag("r1_r2")]
    | Annotated[WganGp, Tag("wgan_gp")]
    | Annotated[Dragan, Tag("dragan")]
    | Annotated[L2, Tag("l2")]
    | Annotated[LeCam, Tag("lecam")]
    | Annotated[PenaltyTerm, ForeignPart("penalty", PenaltyTerm, BUILT_IN_PENALTY), Tag(FOREIGN)],
    by_name("none", *BUILT_IN_PENALTY),
]
