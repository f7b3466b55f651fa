"""Optimizers, their options, and the schedule of their learning rates."""

from typing import Annotated, Literal

from pydantic import Field, Tag

from gantune.parts.base import LANE, Beta, Options, Rate, by_name

Eps = Annotated[float, Field(gt=0, le=1), LANE]


class Adam(Options):
    """Adam (Kingma & Ba 2015)."""

    name: Literal["adam"] = "adam"
    lr: Rate = 2e-4
    beta1: Beta = 0.5
    beta2: Beta = 0.999
    eps: Eps = 1e-8


class AdamW(Options):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    name: Literal["adamw"] = "adamw"
    lr: Rate = 2e-4
    beta1: Beta = 0.5
    beta2: Beta = 0.999
    eps: Eps = 1e-8
    weight_decay: Annotated[float, Field(ge=0, le=10), LANE] = 0.01


class RmsProp(Options):
    """RMSprop (Tieleman & Hinton 2012), as in PyTorch: not centred, no momentum."""

    name: Literal["rmsprop"] = "rmsprop"
    lr: Rate = 5e-5
    alpha: Beta = 0.99
    eps: Eps = 1e-8


class Sgd(Options):
    """Stochastic gradient descent with heavy-ball momentum, as in PyTorch."""

    name: Literal["sgd"] = "sgd"
    lr: Rate = 1e-2
    momentum: Beta = 0.0


Optimizer = Annotated[
    Annotated[Adam, Tag("adam")]
    | Annotated[AdamW, Tag("adamw")]
    | Annotated[RmsProp, Tag("rmsprop")]
    | Annotated[Sgd, Tag("sgd")],
    by_name("adam"),
]


class Optimizers(Options):
    """One optimizer for each player."""

    generator: Optimizer = Adam()
    discriminator: Optimizer = Adam()


Warmup = Annotated[float, Field(ge=0, le=1e6), LANE]
Share = Annotated[float, Field(ge=0, le=1), LANE]


class Constant(Options):
    """Learning rates stay as they are."""

    name: Literal["constant"] = "constant"
    warmup_epochs: Warmup = Field(0.0, description="Epochs in which they rise from 0, linearly.")


class Linear(Options):
    """Learning rates fall linearly."""

    name: Literal["linear"] = "linear"
    warmup_epochs: Warmup = Field(0.0, description="Epochs in which they rise from 0, linearly.")
    begin: Annotated[float, Field(ge=0, lt=1), LANE] = Field(
        0.0, description="Share of the training after which they fall."
    )
    final: Share = Field(0.0, description="What is left at the end, as a share.")


class Cosine(Options):
    """Learning rates fall along half a cosine."""

    name: Literal["cosine"] = "cosine"
    warmup_epochs: Warmup = Field(0.0, description="Epochs in which they rise from 0, linearly.")
    final: Share = Field(0.0, description="What is left at the end, as a share.")


Schedule = Annotated[
    Annotated[Constant, Tag("constant")]
    | Annotated[Linear, Tag("linear")]
    | Annotated[Cosine, Tag("cosine")],
    by_name("constant"),
]
