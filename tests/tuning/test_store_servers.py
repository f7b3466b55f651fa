"""A real study that a real server keeps: S3's protocol and Google's, without faults."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import make_study
from gcs_server import GcsServer
from s3_server import S3Server
from store_keys import store_keys
from stored import Server, check_is_there
from test_cli import within

import gantune
from gantune.errors import UsageError
from gantune.tuning.store import check_store, storage_uri

pytestmark = pytest.mark.slow


@pytest.fixture(params=[S3Server, GcsServer], ids=["s3", "gs"])
def server(request: pytest.FixtureRequest, standing_ray: None) -> Iterator[Server]:
    """Keys to it are in the environment of the Ray, of its workers and of this process."""
    server = request.param()
    yield server
    server.stop()


@pytest.fixture
def google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GcsServer]:
    for name, value in store_keys(tmp_path).items():
        monkeypatch.setenv(name, value)
    server = GcsServer()
    yield server
    server.stop()


def test_a_study_is_kept_and_goes_on_from_there(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANTUNE_CACHE", str(tmp_path / "cache"))
    study = make_study(scheduler={"name": "none"}, budget={"trials": 3})
    options: dict[str, Any] = {"runs_dir": tmp_path / "runs", "storage": server.uri("runs")}
    uri, root = server.uri("runs/tiny"), tmp_path / "runs" / "tiny"
    gantune.run(study, **options)
    check_is_there(server, uri, root, trials=3, epochs=4)
    # What another machine has of it: nothing.
    shutil.rmtree(root)
    with pytest.raises(UsageError, match="is a run already"):
        gantune.run(study, **options)
    resumed = within("resume", uri, "--trials", "+1", "--no-report", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    check_is_there(server, uri, root, trials=4, epochs=4)
    assert len(gantune.load(uri).info["sessions"]) == 2
    before = server.names("runs/tiny")
    pruned = within("prune", "tiny", "--keep-top", 1, cwd=tmp_path)
    assert pruned.returncode == 0, pruned.stderr
    gone = before - server.names("runs/tiny")
    assert len(gone) >= 6 and not any((root / name).exists() for name in gone)
    assert gantune.load(uri).best().generator().sample(2, 0).shape == (2, 2)


def test_files_in_folders_alone_make_it_another_place(google: GcsServer) -> None:
    """Google has no folders: what lies in some is not listed beside files."""
    google.write("runs/tiny/papers/letter", b"mine")
    with pytest.raises(UsageError, match="holds other files"):
        check_store(google.uri("runs/tiny"))
    assert google.names("runs/tiny") == {"papers/letter"}


def test_without_a_key_it_is_read_and_not_written(google: GcsServer) -> None:
    google.write("runs/tiny/run.json", b"{}")
    uri = storage_uri(google.uri("runs").replace("//", "//anonymous@", 1), "tiny")
    with pytest.raises(UsageError, match=r"cannot be written to: .*401.*GOOGLE_APPLICATION"):
        check_store(uri)
    with pytest.raises(UsageError, match="is no run: it has no study"):
        gantune.load(uri)


def test_google_is_not_waited_for_where_it_does_not_answer() -> None:
    """Its client by itself would try for a quarter of an hour."""
    began = time.monotonic()
    with pytest.raises(UsageError, match="cannot be written to"):
        check_store("gs://anonymous@bucket/runs/tiny?endpoint_override=127.0.0.1:1&scheme=http")
    assert time.monotonic() - began < 60
