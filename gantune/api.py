"""Running studies from Python."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gantune.analysis.run import Run, load
from gantune.study import Study
from gantune.trial import Record, TrialSpec


class Silent:
    """Shows nothing."""

    def resumed(self, rows: Sequence[dict[str, Any]]) -> None: ...

    def began(self, spec: TrialSpec) -> None: ...

    def recorded(self, number: int, records: Sequence[Record], steps: Sequence[Record]) -> None: ...

    def paused(self, number: int, row: dict[str, Any]) -> None: ...

    def ended(self, number: int, row: dict[str, Any]) -> None: ...


@contextmanager
def silent(study: Study) -> Iterator[Silent]:
    """Progress that shows nothing."""
    yield Silent()


def run(
    study: Study,
    *,
    name: str | None = None,
    runs_dir: str | Path = "runs",
    concurrency: int | None = None,
    address: str | None = None,
    storage: str | None = None,
    warm_start: str | Path | None = None,
) -> Run:
    """Runs a study to its end and opens its run.

    Args:
        study: From :func:`gantune.load_study`.
        name: The run's name; default the study's.
        runs_dir: Where runs are kept.
        concurrency: Trials at once, at most; default as many as fit.
        address: Of a Ray cluster, ``auto`` or ``HOST:PORT``; default this machine alone.
        storage: A store that keeps the run as it goes on: ``s3://BUCKET/FOLDER``, ``gs://...``,
            or the whole path of a folder.
        warm_start: The directory of an earlier run whose ended trials the sampler is to know.

    Raises:
        UsageError: The run exists, does not fit on this machine, no cluster answers, or it cannot
            learn from the earlier one.
        RunError: It could not go on.
    """
    from gantune.tuning.runner import run_study
    from gantune.tuning.warm import warm_start as learn

    end = run_study(
        study,
        silent,
        name=name,
        runs_dir=Path(runs_dir),
        concurrency=concurrency,
        address=address,
        storage=storage,
        warm=learn(study, Path(warm_start)) if warm_start else None,
    )
    return load(end.root)


def train(study: Study, out: str | Path) -> Run:
    """Trains a study's base trial in this process, without Ray, and opens its run.

    Args:
        study: From :func:`gantune.load_study`; its search space is not used.
        out: The run directory to make.

    Raises:
        UsageError: The directory exists or cannot be made.
    """
    from gantune.tuning.local import train_base

    return load(train_base(study, Path(out), silent).root)
