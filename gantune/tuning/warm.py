"""Chooses what a new study can learn from an earlier run.

A trial is taken if the new study could itself propose it: its searched values lie in the space, and
everything else is as in the new study's base trial. Then its objective means the same there, as far
as the runs were measured alike; that is asked of them as a whole.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from gantune.analysis.comparable import check_comparable
from gantune.analysis.measured import MeasuredIn, from_features
from gantune.analysis.run import Run, load
from gantune.checks import search_space
from gantune.config import TrialConfig, leaves
from gantune.diagnosis.context import context_of
from gantune.errors import IncomparableError, UsageError
from gantune.objectives import metrics_of
from gantune.pace import equal_length, pace_of
from gantune.space import Space, propose
from gantune.starts import Given, same
from gantune.strategy import Gp, Halving
from gantune.study import Study, with_values
from gantune.trial import Record
from gantune.tuning.prior import Prior, PriorTrial
from gantune.tuning.sampler import LEARNING
from gantune.tuning.told import told_of

if TYPE_CHECKING:
    from gantune.engine.materials import Materials

SHOWN = 3

NO_OUTCOME = {"seed", "device", "data.root", "data.workers", "data.download"}
"""Fields in which a trial may differ from those of the study: what comes out means the same.

Where the data lie is asked of the runs as a whole.
"""

OTHERWISE = "run it without a warm start"


@dataclass(frozen=True)
class WarmStart:
    """What a new study learns from an earlier run.

    Attributes:
        source: The earlier run.
        prior: Its trials as the new study knows them.
    """

    source: Run
    prior: Prior

    def check_measured(self, study: Study, root: Path, materials: "Materials") -> None:
        """Refuses values that were measured in another way than the new run's will be.

        Args:
            study: The new study.
            root: The new run's directory.
            materials: What its trials will be measured with.

        Raises:
            IncomparableError: The features differ, the numbers of samples, or the data.
        """
        features, samples = materials.reference.info._asdict(), context_of(study.trial).samples
        new = _NewRun(root, study, from_features(features, samples))
        try:
            for metric in metrics_of(study):
                check_comparable(metric, self.source, new)
        except IncomparableError as error:
            raise IncomparableError(f"no warm start: {error}; {OTHERWISE}") from None


@dataclass(frozen=True)
class _NewRun:
    root: Path
    study: Study
    measured_in: MeasuredIn


def warm_start(study: Study, root: Path) -> WarmStart:
    """Reads what a study can learn from an earlier run, finished or running.

    Args:
        study: The new study.
        root: The earlier run's directory.

    Raises:
        UsageError: There is no such run, it has nothing that the study can learn from, or the
            study's sampler does not learn.
    """
    source = load(root)
    _refuse_unlike(study, source)
    taken, left_out = _sort_trials(study, source)
    if not taken:
        listed = [f"  trial {number}: {why}" for number, why in list(left_out.items())[:SHOWN]]
        listed += [f"  and {len(left_out) - SHOWN} more"] if len(left_out) > SHOWN else []
        listed = listed or ["  it has no trials yet"]
        raise UsageError(
            "\n".join([f"{root} has no trial that this study can learn from:", *listed])
            + f"\nlet `search` and `trial` contain them, or {OTHERWISE}"
        )
    measured = source.measured_in
    prior = Prior(
        run=source.name,
        features=measured.hash if measured else None,
        trials=tuple(taken),
        left_out=len(left_out),
        reason=_most(list(left_out.values())),
    )
    return WarmStart(source, prior)


def _most(reasons: Sequence[str]) -> str | None:
    """The reason that most have in common, and how many they are."""
    if not reasons:
        return None
    (reason, count), *_ = Counter(reasons).most_common(1)
    return f"{count} of them because {reason}"


def _refuse_unlike(study: Study, source: Run) -> None:
    """Refuses what keeps a study from learning of any of a run's trials."""
    if not isinstance(study.sampler, LEARNING):
        known = ", ".join(part.model_fields["name"].default for part in LEARNING)
        raise UsageError(
            f"sampler {study.sampler.name} does not learn from earlier trials; those that do: "
            f"{known}. Choose one of them, or {OTHERWISE}"
        )
    if not study.search:
        raise UsageError(f"the study searches nothing that it could learn of; {OTHERWISE}")
    theirs, ours = (
        " and ".join(f"{aim.direction} {aim.metric}" for aim in s.objective.both)
        for s in (source.study, study)
    )
    if theirs != ours:
        raise UsageError(
            f"no warm start from {source.root}: its objective is {theirs}, here it is {ours}; "
            f"set `objective` to its own, or {OTHERWISE}"
        )
    theirs, ours = (_length(s) for s in (source.study, study))
    if theirs != ours:
        raise UsageError(
            f"no warm start from {source.root}: its trials end after {theirs}, here after "
            f"{ours}; set `scheduler` to its own, or {OTHERWISE}"
        )
    for extension in source.study.extensions:
        if extension not in study.extensions:
            raise UsageError(
                f"no warm start from {source.root}: its extension {extension.name} is not the "
                f"study's, and its parts may be other ones; name that very file, or {OTHERWISE}"
            )


