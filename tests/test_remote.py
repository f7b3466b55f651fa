"""Runs in a store: protocols spoken by real servers on loopback, and a folder as a store."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.fs
import pytest
from conftest import make_study
from gcs_server import GcsServer
from store_keys import S3_KEYS, store_keys
from typer.testing import CliRunner

import gantune
from gantune.cli import app
from gantune.records import TableWriter
from gantune.remote import is_remote
from gantune.storage import read_json, write_json


@dataclass
class Store:
    """A bucket on a server."""

    system: Any
    options: str

    def put(self, folder: Path, name: str) -> str:
        """Copies a run's directory there; returns its URI."""
        there = f"bucket/runs/{name}"
        pyarrow.fs.copy_files(
            str(folder),
            there,
            source_filesystem=pyarrow.fs.LocalFileSystem(),
            destination_filesystem=self.system,
        )
        return f"s3://{there}?{self.options}"

    def write(self, path: str, data: bytes) -> None:
        with self.system.open_output_stream(f"bucket/{path}") as file:
            file.write(data)


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    from moto.server import ThreadedMotoServer

    with pytest.MonkeyPatch.context() as patch:
        for name, value in S3_KEYS.items():
            patch.setenv(name, value)
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        options = f"endpoint_override={host}:{port}&scheme=http&region=us-east-1"
        system, _ = pyarrow.fs.FileSystem.from_uri(
            f"s3://bucket/x?{options}&allow_bucket_creation=true"
        )
        system.create_dir("bucket")
        yield Store(system, options)
        server.stop()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> gantune.Run:
    return gantune.train(make_study(search={}), tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(autouse=True)
def _an_empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANTUNE_CACHE", str(tmp_path / "cache"))


def brought(tmp_path: Path) -> set[str]:
    """Files in the cache, by the last two parts of their paths."""
    files = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    return {"/".join(path.parts[-2:]) for path in files}


@pytest.mark.slow
def test_a_run_in_a_bucket_is_the_run(store: Store, trained: gantune.Run, tmp_path: Path) -> None:
    run = gantune.load(store.put(trained.root, "tiny"))
    assert brought(tmp_path) == {"tiny/study.yaml", "tiny/run.json"}
    assert run.place == "s3://bucket/runs/tiny" and run.name == "tiny"
    assert run.status == "finished" and run.study == trained.study
    for table in ("trials", "epochs", "steps"):
        pd.testing.assert_frame_equal(getattr(run, table), getattr(trained, table))
    assert not any("safetensors" in name for name in brought(tmp_path))
    best, expected = run.best(), trained.best()
    assert (best.number, best.objective, best.config) == (
        *(expected.number, expected.objective, expected.config),
    )
    assert best.checkpoint.read_bytes() == expected.checkpoint.read_bytes()
    assert best.checkpoint.is_relative_to(tmp_path / "cache")
    # Only what was asked for: not what the trial would go on from, no pictures.
    assert not any(name.startswith(("last/", "samples/")) for name in brought(tmp_path))
    (samples,) = {best.generator().sample(3, 0).shape}
    assert tuple(samples) == (3, 2)


@pytest.mark.slow
def test_it_is_read_anew_each_time(store: Store, trained: gantune.Run, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(trained.root, copy)
    info = read_json(copy / "run.json")
    write_json(copy / "run.json", {**info, "status": "running"})
    uri = store.put(copy, "grows")
    first = gantune.load(uri)
    assert first.status == "running" and len(first.epochs) == 4
    writer = TableWriter(copy / "epochs")
    writer.append([{"number": 0, "epoch": 5}])
    writer.close()
    write_json(copy / "run.json", info)
    store.put(copy, "grows")
    again = gantune.load(uri)
    assert again.status == "finished" and len(again.epochs) == 5
    # The end of a run joins its segments: what is gone there goes here.
    store.system.delete_file("bucket/runs/grows/epochs/000002.arrow")
    assert len(gantune.load(uri).epochs) == 4
    assert "epochs/000002.arrow" not in brought(tmp_path)


@pytest.mark.slow
def test_what_has_not_changed_is_not_brought_again(
    store: Store, trained: gantune.Run, tmp_path: Path
) -> None:
    uri = store.put(trained.root, "still")
    files = [gantune.load(uri).best().checkpoint for _ in range(2)]
    assert files[0] == files[1]
    inode = files[0].stat().st_ino
    gantune.load(uri).best()
    assert files[0].stat().st_ino == inode


@pytest.mark.slow
def test_names_in_a_bucket_lead_nowhere(store: Store, trained: gantune.Run, tmp_path: Path) -> None:
    uri = store.put(trained.root, "hostile")
    for name in ("../../../out.arrow", ".hidden.arrow", "a b.arrow", "..", "%2e%2e.arrow"):
        store.write(f"runs/hostile/epochs/{name}", b"x")
    assert len(gantune.load(uri).epochs) == 4
    assert {name for name in brought(tmp_path) if "epochs/" in name} == {"epochs/000001.arrow"}
    assert not list(tmp_path.glob("**/out.arrow"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("s3://bucket/none?{}", "s3://bucket/none is no run: it has no study.yaml"),
        ("s3://nobody/none?{}", "s3://nobody/none is no run: it has no study.yaml"),
        ("s3://bucket?{}", "names no run"),
        ("s3://bucket/runs/a%20b?{}", "names no run"),
        ("s3://bucket/x?unknown=1", "names no store that can be read"),
        ("nothing://bucket/x", "names no store that can be read"),
    ],
)
def test_what_is_no_run(uri: str, message: str, store: Store) -> None:
    with pytest.raises(gantune.UsageError, match=message):
        gantune.load(uri.format(store.options))


@pytest.mark.slow
def test_a_server_that_is_not_there(store: Store) -> None:
    with pytest.raises(gantune.UsageError, match=r"s3://bucket/x cannot be read: .*connect"):
        gantune.load("s3://a:b@bucket/x?endpoint_override=127.0.0.1:1&scheme=http")


@pytest.mark.slow
def test_keys_in_a_uri_are_not_told(store: Store, trained: gantune.Run, tmp_path: Path) -> None:
    uri = store.put(trained.root, "secret").replace("s3://", "s3://someone:hunter2@")
    run = gantune.load(uri)
    assert "hunter2" not in repr(run) and "hunter2" not in run.place
    for wrong in (uri.replace("secret?", "other?"), uri + "&unknown=1"):
        with pytest.raises(gantune.UsageError) as caught:
            gantune.load(wrong)
        assert "hunter2" not in str(caught.value)


def test_a_folder_as_a_store(trained: gantune.Run) -> None:
    """pyarrow's own: the code is the same for every store that it knows."""
    run = gantune.load(f"file://{trained.root}")
    pd.testing.assert_frame_equal(run.epochs, trained.epochs)
    assert run.best().checkpoint.read_bytes() == trained.best().checkpoint.read_bytes()


def test_google_cloud_storage(
    trained: gantune.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bucket that anyone may read."""
    for name, value in store_keys(tmp_path).items():
        monkeypatch.setenv(name, value)
    server = GcsServer()
    try:
        server.put(trained.root, "runs/tiny")
        uri = server.uri("runs/tiny").replace("//", "//anonymous@", 1)
        run = gantune.load(uri)
        assert run.place == "gs://bucket/runs/tiny"
        for table in ("trials", "epochs", "steps"):
            pd.testing.assert_frame_equal(getattr(run, table), getattr(trained, table))
        assert run.best().checkpoint.read_bytes() == trained.best().checkpoint.read_bytes()
        with pytest.raises(gantune.UsageError, match="gs://bucket/runs/none is no run"):
            gantune.load(uri.replace("tiny", "none"))
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("s3://b/x", True),
        ("gs://b/x", True),
        ("runs/x", False),
        ("/a:b//c", False),
        ("C:/x", False),
    ],
)
def test_what_is_remote(path: str, known: bool) -> None:
    assert is_remote(path) is known and is_remote(Path(path)) is False


@pytest.mark.slow
def test_commands_take_a_uri(store: Store, trained: gantune.Run, tmp_path: Path) -> None:
    uri = store.put(trained.root, "cli")
    shown = CliRunner().invoke(app, ["show", uri])
    assert shown.exit_code == 0, shown.output
    assert (
        "cli: finished" in shown.output and 'gantune.load("s3://bucket/runs/cli")' in shown.output
    )
    compared = CliRunner().invoke(app, ["compare", uri, str(trained.root)])
    assert compared.exit_code == 0 and "their studies do not differ" in compared.output
    out = tmp_path / "exported"
    exported = CliRunner().invoke(app, ["export", uri, "--out", str(out)])
    assert exported.exit_code == 0 and (out / "config.json").exists()
    messages = {
        "resume": "is no run that gantune keeps in a store",  # it was copied there
        "stop": "not changed from here",
        "prune": "not changed from here",
    }
    for command, message in messages.items():
        refused = CliRunner().invoke(app, [command, uri])
        assert isinstance(refused.exception, gantune.UsageError)
        assert message in str(refused.exception)
