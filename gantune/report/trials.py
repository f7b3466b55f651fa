"""Records for the table of trials and what each row opens."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gantune.analysis.run import Run
from gantune.report.thinning import MAX_PARAMETERS, MAX_POINTS, MAX_ROWS, thin_indices
from gantune.report.words import is_known, with_nulls
from gantune.visible import visible

FloatArray = NDArray[np.float64]

DETAIL_COLUMNS = (
    "objective",
    "best_objective",
    "d_acc",
    "d_auc",
    "g_loss",
    "d_loss",
    "g_grad_norm",
    "d_grad_norm",
    "modes",
    "mode_entropy",
    "coverage",
    "precision",
    "recall",
)

DIGITS = 5
"""Significant digits of a point that is drawn."""

POINT_BUDGET = 600_000
"""Numbers of all curves of a page together."""


@dataclass(frozen=True)
class TrialRow:
    """A trial's row, with what its details show."""

    number: int
    status: str
    stopped_by: str | None
    verdict: str | None
    verdict_epoch: int | None
    epochs: int | None
    objective: float | None
    best_epoch: int | None
    last_objective: float | None
    confirms: int | None
    seed: int | None
    worker: str | None
    started_at: str | None
    wall_s: float | None
    error: str | None
    evidence: str | None
    parameters: dict[str, Any]
    checkpoint: str | None


@dataclass(frozen=True)
class TrialsTable:
    """The trials of a page, the best first.

    Attributes:
        rows: At most as many as a page can hold.
        total: All of the run.
        paths: Searched paths that are columns; details have all.
        is_thinned: Whether rows or paths are left out.
    """

    rows: tuple[TrialRow, ...]
    total: int
    paths: tuple[str, ...]
    is_thinned: bool


def trials_table(run: Run, ranked: Sequence[str]) -> TrialsTable:
    """The table of trials.

    Args:
        run: The run.
        ranked: Searched paths, the most important first.
    """
    lower = run.study.objective.direction == "minimize"
    ordered = run.trials.assign(objective=run.trials["objective"].astype("float64"))
    ordered = ordered.sort_values(["objective", "number"], ascending=[lower, True])
    shown = ordered.head(MAX_ROWS)
    told = run.epochs[["number", "evidence"]].dropna()
    evidence = dict(zip(told["number"].astype(int), told["evidence"], strict=True))
    rows = [_row(run, record, evidence) for record in shown.to_dict("records")]
    own = [path for path in ranked if not run.study.search[path].same_as]
    paths = tuple(own[:MAX_PARAMETERS])
    is_thinned = len(shown) < len(ordered) or len(paths) < len(own)
    return TrialsTable(tuple(rows), len(ordered), paths, is_thinned)


def _row(run: Run, record: dict[Any, Any], evidence: dict[Any, Any]) -> TrialRow:
    known = {name: value if is_known(value) else None for name, value in record.items()}
    number = int(record["number"])
    return TrialRow(
        number=number,
        status=str(known["status"]),
        stopped_by=_text(known["stopped_by"]),
        verdict=_text(known["verdict"]),
        verdict_epoch=_int(known["verdict_epoch"]),
        epochs=_int(known["epochs"]),
        objective=_float(known["objective"]),
        best_epoch=_int(known["best_epoch"]),
        last_objective=_float(known["last_objective"]),
        confirms=_int(known["confirms"]),
        seed=_int(known["seed"]),
        worker=_text(known["worker"]),
        started_at=_text(known["started_at"]),
        wall_s=_float(known["wall_s"]),
        error=_text(known["error"]),
        evidence=_text(evidence.get(number)),
        parameters=with_nulls(json.loads(str(known["parameters"] or "{}"))),
        checkpoint=checkpoint_of(run, number),
    )


def checkpoint_of(run: Run, number: int) -> str | None:
    """The weights of a trial's best epoch, as a path; None where they are gone."""
    files = sorted((run.root / "trials" / f"{number:05d}" / "best").glob("*.safetensors"))
    return visible(str(files[-1])) if files else None


def trial_curves(epochs: pd.DataFrame, numbers: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Each trial's curves for the page: ``epoch`` and a list per column that has a value.

    Args:
        epochs: :attr:`Run.epochs`.
        numbers: The trials of the page; of more of them each has fewer points.
    """
    columns = [name for name in DETAIL_COLUMNS if name in epochs and epochs[name].notna().any()]
    points = max(8, min(MAX_POINTS, POINT_BUDGET // max(1, len(numbers) * (len(columns) + 1))))
    shown = epochs[epochs["number"].isin(list(numbers))]
    values = {name: rounded(shown[name].to_numpy("float64", na_value=np.nan)) for name in columns}
    number, epoch = (shown[name].to_numpy("int64") for name in ("number", "epoch"))
    firsts = np.flatnonzero(np.diff(number, prepend=-1))
    ends = np.append(firsts, len(number))[1:]
    found = {}
    for first, end in zip(firsts.tolist(), ends.tolist(), strict=True):
        rows = first + np.array(thin_indices(end - first, points))
        curves = {name: _nulls(value[rows]) for name, value in values.items()}
        known = {name: curve for name, curve in curves.items() if any(v is not None for v in curve)}
        found[str(number[first])] = {"epoch": epoch[rows].tolist(), **known}
    return found


def rounded(values: FloatArray) -> FloatArray:
    """Values to so many significant digits as a drawing shows."""
    size = np.abs(np.where(np.isfinite(values) & (values != 0), values, 1.0))
    places = DIGITS - 1 - np.floor(np.log10(size))
    # Of a huge one a power of ten would not be finite.
    scale = 10.0 ** np.clip(places, -300, 300)
    found: FloatArray = np.rint(values * scale) / scale
    return np.where(np.isfinite(found), found, values)


def _nulls(values: FloatArray) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values.tolist()]


def _int(value: Any) -> int | None:
    return None if value is None else int(value)


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
