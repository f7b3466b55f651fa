"""A run that was received says itself where it is kept: no other place is written to for it."""

import random
import shutil
from pathlib import Path

import pytest
from conftest import make_study
from s3_server import S3Server
from store_keys import S3_KEYS
from test_bombs import quick
from test_replay import study
from test_store import Losses, last_machine, run_through_losses
from typer.testing import CliRunner, Result

import gantune
from gantune import patience, remote
from gantune.cli import app
from gantune.disk import prune
from gantune.errors import RunError, UsageError
from gantune.loader import open_study
from gantune.lock import hold_lock
from gantune.paths import RunPaths
from gantune.remote import Remote
from gantune.storage import cache_dir, read_json, write_json
from gantune.tuning.lifecycle import create_run
from gantune.tuning.store import (
    check_store,
    choose_store,
    mirrored,
    send_rest,
    storage_uri,
    take_up,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    finished = make_study(budget={"trials": 1}, checkpoint={"keep_top": 1})
    return gantune.train(finished, tmp_path_factory.mktemp("runs") / "tiny").root


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    """A finished run that says that a store keeps it, which has nothing of it yet."""
    root = Path(shutil.copytree(whole, tmp_path / "runs" / "tiny"))
    choose_store(RunPaths(root), storage_uri(str(tmp_path / "store"), "tiny"))
    return root


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store" / "tiny"


def resume(root: Path) -> Result:
    return CliRunner().invoke(app, ["resume", str(root)])


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_what_a_finished_run_has_is_sent(root: Path, store: Path) -> None:
    done = resume(root)
    assert done.exit_code == 0, done.exception
    sent = set(contents(store))
    assert {"mark.json", "study.yaml"} < sent and any("safetensors" in name for name in sent)


@pytest.mark.parametrize(
    "place",
    [
        "lock",
        "trials/00000/error.txt",
        "trials/00000/best",
        "tensorboard/x/y",
        "tensorboard/00000/x/y",
    ],
)
def test_sending_it_follows_no_link(root: Path, store: Path, tmp_path: Path, place: str) -> None:
    elsewhere, linked = tmp_path / "elsewhere", root / place
    elsewhere.mkdir()
    (elsewhere / "letter").write_text("mine")
    is_folder = linked.is_dir()
    if is_folder:
        shutil.rmtree(linked)
    linked.parent.mkdir(parents=True, exist_ok=True)
    linked.unlink(missing_ok=True)
    linked.symlink_to(elsewhere if is_folder else elsewhere / "letter")
    assert "is a symbolic link" in str(resume(root).exception)
    assert (elsewhere / "letter").read_text() == "mine"
    assert not store.exists()


def plant(store: Path, whole: Path, what: str) -> None:
    """Puts something into the place of a store that is no store of the run."""
    if what == "files":
        (store / "papers").mkdir(parents=True)
        (store / "papers" / "letter").write_text("mine")
        (store / "study.yaml").write_text("mine")
        return
    shutil.copytree(whole, store)
    paths = RunPaths(store)
    if what == "run kept elsewhere":
        choose_store(paths, storage_uri(str(store.parent), "other"))
    if what == "store":
        choose_store(RunPaths(store), f"file://{store}")
        assert send_rest(store)
    if what == "damaged":
        paths.storage.write_text("[" * 10_000)


PLANTED = ["files", "run", "run kept elsewhere", "store", "damaged"]


@pytest.mark.parametrize("what", PLANTED)
def test_nothing_is_written_over_or_removed_in_another_place(
    root: Path, store: Path, whole: Path, what: str
) -> None:
    plant(store, whole, what)
    here, there = contents(root), contents(store)
    refused = resume(root)
    assert isinstance(refused.exception, UsageError), refused.exception
    with pytest.raises(UsageError, match=r"storage\.json|is ahead of"):
        prune(RunPaths(root), open_study(root / "study.yaml"), 1, keep_last=False)
    assert contents(store) == there
    assert contents(root) == here


def test_a_new_run_is_not_begun_in_such_a_place(store: Path, whole: Path) -> None:
    plant(store, whole, "run")
    there = contents(store)
    with pytest.raises(UsageError, match="--name"):
        check_store(f"file://{store}")
    assert contents(store) == there


def test_a_run_without_its_storage_json_stays_here(root: Path, store: Path, whole: Path) -> None:
    """As the message says."""
    plant(store, whole, "files")
    RunPaths(root).storage.unlink()
    assert resume(root).exit_code == 0


@pytest.mark.parametrize("is_lost", [False, True])
@pytest.mark.parametrize("sent", range(5))
def test_a_run_that_was_lost_before_its_first_mark(
    root: Path, store: Path, sent: int, is_lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on where it is; where its machine is lost, too, it is begun again."""
    left, send = [sent], Remote._send

    def dies(self: Remote, path: Path, data: bytes) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError("planted: nothing arrives")
        send(self, path, data)

    monkeypatch.setattr(patience, "PATIENCE_S", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(Remote, "_send", dies)
        with pytest.raises(RunError, match="planted"):
            send_rest(root)
    store.mkdir(parents=True, exist_ok=True)
    (store / ".run.json.17.tmp").write_text("{")  # in the middle of a write
    if is_lost:
        uri = str(read_json(RunPaths(root).storage)["uri"])
        shutil.rmtree(root)
        check_store(uri)
        create_run(RunPaths(root), study(), storage=uri)
        with hold_lock(root / "lock"), mirrored(RunPaths(root)):
            pass
    else:
        assert send_rest(root)
    assert "mark.json" in contents(store)


def test_prune_leaves_a_run_that_has_gone_on_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    plan, losses = study(), Losses(random.Random(0), average=1e9)
    with losses.happening():
        run_through_losses(tmp_path / "runs", plan, losses)
        there = take_up(storage_uri(str(tmp_path / "runs/store"), "tiny"), tmp_path, trust=False)
        with mirrored(RunPaths(there)):
            pass
    before = contents(tmp_path / "runs")
    with pytest.raises(UsageError, match="is ahead of"):
        prune(RunPaths(last_machine(tmp_path / "runs") / "tiny"), plan, 1, keep_last=False)
    assert contents(tmp_path / "runs") == before


def test_a_store_does_not_send_a_run_elsewhere(root: Path, store: Path, tmp_path: Path) -> None:
    """What it says of itself is not where the run goes on."""
    assert send_rest(root)
    kept = read_json(store / "storage.json")
    write_json(store / "storage.json", {**kept, "uri": storage_uri(str(tmp_path / "x"), "tiny")})
    with pytest.raises(UsageError, match=r"storage\.json names another store"):
        take_up(f"file://{store}", tmp_path / "there", trust=False)
    assert not list((tmp_path / "there").glob("*"))


@pytest.mark.slow
def test_a_bucket_is_told_from_its_own_as_a_folder_is(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in S3_KEYS.items():
        monkeypatch.setenv(name, value)
    server = S3Server()
    server.system.create_dir("bucket/mine")
    with server.system.open_output_stream("bucket/mine/tiny/papers/letter") as file:
        file.write(b"mine")
    choose_store(RunPaths(root), server.uri("mine/tiny"))
    with pytest.raises(UsageError, match="holds other files"):
        send_rest(root)
    assert server.names("mine/tiny") == {"papers/letter"}
    choose_store(RunPaths(root), server.uri("own/tiny"))
    assert send_rest(root)
    server.system.delete_file("bucket/own/tiny/mark.json")  # as of a session lost before it
    assert send_rest(root) and "mark.json" in server.names("own/tiny")
    server.stop()


@pytest.mark.parametrize("name", ["mark.json", "storage.json"])
def test_100_mb_in_the_place_of_a_mark(root: Path, store: Path, tmp_path: Path, name: str) -> None:
    assert send_rest(root)
    if name == "storage.json":
        (store / "mark.json").unlink()
    with open(store / name, "wb") as file:
        file.truncate(100_000_000)
    quick(lambda: send_rest(root), f"{name} is damaged: it is larger than")
    quick(lambda: check_store(f"file://{store}"), "is larger than")


@pytest.mark.parametrize("name", ["study.yaml", "run.json", "trials/00000/best/meta-001.json"])
def test_100_mb_in_the_place_of_what_is_parsed_as_a_whole(
    root: Path, store: Path, tmp_path: Path, name: str
) -> None:
    """It is not even brought here: whoever can write to a bucket would fill memory and disk."""
    assert send_rest(root)
    with open(store / name, "wb") as file:
        file.truncate(100_000_000)
    uri, message = f"file://{store}", f"{Path(name).name} is damaged: it is larger than 50,000,000"
    quick(lambda: take_up(uri, tmp_path / "there", trust=False), message)
    quick(lambda: gantune.load(uri).best(), message)
    assert not list((tmp_path / "there").glob("*"))
    assert not any(path.stat().st_size > 10**8 - 1 for path in cache_dir().rglob(Path(name).name))


def test_what_is_of_any_size_comes_in_parts(
    root: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "CHUNK", 7)
    assert send_rest(root)
    there = take_up(f"file://{store}", tmp_path / "there", trust=False)
    (weights,) = RunPaths(root).best(0).glob("*.safetensors")
    assert (there / weights.relative_to(root)).read_bytes() == weights.read_bytes()


def test_a_workers_notes_that_no_worker_writes_end_the_session(root: Path, store: Path) -> None:
    """Tune would take another error for the trial's, and try it again."""
    paths, name = RunPaths(root), "trials/00000/best/meta-001.json"
    assert send_rest(root)
    with hold_lock(paths.lock), mirrored(paths) as mirror:
        with open(store / name, "wb") as file:
            file.truncate(100_000_000)
        with pytest.raises(OSError, match=r"meta-001\.json is damaged: it is larger than"):
            mirror.bring(0)
