"""The study file: what is trained, searched, optimised, and with how much."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, Tag, model_validator

from gantune.config import TrialConfig, sections_at
from gantune.parts import Options, by_name
from gantune.space import ParameterSpec

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"

Goal = Literal["minimize", "maximize"]

OBJECTIVES: dict[str, Goal] = {
    "frechet_distance": "minimize",
    "classifier_score": "maximize",
    "modes": "maximize",
    "mode_kl": "minimize",
    "mode_entropy": "maximize",
    "high_quality": "maximize",
}
"""Every metric that can be optimised, and which way it is better."""

ONLY_FOR = {"high_quality": ("ring", "grid"), "classifier_score": ("digits",)}
"""Metrics that exist for some data sets only."""


class Objective(Options):
    """What a trial is judged by: the best value of a metric over its epochs."""

    metric: str = "frechet_distance"
    goal: Goal | None = Field(None, description="null: the way in which the metric is better.")

    @property
    def sign(self) -> int:
        """1 where lower is better, -1 where higher is."""
        return 1 if self.direction == "minimize" else -1

    @property
    def direction(self) -> Goal:
        """Which way is better."""
        return self.goal or OBJECTIVES[self.metric]


class Tpe(Options):
    """Optuna's multivariate tree-structured Parzen estimator with constant liar."""

    name: Literal["tpe"] = "tpe"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    startup_trials: Annotated[int, Field(ge=1, le=100_000)] = Field(
        10, description="Random trials before the model is used."
    )


class Asha(Options):
    """Asynchronous successive halving (Li et al., arXiv 1810.05934), the stopping variant."""

    name: Literal["asha"] = "asha"
    grace_epochs: Annotated[int, Field(ge=1, le=1_000_000)] = 5
    reduction_factor: Annotated[int, Field(ge=2, le=100)] = 3


class NoScheduler(Options):
    """Every trial runs to its end."""

    name: Literal["none"] = "none"


class Budget(Options):
    """How much the search may use."""

    trials: Annotated[int, Field(ge=1, le=1_000_000)] = 20


class Resources(Options):
    """What one trial holds."""

    cpu: Annotated[int, Field(ge=1, le=10_000)] = 1
    gpu: Annotated[float, Field(ge=0, le=64)] = Field(
        0, description="Whole GPUs, or the share of one that a trial needs (0.25: four to a GPU)."
    )

    @model_validator(mode="after")
    def _is_a_share_or_whole(self) -> "Resources":
        if self.gpu > 1 and self.gpu != int(self.gpu):
            raise ValueError(f"gpu is a whole number or a share below 1, has {self.gpu}")
        return self


Scheduler = Annotated[
    Annotated[Asha, Tag("asha")] | Annotated[NoScheduler, Tag("none")], by_name("asha")
]


class Study(Options):
    """A whole study file. Made by :func:`gantune.load_study`, which checks it as a whole."""

    name: Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")]
    description: Annotated[str, Field(max_length=10_000)] = ""
    trial: TrialConfig = TrialConfig()
    search: dict[str, ParameterSpec] = Field(default_factory=dict)
    objective: Objective = Objective()
    sampler: Tpe = Tpe()
    scheduler: Scheduler = Asha()
    budget: Budget = Budget()
    resources: Resources = Resources()
    max_failures: Annotated[int, Field(ge=0, le=1000)] = Field(
        1, description="How often a trial is taken up again after its worker failed."
    )

    @property
    def max_epochs(self) -> int:
        """The largest number of epochs that a trial of this study can have."""
        epochs, spec = [self.trial.train.epochs], self.search.get("train.epochs")
        if spec and spec.domain:
            # Where a condition does not hold the base trial's value does.
            epochs = [*getattr(spec, spec.domain), *(epochs if spec.when else ())]
        return int(max(epochs))

    @property
    def rungs(self) -> tuple[int, ...]:
        """The epochs at which the scheduler decides: grace * factor^k below the last epoch."""
        if isinstance(self.scheduler, NoScheduler):
            return ()
        levels, level = [], self.scheduler.grace_epochs
        while level < self.max_epochs:
            levels.append(level)
            level *= self.scheduler.reduction_factor
        return tuple(levels)


def with_values(base: TrialConfig, values: Mapping[str, Any]) -> TrialConfig:
    """The trial that differs from ``base`` in the values of some dotted paths.

    Where the ``name`` of a part changes, the base's options that the new part does not have are
    left behind.

    Raises:
        ValidationError: The result is not a valid trial.
    """
    tree: dict[str, Any] = base.model_dump()
    for path in sorted(values, key=lambda path: not path.endswith(".name")):
        *parents, last = path.split(".")
        node = tree
        for word in parents:
            node = node.setdefault(word, {})
        if last == "name" and node.get("name") != values[path]:
            _keep_known(node, ".".join(parents), values[path])
        node[last] = values[path]
    return TrialConfig.model_validate(tree)


def _keep_known(node: dict[str, Any], section: str, name: Any) -> None:
    parts = sections_at(section)
    known = next((p.model_fields for p in parts if p.model_fields["name"].default == name), {})
    for key in set(node) - set(known):
        del node[key]


def schema() -> dict[str, Any]:
    """The JSON Schema of a study file, for editors."""
    return Study.model_json_schema()
