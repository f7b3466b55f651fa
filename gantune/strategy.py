"""How a search proposes trials, which it stops early, and how much it may use."""

from typing import Annotated, Literal

from pydantic import Field, Tag, model_validator

from gantune.parts.base import Options, by_name

SamplerSeed = Annotated[int, Field(ge=0, lt=2**63)]


StartupTrials = Annotated[int, Field(ge=1, le=100_000)]


class Tpe(Options):
    """Optuna's multivariate tree-structured Parzen estimator with constant liar."""

    name: Literal["tpe"] = "tpe"
    seed: SamplerSeed = 0
    startup_trials: StartupTrials = Field(10, description="Random trials before the model is used.")
    random_share: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="Of the later trials, so many are drawn at random all the same."
    )


class RandomSearch(Options):
    """Independent draws."""

    name: Literal["random"] = "random"
    seed: SamplerSeed = 0


class GridSearch(Options):
    """Every combination of a finite space, each once."""

    name: Literal["grid"] = "grid"
    seed: SamplerSeed = 0


class Qmc(Options):
    """A scrambled Sobol sequence: spread more evenly than random draws."""

    name: Literal["qmc"] = "qmc"
    seed: SamplerSeed = 0


class Gp(Options):
    """Bayesian optimisation with a Gaussian process; learns from trials that ran to their end."""

    name: Literal["gp"] = "gp"
    seed: SamplerSeed = 0
    startup_trials: StartupTrials = Field(
        10, description="Trials that ran to their end before the model is used."
    )


Sampler = Annotated[
    Annotated[Tpe, Tag("tpe")]
    | Annotated[RandomSearch, Tag("random")]
    | Annotated[GridSearch, Tag("grid")]
    | Annotated[Qmc, Tag("qmc")]
    | Annotated[Gp, Tag("gp")],
    by_name("tpe"),
]


Seconds = Annotated[float, Field(gt=0, le=1e9)]


class Halving(Options):
    """Where the rungs of asynchronous successive halving stand (Li et al., arXiv 1810.05934)."""

    unit: Literal["epochs", "images", "seconds"] = Field(
        "epochs",
        description="What rungs count: a trial's epochs; images, as many as the base trial sees in "
        "so many epochs; or a trial's own seconds.",
    )
    grace_epochs: Annotated[int, Field(ge=1, le=1_000_000)] = 5
    grace_seconds: Seconds | None = Field(None, description="The first rung, in seconds.")
    max_seconds: Seconds | None = Field(None, description="The longest that a trial runs.")
    reduction_factor: Annotated[int, Field(ge=2, le=100)] = 3

    @model_validator(mode="after")
    def _has_its_unit(self) -> "Halving":
        given = self.grace_seconds is not None, self.max_seconds is not None
        if self.unit == "seconds" and not all(given):
            raise ValueError("rungs in seconds need grace_seconds and max_seconds")
        if self.unit != "seconds" and any(given):
            raise ValueError("grace_seconds and max_seconds are for unit: seconds")
        return self


class Asha(Halving):
    """At a rung a trial goes on or is stopped for good."""

    name: Literal["asha"] = "asha"


class AshaPromotion(Halving):
    """At a rung a trial waits, and goes on once it is among the best of all that have come by."""

    name: Literal["asha_promotion"] = "asha_promotion"

    @model_validator(mode="after")
    def _waits_at_an_epoch(self) -> "AshaPromotion":
        if self.unit == "seconds":
            raise ValueError("a trial waits after an epoch: rungs in seconds are for asha")
        return self


class NoScheduler(Options):
    """Every trial runs to its end."""

    name: Literal["none"] = "none"


class Budget(Options):
    """How much the search may use."""

    trials: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    epochs: Annotated[int, Field(ge=1, le=10**12)] | None = Field(
        None, description="Of all trials together; null: no limit."
    )
    hours: Annotated[float, Field(gt=0, le=1e6)] | None = Field(
        None, description="On the clock, over all sessions; null: no limit."
    )
    gpu_hours: Annotated[float, Field(gt=0, le=1e9)] | None = Field(
        None, description="Hours of all trials times their share of GPUs; null: no limit."
    )


class Confirm(Options):
    """What is trained again with fresh seeds when the search is over, each to its full length.

    A GAN's score differs by seed: the best of many trials is partly the luckiest.
    """

    top: Annotated[int, Field(ge=1, le=1000)] = Field(
        3, description="So many of the best configurations; the base trial's comes on top."
    )
    seeds: Annotated[int, Field(le=1000)] = Field(5, description="Trials of each, 2 or more.")

    @model_validator(mode="after")
    def _has_several(self) -> "Confirm":
        if self.seeds < 2:
            raise ValueError(f"seeds: {self.seeds} tells nothing of the spread: 2 or more, best 5")
        return self


Scheduler = Annotated[
    Annotated[Asha, Tag("asha")]
    | Annotated[AshaPromotion, Tag("asha_promotion")]
    | Annotated[NoScheduler, Tag("none")],
    by_name("asha"),
]
