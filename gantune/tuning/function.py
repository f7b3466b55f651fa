"""A plain function trainable of a study, for use in anyone's own ``tune.Tuner``."""

import tempfile
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from gantune.config import TrialConfig
from gantune.errors import ConfigError, Problem, RunError
from gantune.study import SampleGrids, Study, with_values
from gantune.trial import TrialSpec


def trainable(study: Study) -> Callable[[dict[str, Any]], None]:
    """Makes a function that trains one trial and reports every epoch to Ray Tune.

    Its configuration holds searched values by dotted path (``{"optimizer.generator.lr": 1e-4}``) or
    nested (``{"optimizer": {"generator": {"lr": 1e-4}}}``); what is not there is the study's base
    trial. Each report has the columns of gantune's ``epochs`` table that apply. ``best_objective``
    is always among them after the first epoch and is what a scheduler should look at, for a GAN's
    score is not monotone. A trial that diverges raises: it has no number to report.

    Args:
        study: The study; its search space, sampler and scheduler are not used.
    """

    # As text: an extension's classes are not there where a closure is unpacked.
    tree = study.model_dump(mode="json")

    def train(config: dict[str, Any]) -> None:
        from ray import tune

        from gantune.host import Host

        study = Study.model_validate(tree)
        trial = configure(study.trial, config)
        with tempfile.TemporaryDirectory() as folder:
            spec = TrialSpec(
                extensions=study.extensions,
                trial_id=f"{study.name}_00000",
                number=0,
                seed=trial.seed,
                config=trial,
                metric=study.objective.metric,
                goal=study.objective.direction,
                rungs=(),
                folder=folder,
                threads=study.resources.cpu,
                gpu=study.resources.gpu,
                samples=SampleGrids(every=0),
            )
            host = Host()
            handle = host.open(spec)
            running = True
            while running:
                progress = host.advance(handle, until=0, at_most_s=0)
                if progress.status == "diverged":
                    raise RunError(f"diverged: {progress.records[-1]['evidence']}")
                for record in progress.records:
                    tune.report({k: v for k, v in record.items() if v is not None})
                running = progress.status == "running"

    return train


def configure(base: TrialConfig, config: Mapping[str, Any]) -> TrialConfig:
    """The base trial with values by dotted path or nested.

    Raises:
        ConfigError: A path or a value is not valid.
    """
    try:
        return with_values(base, dict(_flat(config)))
    except ValidationError as error:
        problems = [
            Problem("", ".".join(map(str, details["loc"])), details["msg"])
            for details in error.errors()
        ]
        raise ConfigError("the trial's configuration", problems) from None


def _flat(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, value in config.items():
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{prefix}{key}.")
        else:
            pairs.append((f"{prefix}{key}", value))
    return pairs
