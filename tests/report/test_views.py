"""The commands: where a report goes, what it leaves alone, what a dashboard needs."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pandas as pd
import pytest
from made import make_run
from typer.testing import CliRunner

import gantune
from gantune.cli import app
from gantune.errors import UsageError
from gantune.report.write import write_report

FILES = {"index.html", "summary.md", "trials.csv", "epochs.parquet"}


@pytest.mark.slow
def test_a_report_is_made_without_torch_and_ray(tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "made", pictures=2)
    code = "import sys; from gantune.cli import app; app(['report', 'made'], standalone_mode=False)"
    code += "; print([m for m in ('torch', 'ray') if m in sys.modules])"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout
    folder = tmp_path / "reports" / "made"
    found = {path.name for path in folder.iterdir()}
    assert found >= {*FILES, "verdicts.png", "history.png", "samples_real.png"}
    epochs = pd.read_parquet(folder / "epochs.parquet")
    run = gantune.load(tmp_path / "runs" / "made")
    assert len(epochs) == len(run.epochs)
    pictures = [line for line in (folder / "summary.md").read_text().splitlines() if "](" in line]
    for line in pictures:
        assert (folder / line.rpartition("](")[2].split(")")[0]).is_file(), line


def test_runs_side_by_side(tmp_path: Path) -> None:
    runs = [gantune.load(make_run(tmp_path / name, trials=n)) for name, n in (("a", 5), ("b", 8))]
    page = write_report(runs, tmp_path / "report")
    html, summary = page.read_text(), (page.parent / "summary.md").read_text()
    assert "a" in html and "What differs in their studies" in html
    best = {run.name: float(run.trials["objective"].min()) for run in runs}
    assert all(f'value="{value!r}"' in html for value in best.values())
    assert summary.startswith("# a, b\n")
    trials = pd.read_csv(page.parent / "trials.csv")
    assert trials.groupby("run").size().to_dict() == {"a": 5, "b": 8}


@pytest.mark.slow
def test_a_confirmed_run_answers_by_its_seeds(tmp_path: Path) -> None:
    run = gantune.load(make_run(tmp_path / "made", repeats=6))
    html = write_report([run], tmp_path / "report").read_text()
    best = run.seeds().summary.iloc[0]
    assert f'value="{float(best["median"])!r}" data-key="seeds.best.median"' in html
    assert "Confirmed over" in html and "repeats 1" in html and "17% failed" in html
    assert (tmp_path / "report" / "seeds.png").is_file()
    # Repeats are no trials of the search: they are in no figure of it.
    assert "12 healthy" not in html


@pytest.mark.slow
def test_two_objectives_have_a_front(tmp_path: Path) -> None:
    objective = [{"metric": "frechet_distance"}, {"metric": "recall", "goal": "maximize"}]
    run = gantune.load(make_run(tmp_path / "made", objective=objective, trials=20))
    html = write_report([run], tmp_path / "report").read_text()
    count = len(run.pareto())
    assert count > 1 and f"{count} of them are beaten in both by no other" in html


def test_runs_that_do_not_compare_have_a_page_that_says_so(tmp_path: Path) -> None:
    other = {"features": None}
    runs = [
        gantune.load(make_run(tmp_path / "a")),
        gantune.load(make_run(tmp_path / "b", session=other)),
    ]
    html = write_report(runs, tmp_path / "report").read_text()
    assert "These runs do not compare" in html


def test_a_file_is_no_folder_for_a_report(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("mine")
    run = gantune.load(make_run(tmp_path / "a", trials=1))
    with pytest.raises(UsageError, match="a report is a folder"):
        write_report([run], tmp_path / "report")
    assert (tmp_path / "report").read_text() == "mine"


@pytest.mark.slow
def test_a_run_that_goes_on_has_a_report(tmp_path: Path) -> None:
    root = make_run(tmp_path / "live", status="running")
    html = write_report([gantune.load(root)], tmp_path / "report").read_text()
    assert "interrupted: " in html  # nobody holds its lock
    from gantune.lock import hold_lock

    with hold_lock(root / "lock"):
        html = write_report([gantune.load(root)], tmp_path / "report").read_text()
    assert "The run goes on" in html


def test_a_dashboard_says_what_it_needs(tmp_path: Path) -> None:
    make_run(tmp_path / "made", trials=1)
    run = [str(tmp_path / "made"), "--runs-dir", str(tmp_path)]
    found = CliRunner().invoke(app, ["dashboard", *run, "--tensorboard"])
    assert isinstance(found.exception, UsageError) and "loggers" in str(found.exception)
    if find_spec("optuna_dashboard") is None:
        found = CliRunner().invoke(app, ["dashboard", *run])
        assert str(found.exception) == (
            "optuna-dashboard is not installed: pip install optuna-dashboard"
        )


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def served(root: Path, *options: str) -> "Iterator[tuple[str, subprocess.Popen[bytes]]]":
    """A dashboard of a run, until it is told to end; then nothing of it is left."""
    port = free_port()
    command = [sys.executable, "-m", "gantune", "dashboard", str(root), *options]
    server = subprocess.Popen([*command, "--port", str(port)], stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}", server
        with socket.socket() as elsewhere, pytest.raises(OSError):
            # Another address of this very machine: only one that listens on all would answer.
            elsewhere.connect(("127.0.0.2", port))
    finally:
        server.terminate()
        server.wait(30)
    with socket.socket() as gone, pytest.raises(OSError):
        gone.connect(("127.0.0.1", port))


@pytest.mark.slow
def test_tensorboard_is_served_to_this_machine_only(tmp_path: Path) -> None:
    root = make_run(tmp_path / "made", trials=1)
    (root / "tensorboard").mkdir()
    with served(root, "--tensorboard") as (url, server):
        assert "version" in ask(f"{url}/data/environment", server)


@pytest.mark.slow
def test_optuna_dashboard_shows_the_trials_of_a_copy(tmp_path: Path) -> None:
    if find_spec("optuna_dashboard") is None:
        assert not os.environ.get("CI"), "pip install '.[dev]'"
        pytest.skip("needs optuna-dashboard")
    root = make_run(tmp_path / "made", trials=7)
    before = (root / "optuna.journal").read_bytes()
    with served(root) as (url, server):
        studies = ask(f"{url}/api/studies", server)["study_summaries"]
        assert [study["study_name"] for study in studies] == ["made"]
        study = ask(f"{url}/api/studies/{studies[0]['study_id']}", server)
        shown = {trial["number"]: trial for trial in study["trials"]}
        table = gantune.load(root).trials
        assert sorted(shown) == list(table["number"])
        first = {p["name"]: p["param_external_value"] for p in shown[0]["params"]}
        rate = table["config.optimizer.generator.lr"].iloc[0]
        assert float(first["optimizer.generator.lr"]) == pytest.approx(rate)
        assert shown[0]["values"] == [pytest.approx(table["objective"].iloc[0])]
        refuse_foreign(url)
        note = {"body": "clicked", "version": 1}
        request = urllib.request.Request(
            f"{url}/api/studies/{studies[0]['study_id']}/note",
            json.dumps(note).encode(),
            {"Content-Type": "application/json"},
            method="PUT",
        )
        urllib.request.urlopen(request, timeout=5).close()
    # What is done there stays there.
    assert (root / "optuna.journal").read_bytes() == before


def refuse_foreign(url: str) -> None:
    """As a browser asks that was told that another site's name leads here."""
    port = url.rpartition(":")[2]
    for name in (f"evil.example:{port}", "localhost.evil.example", "127.0.0.1.evil.example", ""):
        request = urllib.request.Request(f"{url}/api/studies", headers={"Host": name})
        with pytest.raises(HTTPError, match="403"):
            urllib.request.urlopen(request, timeout=5)
    for name in (f"localhost:{port}", "LOCALHOST", "127.0.0.1", "localhost:1"):
        request = urllib.request.Request(f"{url}/api/studies", headers={"Host": name})
        urllib.request.urlopen(request, timeout=5).close()


def ask(url: str, server: "subprocess.Popen[bytes]") -> dict[str, Any]:
    """The answer of a server that is starting."""
    for _ in range(600):
        assert server.poll() is None
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                found: dict[str, Any] = json.loads(answer.read())
                return found
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"{url} does not answer")
