"""gantune explores the hyperparameters of GANs.

    import gantune

    study = gantune.load_study("search_spaces/lr_beta.yaml")
    run = gantune.run(study)
    run.trials, run.epochs, run.best()

Nothing heavy is imported before it is used: ``import gantune`` takes no torch, no ray, no pandas.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gantune.errors import (
    CheckpointError,
    ConfigError,
    GantuneError,
    IncomparableError,
    RunError,
    UsageError,
)
from gantune.loader import load_study
from gantune.study import Study

if TYPE_CHECKING:
    from gantune.analysis.again import trial_as_study
    from gantune.analysis.compare import Comparison, compare
    from gantune.analysis.run import Run, load
    from gantune.analysis.smoothing import smoothed
    from gantune.api import run, train
    from gantune.export import load_generator
    from gantune.tuning.function import trainable

__all__ = [
    "CheckpointError",
    "Comparison",
    "ConfigError",
    "GantuneError",
    "IncomparableError",
    "Run",
    "RunError",
    "Study",
    "UsageError",
    "compare",
    "load",
    "load_generator",
    "load_study",
    "run",
    "smoothed",
    "train",
    "trainable",
    "trial_as_study",
]

_LAZY = {
    "Comparison": "gantune.analysis.compare",
    "Run": "gantune.analysis.run",
    "compare": "gantune.analysis.compare",
    "load": "gantune.analysis.run",
    "load_generator": "gantune.export",
    "run": "gantune.api",
    "smoothed": "gantune.analysis.smoothing",
    "train": "gantune.api",
    "trainable": "gantune.tuning.function",
    "trial_as_study": "gantune.analysis.again",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'gantune' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
