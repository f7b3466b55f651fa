"""Runs whose tables are written by hand: no training."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from conftest import make_study

import gantune
from gantune.paths import RunPaths
from gantune.records import TableWriter
from gantune.study import Study
from gantune.tuning.lifecycle import create_run

Row = Mapping[str, Any]


def write_run(
    root: Path, study: Study, trials: Sequence[Row], epochs: Sequence[Row] = ()
) -> gantune.Run:
    """A run with these rows; ``parameters`` of a trial is a mapping."""
    paths = RunPaths(root)
    create_run(paths, study)
    rows = [{**row, "parameters": json.dumps(row["parameters"])} for row in trials]
    for name, table in (("trials", rows), ("epochs", epochs)):
        writer = TableWriter(paths.table(name))
        writer.append(table)
        writer.close()
    return gantune.load(root)


def completed(number: int, objective: float | None, parameters: Row, **more: Any) -> Row:
    """A trial that ran to its end."""
    return {
        "number": number,
        "status": "completed",
        "epochs": 1,
        "objective": objective,
        "verdict": "healthy",
        "parameters": parameters,
        **more,
    }


def unrung(search: Mapping[str, Any], **sections: Any) -> Study:
    """A study without rungs."""
    return make_study(search=search, scheduler={"name": "none"}, **sections)
