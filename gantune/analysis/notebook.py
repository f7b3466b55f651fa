"""What notebooks show of a run and of a trial: small tables, every text escaped."""

import html
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from gantune.analysis.recorded import Recorded
from gantune.errors import RunError

if TYPE_CHECKING:
    import pandas as pd

LONGEST = 120
"""Characters of a text that are shown."""

MOST = 12
"""Parameters that are shown."""

Rows = Iterable[tuple[str, str]]


class ShownRun(Recorded, Protocol):
    """A :class:`gantune.Run`."""

    @property
    def status(self) -> str: ...

    def best_number(self) -> int: ...

    def parameters(self, number: int) -> dict[str, Any]: ...


class ShownTrial(Protocol):
    """A trial at its best epoch."""

    @property
    def number(self) -> int: ...

    @property
    def objective(self) -> float: ...

    @property
    def epoch(self) -> int: ...

    @property
    def parameters(self) -> dict[str, Any]: ...

    @property
    def record(self) -> dict[str, Any]: ...


def run_to_html(run: ShownRun) -> str:
    """A run's state, verdicts and best trial; reads no checkpoint."""
    trials = run.trials
    rows = [
        ("status", run.status),
        ("trials", _counts(trials["status"]) or "none yet"),
        ("epochs", f"{len(run.epochs):,} recorded"),
        ("verdicts", _counts(trials["verdict"]) or "none yet"),
    ]
    parameters: Mapping[str, Any] = {}
    try:
        number = run.best_number()
    except RunError as error:
        rows.append(("best", str(error)))
    else:
        said = [f"trial {number}"]
        # Its row can be lost with a damaged table.
        for _, row in trials[trials["number"] == number].iterrows():
            said += [f"{run.study.objective.metric} {row['objective']:.4g}"]
            said += [f"epoch {row['best_epoch']}"]
        rows.append(("best", ", ".join(said)))
        parameters = run.parameters(number)
    return _table(f"run {run.name}", [*rows, *_listed(parameters)])


def trial_to_html(trial: ShownTrial) -> str:
    """A trial's number, value and parameters."""
    rows = [("objective", f"{trial.objective:.4g}"), ("epoch", str(trial.epoch))]
    rows += [("verdict", str(trial.record["verdict"]))] if trial.record.get("verdict") else []
    return _table(f"trial {trial.number}", [*rows, *_listed(trial.parameters)])


def _counts(column: "pd.Series[Any]") -> str:
    counts = column.astype("string").value_counts()
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _listed(parameters: Mapping[str, Any]) -> Rows:
    for path in list(parameters)[:MOST]:
        value = parameters[path]
        yield path, f"{value:.4g}" if isinstance(value, float) else str(value)
    if len(parameters) > MOST:
        yield "", f"and {len(parameters) - MOST} more"


def _table(title: str, rows: Rows) -> str:
    cells = "".join(
        f'<tr><th style="text-align:left">{_text(name)}</th>'
        f'<td style="text-align:left">{_text(value)}</td></tr>'
        for name, value in rows
    )
    head = f'<caption style="text-align:left">gantune {_text(title)}</caption>'
    return f"<table>{head}{cells}</table>"


def _text(text: str) -> str:
    """A text that shows as it is: cut, escaped, and isolated from the direction of others."""
    shown = text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
    return f"<bdi>{html.escape(shown)}</bdi>"
