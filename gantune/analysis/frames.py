"""Tables on disk -> typed pandas frames."""

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

from gantune.columns import EPOCHS, STEPS, TRIALS, Column

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
    names = list(dict.fromkeys(name for row in rows for name in row))
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
    return frame.assign(**columns)


def with_records_so_far(trials: pd.DataFrame, epochs: pd.DataFrame) -> pd.DataFrame:
    """Fills what the end row of a trial would say from its records, where it has none yet."""
    unended = trials["epochs"].isna()
    if not unended.any() or epochs.empty:
        return trials
    scored = epochs.dropna(subset=["objective"])
    final = scored.groupby("number")["best_objective"].transform("last")
    is_final = scored["objective"] == final
    by_trial, scored_by = epochs.groupby("number"), scored.groupby("number")
    so_far = {
        "epochs": by_trial["epoch"].max(),
        "wall_s": by_trial["wall_s"].max(),
        "objective": scored_by["best_objective"].last(),
        "last_objective": scored_by["objective"].last(),
        "best_epoch": scored[is_final].groupby("number")["epoch"].min(),
    }
    filled = trials.copy()
    for name, values in so_far.items():
        found = filled["number"].map(values).astype(filled[name].dtype)
        filled[name] = filled[name].where(~unended, found)
    # A category only takes values that it has had before: by way of text.
    verdicts = epochs["verdict"].astype("string").groupby(epochs["number"]).last()
    found = filled["number"].map(verdicts).astype("string")
    filled["verdict"] = filled["verdict"].astype("string").where(~unended, found)
    return filled.astype({"verdict": "category"})


def _column(values: Sequence[Any]) -> "pd.Series[Any]":
    """The narrowest of: nullable int, float, category."""
    known = [value for value in values if value is not None]
    if all(type(value) is int for value in known):
        return pd.Series(values, dtype="Int64")
    if all(type(value) in (int, float) for value in known):
        return pd.Series(values, dtype="float64")
    texts = [v if v is None or isinstance(v, str) else json.dumps(v) for v in values]
    return pd.Series(texts, dtype="category")


def _typed(table: pa.Table, columns: Sequence[Column]) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas()
    types = {column.name: _DTYPES[column.kind] for column in columns if column.kind in _DTYPES}
    return frame.astype(types)
