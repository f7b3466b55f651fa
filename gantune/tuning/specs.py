"""A trial's first row, and from it and a configuration to what a host trains it by."""

import json
from collections.abc import Mapping
from typing import Any

from gantune.config import TrialConfig
from gantune.kept import uri_of
from gantune.pace import pace_of
from gantune.paths import RunPaths
from gantune.runinfo import now
from gantune.seeds import trial_seed
from gantune.study import Stop, Study
from gantune.trial import TrialSpec
from gantune.tuning.confirm import Repeat


def start_row(
    paths: RunPaths, study: Study, number: int, values: Mapping[str, Any], repeat: Repeat | None
) -> dict[str, Any]:
    """A trial's first row in the ``trials`` table.

    Args:
        paths: The run's.
        study: Its study.
        number: Optuna's number of the trial.
        values: What was drawn for it, by dotted path.
        repeat: What it confirms, if it is no trial of the search.
    """
    fixed = values.get("seed", study.trial_seed)
    seed = trial_seed(study.trial.seed, number) if fixed is None else fixed
    return {
        "trial_id": f"{paths.root.name}_{number:05d}",
        "number": number,
        "status": "running",
        "seed": repeat.seed(study) if repeat else seed,
        "confirms": repeat.confirms if repeat else None,
        "started_at": now(),
        "parameters": json.dumps(values),
    }


def make_spec(
    paths: RunPaths, study: Study, start: Mapping[str, Any], config: TrialConfig
) -> TrialSpec:
    """One trial of a run, complete.

    Args:
        paths: The run's.
        study: Its study.
        start: The trial's first row in the ``trials`` table.
        config: Its configuration.
    """
    return TrialSpec(
        extensions=study.extensions,
        trial_id=start["trial_id"],
        number=start["number"],
        confirms=start["confirms"],
        seed=start["seed"],
        config=config,
        metric=study.objective.metric,
        goal=study.objective.direction,
        constraints=study.constraints,
        rungs=tuple(pace_of(study, config).at_epoch.values()),
        folder=str(paths.trial(start["number"])),
        storage=uri_of(paths.storage),
        threads=study.resources.cpu,
        gpu=study.resources.gpu,
        samples=study.samples,
        last_every=study.checkpoint.every,
        # What confirms runs to its full length.
        stop=study.stop if start["confirms"] is None else Stop(),
        stall_timeout=study.stall_timeout,
    )
