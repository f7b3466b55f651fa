"""Runs that earlier versions wrote are read as those versions read them."""

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from make_run import make, make_export, make_interrupted
from test_cli import within
from whole import check_whole

import gantune
from gantune.api import Silent
from gantune.engine.materials import make_materials
from gantune.host import Host
from gantune.loader import load_run_study
from gantune.lock import hold_lock
from gantune.paths import RunPaths
from gantune.records import CHECKSUM, CLOSED
from gantune.runinfo import begin_session
from gantune.tuning.conductor import Conductor
from gantune.tuning.extension import Extension, extended, refuse_changed
from gantune.tuning.lifecycle import (
    finish_run,
    refuse_other_features,
    rewrite_study,
    session_facts,
)
from gantune.tuning.local import drive

FIXTURES = Path(__file__).parent.parent / "fixtures"
RUNS, INTERRUPTED, EXPORTS = (
    sorted(path.parent for path in FIXTURES.glob(f"{kind}-*/expected.json"))
    for kind in ("run", "interrupted", "export")
)


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
    """One that writes otherwise leaves its own here: `make_run.py` says how."""
    made, interrupted, exported = (tmp_path / name for name in ("run", "interrupted", "export"))
    make(made)
    make_interrupted(interrupted)
    make_export(made, exported)
    assert written(made) in [written(root) for root in RUNS]
    assert written(interrupted) in [written(root) for root in INTERRUPTED]
    assert written(exported) in [written(root) for root in EXPORTS]


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


@pytest.fixture(params=RUNS, ids=lambda path: path.name)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a run of an earlier version."""
    return Path(shutil.copytree(request.param, tmp_path / "old"))


def gone_on(root: Path, extension: Extension) -> None:
    """What `gantune resume` does, without Ray."""
    paths = RunPaths(root)
    study = load_run_study(paths.study)
    with hold_lock(paths.lock):
        refuse_changed(paths, study)
        if extension != Extension():
            study = extended(study, paths, extension)
        rewrite_study(paths, study)
        materials = make_materials(study.trial)
        facts = session_facts(study, materials, 1)
        refuse_other_features(paths, facts)
        begin_session(paths.info, None, facts)
        conductor = Conductor(paths, study, Silent())
        drive(conductor, Host(materials))
        finish_run(conductor, root)


def test_an_older_run_is_given_more_to_do(old: Path) -> None:
    """Its journal and its tables agree, and its trials stay what they were."""
    gone_on(old, Extension(trials="+1"))
    check_whole(old, 3, 3)
    expected, run = json.loads((old / "expected.json").read_text()), gantune.load(old)
    check_rows(rows(run, "trials")[:2], expected["trials"])
    check_rows([row for row in rows(run, "epochs") if row["number"] < 2], expected["epochs"])
    assert run.trials.iloc[2]["epochs"] > 0 and len(run.info["sessions"]) == 2
    run.best().generator().sample(2, 0)


def test_an_older_run_is_reported_and_its_best_exported(old: Path, tmp_path: Path) -> None:
    reported = within("report", old, cwd=tmp_path)
    assert reported.returncode == 0, reported.stderr
    page = (tmp_path / "reports" / "old" / "index.html").read_text()
    assert f"{gantune.load(old).best().objective:.4g}" in page
    exported = within("export", old, "--out", "there", cwd=tmp_path)
    assert exported.returncode == 0, exported.stderr
    expected = json.loads((old / "expected.json").read_text())
    sample = gantune.load_generator(tmp_path / "there")(torch.ones(1, 2))
    torch.testing.assert_close(sample, torch.tensor(expected["sample"]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("root", INTERRUPTED, ids=lambda path: path.name)
def test_an_older_run_that_was_interrupted_goes_on(root: Path, tmp_path: Path) -> None:
    """Its trial from its own last epoch: what was recorded stays as it was, times included."""
    there = Path(shutil.copytree(root, tmp_path / "interrupted"))
    known, before = json.loads((root / "expected.json").read_text()), gantune.load(there)
    assert before.status == "interrupted"
    assert list(before.trials["status"]) == ["completed", "interrupted"]
    gone_on(there, Extension())
    check_whole(there, 2, 3)
    after = gantune.load(there)
    check_rows(rows(after, "epochs")[:5], known["epochs"])
    check_rows(rows(after, "steps")[: len(known["steps"])], known["steps"])
    assert after.epochs["number"].tolist() == [0, 0, 0, 1, 1, 1]
    trial = there / "trials" / "00001"
    assert len(list(trial.glob("attempt-*"))) == 2
    assert len(list((trial / "samples").glob("*.png"))) == 3


@pytest.mark.parametrize("folder", EXPORTS, ids=lambda path: path.name)
def test_an_older_export_is_loaded(folder: Path) -> None:
    expected = json.loads((folder / "expected.json").read_text())
    sample = gantune.load_generator(folder)(torch.ones(1, 2))
    torch.testing.assert_close(sample, torch.tensor(expected["sample"]), rtol=1e-5, atol=1e-6)