def _length(study: Study) -> str:
    """What says how long a trial is; epochs and images are one scale, seconds another."""
    if isinstance(study.scheduler, Halving) and study.scheduler.max_seconds:
        return f"{study.scheduler.max_seconds:g} seconds"
    return "their epochs"


def _sort_trials(study: Study, source: Run) -> tuple[list[PriorTrial], dict[int, str]]:
    """The trials that are taken, and why each of the others is not."""
    # As opened, an extension's parts are only as written.
    base = TrialConfig.model_validate(source.study.trial.model_dump())
    scored = source.epochs.dropna(subset=["objective"])
    records: dict[Any, Any] = {n: r.to_dict("records") for n, r in scored.groupby("number")}
    space, repeating = search_space(study), set(source.repeats["number"])
    taken, left_out = list[PriorTrial](), dict[int, str]()
    for row in source.trials.to_dict("records"):
        number = int(row["number"])
        if number in repeating:
            left_out[number] = "it confirms another one"
            continue
        try:
            config = with_values(base, source.parameters(number))
            taken.append(_as_prior(study, space, config, row, records.get(number, [])))
        except UsageError as error:
            left_out[number] = str(error)
        except ValidationError as error:
            left_out[number] = f"it makes no valid trial: {error.errors()[0]['msg']}"
    return taken, left_out


def _as_prior(
    study: Study,
    space: Space,
    config: TrialConfig,
    row: Mapping[Any, Any],
    records: Sequence[Record],
) -> PriorTrial:
    """A trial as the new study knows it.

    Raises:
        UsageError: It is not to be taken.
    """
    status = row["status"]
    if status not in ("completed", "stopped", "diverged"):
        raise UsageError("it failed" if status == "failed" else "it has not ended")
    if status != "completed" and isinstance(study.sampler, Gp):
        raise UsageError("gp learns from trials that ran to their end only")
    if status != "diverged" and not records:
        raise UsageError("it ended before it was evaluated")
    params = _as_params(study, space, config)
    told = told_of(study, records, pace_of(study, config))
    return PriorTrial(
        number=int(row["number"]),
        params=params,
        status=status,
        way=tuple(told.way.items()),
        final=tuple(told.final),
        violations=dict(told.violations),
    )


def _as_params(study: Study, space: Space, config: TrialConfig) -> dict[str, Any]:
    """A whole configuration by the names that Optuna knows in a study.

    Raises:
        UsageError: The study cannot propose it.
    """
    source = Given(space, {path: value for path, value, _ in leaves(config)})
    proposed = with_values(study.trial, propose(space, source))
    epochs = equal_length(study, proposed)
    if epochs is not None:
        proposed = with_values(proposed, {"train.epochs": epochs})
    theirs, ours = ({p: v for p, v, _ in leaves(c)} for c in (config, proposed))
    for path in dict.fromkeys([*theirs, *ours]):
        one, other = theirs.get(path, "not there"), ours.get(path, "not there")
        if path not in NO_OUTCOME and not same(one, other):
            raise UsageError(f"{path} is {one} in it and {other} here")
    return source.drawn
