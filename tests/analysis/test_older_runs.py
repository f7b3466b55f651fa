"""Runs that earlier versions wrote are read as those versions read them."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

import gantune

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


def test_there_are_runs_of_earlier_versions() -> None:
    assert RUNS


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
