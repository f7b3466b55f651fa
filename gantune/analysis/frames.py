"""Tables on disk -> typed pandas frames."""

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

from gantune.columns import EPOCHS, STEPS, TRIALS, Column
from gantune.goals import Row, metric_of
from gantune.study import Study

_DTYPES = {"int": "Int64", "float": "float64", "text": "string", "category": "category"}

CONFIG_PREFIX = "config."


def to_epochs(table: pa.Table) -> pd.DataFrame:
    """One row per (trial, epoch), in order of trials and epochs; the first of equal rows counts."""
    frame = _typed(table, EPOCHS).drop_duplicates(["number", "epoch"], keep="first")
    frame = frame.sort_values(["number", "epoch"], ignore_index=True)
    if frame["extra_metrics"].isna().all():
        return frame
    # As one text: a call for each of a million takes seconds.
    texts = frame["extra_metrics"].fillna("{}").to_list()
    rows = json.loads(f"[{','.join(texts)}]")
    # What a metric of an earlier version's extension is called can be a column's name since.
    names = [
        name for name in dict.fromkeys(name for row in rows for name in row) if name not in frame
    ]
    return frame.assign(**{name: _column([row.get(name) for row in rows]) for name in names})


def to_steps(table: pa.Table) -> pd.DataFrame:
    """A thinned trace within epochs, in order of trials and steps."""
    frame = _typed(table, STEPS).drop_duplicates(["number", "step"], keep="first")
    return frame.sort_values(["number", "step"], ignore_index=True)


def to_trials(table: pa.Table, *, live: bool) -> pd.DataFrame:
    """One row per trial, with a ``config.`` column for each searched path.

    Args:
        table: Start and end rows.
        live: Whether the run is being driven now; otherwise a trial without an end is interrupted.
    """
    frame = _typed(table, TRIALS).drop_duplicates("number", keep="last")
    frame = frame.sort_values("number", ignore_index=True)
    if not live:
        status = frame["status"].astype("string").replace("running", "interrupted")
        frame["status"] = status.astype("category")
    searched = [json.loads(text) for text in frame["parameters"]]
    paths = list(dict.fromkeys(path for values in searched for path in values))
    columns = {CONFIG_PREFIX + path: _column([v.get(path) for v in searched]) for path in paths}
    # All at once: column by column a frame of hundreds of paths is slow.
    return pd.concat([frame, pd.DataFrame(columns, index=frame.index)], axis=1)


def with_records_so_far(trials: pd.DataFrame, epochs: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Fills what the end row of a trial would say from its records, where it has none yet."""
    unended = trials["epochs"].isna()
    if not unended.any() or epochs.empty:
        return trials
    going = epochs[epochs["number"].isin(trials["number"][unended])]
    filled = trials.copy()
    for name, values in _so_far(going, study).items():
        found = filled["number"].map(values).astype(filled[name].dtype)
        filled[name] = filled[name].where(~unended, found)
    # A category only takes values that it has had before: by way of text.
    for name, texts in _said_so_far(going, study).items():
        found = filled["number"].map(texts).astype("string")
        filled[name] = filled[name].astype("string").where(~unended, found).astype("category")
    return filled


def with_waiting(trials: pd.DataFrame, epochs: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Tells trials that wait at a rung to be promoted from those that train.

    One that was let go on counts as waiting until the first epoch after its rung is recorded.
    """
    if study.scheduler.name != "asha_promotion" or epochs.empty:
        return trials
    last = epochs.groupby("number")["rung"].last(skipna=False)
    at_rung = trials["number"].isin(last.index[last.notna()])
    status = trials["status"].astype("string")
    status = status.mask(at_rung & (status == "running"), "waiting")
    return trials.assign(status=status.astype("category"))


def _so_far(going: pd.DataFrame, study: Study) -> dict[str, Any]:
    """Numbers of trials that have not ended, by their number."""
    scored, second = going.dropna(subset=["objective"]), study.objective.second
    best = _best_so_far(scored, study)
    found = {
        "epochs": going.groupby("number")["epoch"].max(),
        "wall_s": going.groupby("number")["wall_s"].max(),
        "last_objective": scored.groupby("number")["objective"].last(),
        "objective": {number: row["objective"] for number, row in best.items()},
        "best_epoch": {number: row["epoch"] for number, row in best.items()},
    }
    if second:
        values = {number: metric_of(row, second.metric) for number, row in best.items()}
        found["second_objective"] = values
    return found


def _said_so_far(going: pd.DataFrame, study: Study) -> dict[str, Any]:
    """Words on trials that have not ended, by their number."""
    found: dict[str, Any] = {
        "verdict": going["verdict"].astype("string").groupby(going["number"]).last()
    }
    if study.constraints:
        best = _best_so_far(going.dropna(subset=["objective"]), study)
        meets = {number: study.ranking.is_feasible(row) for number, row in best.items()}
        found["feasible"] = {number: "yes" if met else "no" for number, met in meets.items()}
    return found


def _best_so_far(scored: pd.DataFrame, study: Study) -> dict[int, Row]:
    found = {}
    for number, records in scored.groupby("number"):
        rows = ({str(k): v for k, v in row.items()} for row in records.to_dict("records"))
        best = study.ranking.best(rows)
        assert best is not None, "each of them has a value"
        found[int(str(number))] = best
    return found


def _column(values: Sequence[Any]) -> "pd.Series[Any]":
    """The narrowest of: nullable int, float, category."""
    known = [value for value in values if value is not None]
    integers = [value for value in known if type(value) is int]
    if all(abs(value) < 2**63 for value in integers):
        if len(integers) == len(known):
            return pd.Series(values, dtype="Int64")
        if all(type(value) in (int, float) for value in known):
            return pd.Series(values, dtype="float64")
    texts = [v if v is None or isinstance(v, str) else json.dumps(v) for v in values]
    return pd.Series(texts, dtype="category")


def _typed(table: pa.Table, columns: Sequence[Column]) -> pd.DataFrame:
    # By way of floats, as pandas has it where a value is missing, a seed would lose its end.
    frame: pd.DataFrame = table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    types = {column.name: _DTYPES[column.kind] for column in columns if column.kind in _DTYPES}
    return frame.astype(types)
