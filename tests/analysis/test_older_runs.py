"""Runs that earlier versions wrote are read as those versions read them."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from make_run import make

import gantune
from gantune.records import CHECKSUM, CLOSED

FIXTURES = Path(__file__).parent.parent / "fixtures"
RUNS = sorted(path.parent for path in FIXTURES.glob("*/expected.json"))


def check_rows(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Every value that was there is there; columns that came later may be."""
    assert len(found) == len(expected)
    for row, known in zip(found, expected, strict=True):
        assert set(known) <= set(row)
        for name, value in known.items():
            if isinstance(value, float):
                assert math.isclose(row[name], value, rel_tol=1e-12), name
            else:
                assert row[name] == value, name


def check_options(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Every option has the value that it had; options that came later may be."""
    for name, value in expected.items():
        if isinstance(value, dict):
            check_options(found[name], value)
        else:
            assert found[name] == value, name


def rows(run: gantune.Run, table: str) -> list[dict[str, Any]]:
    text = getattr(run, table).to_json(orient="records", double_precision=15)
    found: list[dict[str, Any]] = json.loads(text)
    return found


def written(root: Path) -> dict[str, Any]:
    """How a version writes: names, columns, checksums and keys; neither values nor options."""
    found: dict[str, Any] = {}
    for path in sorted(root.rglob("*")):
        if not path.is_file() or path.name == "expected.json":
            continue
        name, data = re.sub(r"\d+", "#", str(path.relative_to(root))), path.read_bytes()
        if path.suffix == ".arrow":
            schema = pa.ipc.open_stream(data).schema
            found[name] = [str(schema), CHECKSUM in data, data.endswith(CLOSED)]
        elif path.suffix == ".json":
            tree = json.loads(data)
            found[name] = [sorted(tree), *(sorted(each) for each in tree.get("sessions", []))]
        else:
            found[name] = None
    return found


def test_what_this_version_writes_is_among_them(tmp_path: Path) -> None:
    """One that writes otherwise leaves a run here: `python tests/fixtures/make_run.py FOLDER`."""
    make(tmp_path / "run")
    assert written(tmp_path / "run") in [written(root) for root in RUNS]


@pytest.mark.parametrize("root", RUNS, ids=lambda path: path.name)
def test_an_older_run_is_read_as_it_was(root: Path) -> None:
    expected = json.loads((root / "expected.json").read_text())
    run = gantune.load(root)
    assert run.status == "finished"
    for table in ("trials", "epochs", "steps"):
        check_rows(rows(run, table), expected[table])
    assert run.measured_in is not None and run.measured_in.features == expected["features"]
    best = run.best()
    assert best.number == expected["best"]
    check_options(best.config.model_dump(mode="json"), expected["config"])
    sample = best.generator()(torch.ones(1, 2))
    torch.testing.assert_close(sample, torch.tensor(expected["sample"]), rtol=1e-5, atol=1e-6)
    assert not run.failures().empty and len(run.curve()) == len(run.epochs)
    assert run.importance().attrs["warning"].startswith("rests on 2 trials")
