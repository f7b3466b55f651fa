"""Every part of a trial: its name and its options, typed, frozen and strict.

This layer imports no torch. The engine keeps a dictionary of implementations for each kind of part
under the same names; a test compares the two.

A field marked ``LANE`` may differ between trials that train fused in one process; all others are
static, and :func:`gantune.config.static_hash` of them names the group that can share a model.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag


class Lane:
    """Marks a field that may differ between fused trials."""


LANE = Lane()


class Options(BaseModel):
    """Base of every section: unknown keys are errors, types are strict, instances are frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def by_name(default: str) -> Discriminator:
    """Chooses among the parts of a section by ``name``; a section without one is ``default``."""

    def chosen(value: Any) -> str:
        if isinstance(value, Options):
            return str(type(value).model_fields["name"].default)
        name = value.get("name", default) if isinstance(value, dict) else None
        return name if isinstance(name, str) else repr(value)

    return Discriminator(chosen)


Rate = Annotated[float, Field(gt=0, le=10), LANE]
Beta = Annotated[float, Field(ge=0, lt=1), LANE]
Width = Annotated[int, Field(ge=1, le=65_536)]
Widths = Annotated[tuple[Width, ...], Field(min_length=1, max_length=64, strict=False)]
Fraction = Annotated[float, Field(ge=0, le=0.5)]
Activation = Literal["leaky_relu", "relu", "tanh"]


DIGITS = 1797


class Digits(Options):
    """scikit-learn's 1,797 real handwritten digits, 8x8, one channel, 10 classes."""

    name: Literal["digits"] = "digits"
    limit: Annotated[int, Field(ge=2, le=DIGITS)] | None = Field(
        None, description="Use only this many images (a fixed sample)."
    )
    holdout: Fraction = Field(0.0, description="Share kept apart from training.")


class Ring(Options):
    """A mixture of Gaussians on a circle, means at 2*pi*i/modes (PacGAN, arXiv 1712.04086)."""

    name: Literal["ring"] = "ring"
    modes: Annotated[int, Field(ge=2, le=1000)] = 8
    radius: Annotated[float, Field(gt=0, le=1000)] = 1.0
    std: Annotated[float, Field(gt=0, le=100)] = 0.01
    points: Annotated[int, Field(ge=100, le=10_000_000)] = 100_000
    holdout: Fraction = 0.0


class Grid(Options):
    """A mixture of Gaussians on a square grid centred on 0 (PacGAN, arXiv 1712.04086)."""

    name: Literal["grid"] = "grid"
    side: Annotated[int, Field(ge=2, le=100)] = 5
    spacing: Annotated[float, Field(gt=0, le=1000)] = 2.0
    std: Annotated[float, Field(gt=0, le=100)] = 0.05
    points: Annotated[int, Field(ge=100, le=10_000_000)] = 100_000
    holdout: Fraction = 0.0


class MlpGenerator(Options):
    """Fully connected generator: latent -> hidden layers -> a sample."""

    name: Literal["mlp"] = "mlp"
    latent_dim: Width = 64
    latent: Literal["normal", "uniform"] = Field("normal", description="N(0, 1) or U(-1, 1).")
    hidden: Widths = (128, 256)
    activation: Activation = "leaky_relu"
    negative_slope: Annotated[float, Field(ge=0, lt=1), LANE] = 0.2
    norm: Literal["none", "batch"] = Field("none", description="After each hidden layer but one.")
    norm_eps: Annotated[float, Field(gt=0, le=1), LANE] = 1e-5
    output: Literal["tanh", "sigmoid", "linear"] | None = Field(
        None, description="Last activation; null: tanh for images, linear for points."
    )


class MlpDiscriminator(Options):
    """Fully connected discriminator: a sample -> hidden layers -> one logit."""

    name: Literal["mlp"] = "mlp"
    hidden: Widths = (256, 128)
    activation: Activation = "leaky_relu"
    negative_slope: Annotated[float, Field(ge=0, lt=1), LANE] = 0.2


class NonSaturating(Options):
    """Softplus losses on logits, the generator maximising log D(G(z)) (Goodfellow et al. 2014)."""

    name: Literal["non_saturating"] = "non_saturating"


class Minimax(Options):
    """The original game: the generator minimises log(1 - D(G(z))) (Goodfellow et al. 2014)."""

    name: Literal["minimax"] = "minimax"


class LeastSquares(Options):
    """Squared distance to targets 0 and 1 (Mao et al. 2017)."""

    name: Literal["least_squares"] = "least_squares"


class Wasserstein(Options):
    """Difference of a critic's means (Arjovsky et al. 2017)."""

    name: Literal["wasserstein"] = "wasserstein"


class Hinge(Options):
    """Margins of 1 (Lim & Ye 2017)."""

    name: Literal["hinge"] = "hinge"


class Relativistic(Options):
    """Pairs of a real and a generated sample (Huang et al. 2024)."""

    name: Literal["relativistic"] = "relativistic"


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


class Adam(Options):
    """Adam (Kingma & Ba 2015)."""

    name: Literal["adam"] = "adam"
    lr: Rate = 2e-4
    beta1: Beta = 0.5
    beta2: Beta = 0.999
    eps: Annotated[float, Field(gt=0, le=1), LANE] = 1e-8


class Optimizers(Options):
    """One optimizer for each player."""

    generator: Adam = Adam()
    discriminator: Adam = Adam()


class Train(Options):
    """Length and order of training."""

    epochs: Annotated[int, Field(ge=1, le=1_000_000), LANE] = 40
    steps_per_epoch: Annotated[int, Field(ge=1, le=10_000_000)] | None = Field(
        None, description="Rounds in an epoch; null: once through the data."
    )
    batch_size: Annotated[int, Field(ge=2, le=1_000_000)] = 64
    d_steps: Annotated[int, Field(ge=1, le=100)] = Field(1, description="D updates per round.")
    g_steps: Annotated[int, Field(ge=1, le=100)] = Field(1, description="G updates per round.")
    share_fake: bool = Field(
        True, description="G's first update uses the fakes that D saw last (saves a forward pass)."
    )


class Evaluation(Options):
    """When and on how many samples a trial is scored."""

    samples: Annotated[int, Field(ge=2, le=1_000_000)] | None = Field(
        None, description="Generated samples; null: 1,000 images or 2,500 points."
    )
    every: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        1, description="Epochs between evaluations; epoch 1, rungs and the last always are."
    )


Data = Annotated[
    Annotated[Digits, Tag("digits")] | Annotated[Ring, Tag("ring")] | Annotated[Grid, Tag("grid")],
    by_name("digits"),
]


Loss = Annotated[
    Annotated[NonSaturating, Tag("non_saturating")]
    | Annotated[Minimax, Tag("minimax")]
    | Annotated[LeastSquares, Tag("least_squares")]
    | Annotated[Wasserstein, Tag("wasserstein")]
    | Annotated[Hinge, Tag("hinge")]
    | Annotated[Relativistic, Tag("relativistic")],
    by_name("non_saturating"),
]


Penalty = Annotated[
    Annotated[NoPenalty, Tag("none")]
    | Annotated[WeightClip, Tag("weight_clip")]
    | Annotated[R1, Tag("r1")]
    | Annotated[R2, Tag("r2")]
    | Annotated[R1R2, Tag("r1_r2")]
    | Annotated[WganGp, Tag("wgan_gp")],
    by_name("none"),
]
