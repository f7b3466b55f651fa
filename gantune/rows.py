"""Rows that no run writes: damage, whatever their checksum says, refused where they are read."""

import json
import math
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from gantune.columns import EPOCHS, STEPS, TRIALS, Column
from gantune.document import MAX_DEPTH

COLUMNS = {"epochs": EPOCHS, "trials": TRIALS, "steps": STEPS}

NEEDED = {
    "epochs": ("number", "epoch"),
    "trials": ("number", "status", "parameters"),
    "steps": ("number", "step"),
}
"""Columns that are null in no row."""

MOST = 2**53
"""Of what is counted; a float still tells it from the next. Seeds are drawn from more."""


def problem_of(table: str, rows: pa.Table) -> str | None:
    """What of a table's rows no run writes, in words; None where they can be a run's.

    Args:
        table: Its name.
        rows: With its columns.
    """
    for name in NEEDED[table]:
        if rows.column(name).null_count:
            return f"a row has no {name}"
    for column in COLUMNS[table]:
        values = rows.column(column.name).drop_null()
        if len(values) and (problem := next(_problems(column, values), None)):
            return f"{column.name}: {problem}"
    return None


def _problems(column: Column, values: pa.ChunkedArray) -> Iterator[str]:
    if column.kind == "int":
        ends = pc.min_max(values)
        low, high = ends["min"].as_py(), ends["max"].as_py()
        if low < 0 or (high > MOST and column.name != "seed"):
            yield f"{low if low < 0 else high} counts nothing"
    elif column.kind == "floats":
        if pc.min(pc.list_value_length(values)).as_py() == 0:
            yield "a list is empty"
        yield from _not_finite(pc.list_flatten(values))
    elif column.kind == "float":
        yield from _not_finite(values)
    elif check := _TEXTS.get(column.name):
        for text in values.unique().to_pylist():
            yield from check(text)


def _not_finite(values: pa.ChunkedArray) -> Iterator[str]:
    if values.null_count or not pc.all(pc.is_finite(values), min_count=0).as_py():
        yield "a number is not finite"


def _parameters(text: str) -> Iterator[str]:
    yield from _mapping(text)[1]


def _extra_metrics(text: str) -> Iterator[str]:
    found, problems = _mapping(text)
    yield from problems
    for name, value in found.items():
        if not name.isidentifier():
            yield f"no metric can be named {name[:50]!r}"
        if value is not None and not (type(value) is float and math.isfinite(value)):
            yield f"{name[:50]} is no number"


def _mapping(text: str) -> tuple[dict[str, Any], list[str]]:
    """A JSON object, and what is wrong with it."""
    try:
        found = json.loads(text)
        # Neither NaN nor half a letter can be written elsewhere.
        json.dumps(found, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        return {}, [str(error)]
    if not isinstance(found, dict):
        return {}, [f"{text[:50]} is no mapping"]
    return found, ["it is nested too deep"] if _is_deep(found) else []


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
    return bool(level)


def _moment(text: str) -> Iterator[str]:
    try:
        if datetime.fromisoformat(text).tzinfo is None:
            yield f"{text[:50]} is in no time zone"
    except ValueError:
        yield f"{text[:50]} is no time"


_TEXTS = {"parameters": _parameters, "extra_metrics": _extra_metrics, "started_at": _moment}
