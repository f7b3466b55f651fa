"""The study file: what is trained, searched, optimised, and with how much."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from gantune.columns import VerdictName
from gantune.config import TrialConfig, sections_at
from gantune.extensions import Extensions
from gantune.goals import ConstraintText, Objective, Ranking, parse_constraint
from gantune.parts.base import Options
from gantune.space import ParameterSpec
from gantune.strategy import Asha, Budget, Confirm, NoScheduler, Sampler, Scheduler, Tpe

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"


class Stop(Options):
    """Which faults end a trial early; divergence always does, at once."""

    verdicts: Annotated[tuple[VerdictName, ...], Field(strict=False)] = Field(
        (), description="Verdicts that end a trial; none by default."
    )
    patience: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        3, description="Epochs in a row with such a verdict before the trial ends."
    )

    @model_validator(mode="after")
    def _are_faults_while_running(self) -> "Stop":
        known = set(self.verdicts) & {"undertrained", "healthy"}
        if known:
            raise ValueError(f"{', '.join(sorted(known))} is no reason to end a trial early")
        return self


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


class SampleGrids(Options):
    """Pictures of samples, on latents that are the same for all trials of a study."""

    every: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        5, description="Every so many epochs, and at the last one; 0: none."
    )
    count: Annotated[int, Field(ge=1, le=1024)] = 64


class Checkpoints(Options):
    """Which weights stay on disk, and how often they are written."""

    keep_top: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        10, description="So many of the best trials keep theirs when they have ended; null: all."
    )
    every: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        1, description="Epochs between two states that a trial goes on from after a crash."
    )


Logger = Literal["tensorboard"]
"""What else a run is written for, as it goes."""


class Study(Options):
    """A whole study file. Made by :func:`gantune.load_study`, which checks it as a whole."""

    name: Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")]
    description: Annotated[str, Field(max_length=10_000)] = ""
    # Before the trial, so that its validation comes first.
    extensions: Extensions = ()
    trial: TrialConfig = TrialConfig()
    search: dict[str, ParameterSpec] = Field(default_factory=dict)
    start: Annotated[tuple[dict[str, Any], ...], Field(strict=False, max_length=1000)] | None = (
        Field(None, description="Tried first, after the base trial; []: nothing, not even it.")
    )
    objective: Objective = Objective()
    constraints: Annotated[tuple[ConstraintText, ...], Field(strict=False, max_length=20)] = Field(
        (), description="Bounds that the best trial has to meet: coverage >= 0.5."
    )
    sampler: Sampler = Tpe()
    scheduler: Scheduler = Asha()
    budget: Budget = Budget()
    confirm: Confirm | None = Field(
        None, description="The best again with fresh seeds, when the search is over; null: not."
    )
    resources: Resources = Resources()
    samples: SampleGrids = SampleGrids()
    checkpoint: Checkpoints = Checkpoints()
    loggers: Annotated[tuple[Logger, ...], Field(strict=False, max_length=10)] = ()
    trial_seed: Annotated[int, Field(ge=0, lt=2**63)] | None = Field(
        None, description="Every trial's own seed; null: derived from trial.seed and its number."
    )
    stop: Stop = Stop()
    fail_fast: bool = Field(False, description="The run ends when a trial has failed.")
    max_failures: Annotated[int, Field(ge=0, le=1000)] = Field(
        1, description="How often a trial is taken up again after its worker failed."
    )
    stall_timeout: Annotated[float, Field(ge=5, le=1e7)] | None = Field(
        None, description="Seconds without a record after which a worker is killed; null: never."
    )

    @property
    def ranking(self) -> Ranking:
        """What makes one epoch, or one trial, better than another."""
        return Ranking(self.objective.sign, tuple(map(parse_constraint, self.constraints)))

    @property
    def max_epochs(self) -> int:
        """The largest number of epochs that a trial of this study can have."""
        epochs, spec = [self.trial.train.epochs], self.search.get("train.epochs")
        if spec and spec.domain:
            # Where a condition does not hold the base trial's value does.
            epochs = [*getattr(spec, spec.domain), *(epochs if spec.when else ())]
        return int(max(epochs))

    @property
    def rungs(self) -> tuple[float, ...]:
        """Where the scheduler decides: grace * factor^k below the end.

        In epochs (of the base trial, where the scheduler counts images) or in seconds.
        """
        scheduler = self.scheduler
        if isinstance(scheduler, NoScheduler):
            return ()
        levels: list[float] = []
        level: float = scheduler.grace_seconds or scheduler.grace_epochs
        end = scheduler.max_seconds or self.max_epochs
        while level < end:
            levels.append(level)
            level *= scheduler.reduction_factor
        return tuple(levels)


def with_values(base: TrialConfig, values: Mapping[str, Any]) -> TrialConfig:
    """The trial that differs from ``base`` in the values of some dotted paths.

    Where the ``name`` of a part changes, the new part has its own defaults: of the old part's
    options only those stay that both have and that differ from the old one's default.

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
            _change_part(node, ".".join(parents), values[path])
        node[last] = values[path]
    return TrialConfig.model_validate(tree)


def _change_part(node: dict[str, Any], section: str, name: Any) -> None:
    parts = {str(part.model_fields["name"].default): part for part in sections_at(section)}
    # As text: what a study says may be no text, and is refused when the trial is validated.
    old, new = parts.get(str(node.get("name"))), parts.get(str(name))
    for key in set(node) - {"name"}:
        is_chosen = old is not None and node[key] != old.model_fields[key].default
        if new is None or key not in new.model_fields or not is_chosen:
            del node[key]


def schema() -> dict[str, Any]:
    """The JSON Schema of a study file, for editors."""
    return Study.model_json_schema()
