"""Studies kept in a real S3 server: its faults, lost machines, nodes with their own disks."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import make_study
from data_files import random_images, write_idx
from namespaces import needs_namespaces, two_disks
from s3_server import S3Server
from store_keys import S3_KEYS
from stored import check_is_there

import gantune
from gantune.document import write_document

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in S3_KEYS.items():
            patch.setenv(name, value)
        server = S3Server()
        yield server
        server.stop()


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Trials of about two seconds."""
    plan = make_study(
        trial={"train": {"epochs": 6, "steps_per_epoch": 250, "batch_size": 8}},
        scheduler={"name": "none"},
        budget={"trials": 4},
    )
    path = tmp_path / "tiny.yaml"
    path.write_text(write_document(plan.model_dump(mode="json", exclude_none=True)))
    return path


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "gantune", *map(str, words)]


def wait_until(happens: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)


LONG = pytest.mark.long


@LONG
@pytest.mark.parametrize("fault", ["errors", "slow", "refused"])
def test_a_study_ends_right_through_faults_of_its_store(
    server: S3Server, study: Path, tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANTUNE_CACHE", str(tmp_path / "cache"))
    words = ("--name", fault, "--storage", server.uri("runs"), "--no-report")
    with open(tmp_path / "log", "wb") as log:
        run = subprocess.Popen(command("run", study, *words), cwd=tmp_path, stdout=log, stderr=log)
        begun = f"runs/{fault}/trials/00000/last"
        wait_until(lambda: server.names(begun) or run.poll() is not None)
        if fault == "slow":
            server.delay_s = 0.3
        elif fault == "errors":
            server.is_broken = True
            time.sleep(8)
        else:
            server.stop()
            time.sleep(20)
            # Longer than all trials take: they, too, wait for their store.
            assert run.poll() is None
            server.start()
        server.is_broken = False
        code = run.wait(240)
    server.delay_s = 0.0
    assert code == 0, (tmp_path / "log").read_text()
    assert fault != "errors" or server.failed > 3
    assert fault != "slow" or server.delayed > 50
    uri = server.uri(f"runs/{fault}")
    check_is_there(server, uri, tmp_path / "runs" / fault, trials=4, epochs=6)
    # A second run of the name would write into the first.
    shutil.rmtree(tmp_path / "runs")
    again = subprocess.run(command("run", study, *words), cwd=tmp_path, capture_output=True)
    assert again.returncode == 2 and b"is a run already" in again.stderr


@LONG
def test_a_machine_that_is_lost_for_good_is_replaced_by_another(
    server: S3Server, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANTUNE_CACHE", str(tmp_path / "cache"))
    words = ("--name", "lost", "--storage", server.uri("runs"), "--concurrency", 1)
    first = tmp_path / "first"
    first.mkdir()
    driver = subprocess.Popen(
        command("run", study, *words),
        cwd=first,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    uri = server.uri("runs/lost")
    wait_until(lambda: "mark.json" in server.names("runs/lost") or driver.poll() is not None)
    wait_until(lambda: (gantune.load(uri).trials["status"] == "completed").any())
    # Kept up as it goes on: what was sent at the end only would be missing on both sides.
    there = server.names("runs/lost")
    kinds = {name if "/" not in name else Path(name).parent.name for name in there}
    assert kinds >= {"samples", "best", "last", "epochs", "trials", "optuna.journal"}
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    shutil.rmtree(first)
    done = subprocess.run(
        command("resume", uri, "--no-report"), cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    run = gantune.load(tmp_path / "runs" / "lost")
    check_is_there(server, uri, run.root, trials=4, epochs=6)
    assert len(run.info["sessions"]) == 2
    best = run.best().generator().sample(2, 0)
    assert best.shape == (2, 2)


@LONG
def test_a_store_that_is_gone_for_good_ends_the_session_and_the_run_resumes(
    server: S3Server, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANTUNE_CACHE", str(tmp_path / "cache"))
    words = ("--name", "gone", "--storage", server.uri("runs"), "--no-report")
    run = subprocess.Popen(command("run", study, *words), cwd=tmp_path, stderr=subprocess.PIPE)
    wait_until(lambda: server.names("runs/gone/trials/00000/last"))
    server.stop()
    _, said = run.communicate(timeout=240)
    assert run.returncode == 1
    assert b"the run cannot go on" in said and b"gantune resume runs/gone" in said
    server.start()
    done = subprocess.run(command("resume", "gone", "--no-report"), cwd=tmp_path)
    assert done.returncode == 0
    check_is_there(server, server.uri("runs/gone"), tmp_path / "runs" / "gone", trials=4, epochs=6)


@pytest.mark.parametrize(
    ("storage", "message"),
    [
        ("s3://key:secret@bucket/runs", "no keys in the address"),
        ("s3://anonymous@bucket/runs", "no keys in the address"),
        ("gs://somebody@bucket/runs", "no keys in the address"),
        ("gs://anonymous:secret@bucket/runs", "no keys in the address"),
        ("gs://anonymous@secret@bucket/runs", "no keys in the address"),
        ("runs", "the whole path of a folder"),
        ("s4://bucket/runs", "names no store that can be read"),
        ("nowhere", "cannot be written to.*Does the bucket exist"),
    ],
)
def test_a_store_that_does_not_do_is_said_before_ray_starts(
    server: S3Server, study: Path, tmp_path: Path, storage: str, message: str
) -> None:
    if storage == "nowhere":
        storage = server.uri("runs").replace("//bucket/", "//nowhere/")
    began = time.monotonic()
    with pytest.raises(gantune.GantuneError, match=message):
        gantune.run(gantune.load_study(study), runs_dir=tmp_path / "runs", storage=storage)
    assert time.monotonic() - began < 20 and not (tmp_path / "runs").exists()


RUN = """
    study = gantune.load_study({study!r}, ["data={{name: idx, root: {data}}}"])
    run = gantune.run(study, runs_dir=runs, address=cluster.address, storage={storage!r})
    print("status", run.status, "workers", run.trials["worker"].nunique())
"""


@LONG
def test_nodes_that_share_no_disk_share_a_store(
    server: S3Server, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor the data, which one of them has not: it has them from the driver, once for all trials."""
    runs = tmp_path / "runs"
    runs.mkdir()
    needs_namespaces(runs)
    monkeypatch.setenv("GANTUNE_CACHE", str(tmp_path / "cache"))
    data = write_idx(runs / "digits", random_images(200, 8, 8))
    body = RUN.format(study=str(study), storage=server.uri("apart/runs"), data=data)
    code = two_disks(runs, body)
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"}
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123abcd" * 8}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert "status finished workers 2" in done.stdout, done.stdout + done.stderr
    run = gantune.load(runs / "tiny")
    for number in run.trials["number"]:
        # Also of those that were trained on the other node's disk.
        assert list((run.root / "trials" / f"{number:05d}" / "best").glob("*.safetensors"))
        assert list((run.root / "trials" / f"{number:05d}").glob("samples.webp"))
    # What the other node needed for them is gone from its cache.
    assert not list((tmp_path / "cache" / "training").rglob("*.safetensors"))
    assert threading.active_count() < 20
