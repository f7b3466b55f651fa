"""A run keeps to its directory; what is too large or too deep ends in a message at once."""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import make_study
from optuna.samplers import RandomSampler
from optuna.storages.journal import JournalFileSymlinkLock
from test_cli import TINY, call
from typer.testing import CliRunner

import gantune
from gantune.api import Silent
from gantune.checkpoints import read_checkpoint
from gantune.cli import app
from gantune.disk import prune
from gantune.errors import GantuneError, UsageError
from gantune.export import write_export
from gantune.loader import load_study, open_study
from gantune.lock import hold_lock
from gantune.paths import RunPaths, refuse_links
from gantune.remote import uri_of
from gantune.report.optuna_plots import optuna_plots
from gantune.storage import read_json
from gantune.tuning.conductor import Conductor
from gantune.tuning.journal import open_journal
from gantune.tuning.prior import read_prior


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = make_study(checkpoint={"keep_top": 1})
    return gantune.train(study, tmp_path_factory.mktemp("runs") / "run").root


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Somebody's files, with names that a run's have."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for name in ("letter.txt", "001-000001.safetensors", "meta-001.json", "epoch-00001.png"):
        (folder / name).write_text("mine")
    return folder


def linked(place: Path, target: Path) -> None:
    """Puts a link in the place of a file or folder."""
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)


FOLDERS = [
    "trials",
    "trials/00000",
    "trials/00000/best",
    "trials/00000/last",
    "trials/00000/samples",
    "epochs",
    "steps",
    "control",
    "tune",
    "tensorboard",
]
FILES = [
    "study.yaml",
    "run.json",
    "lock",
    "optuna.journal",
    "control/stop-all",
    "tune/session-001",
    "epochs/000001.arrow",
    "trials/00000/error.txt",
    "trials/00000/best/meta-001.json",
    "trials/00000/samples/epoch-00001.png",
    "tensorboard/00000",
    "tensorboard/00000/events",
]


@pytest.mark.parametrize("place", FOLDERS)
def test_prune_removes_nothing_outside(root: Path, elsewhere: Path, place: str) -> None:
    paths, study = RunPaths(root), open_study(root / "study.yaml")
    linked(root / place, elsewhere)
    with pytest.raises(UsageError, match=f"{place} is a symbolic link to {elsewhere}"):
        prune(paths, study, 1, keep_last=False)
    assert len(list(elsewhere.iterdir())) == 4


@pytest.mark.parametrize("place", FILES)
def test_a_linked_file_is_refused(root: Path, elsewhere: Path, place: str) -> None:
    """Opening the lock empties it; opening the journal cuts it."""
    linked(root / place, elsewhere / "letter.txt")
    with pytest.raises(UsageError, match="is a symbolic link"):
        refuse_links(RunPaths(root))


@pytest.mark.slow
@pytest.mark.parametrize("place", ["control", "lock", "trials/00000/last"])
def test_resume_touches_nothing_outside(root: Path, elsewhere: Path, place: str) -> None:
    is_file = place == "lock"
    linked(root / place, elsewhere / "letter.txt" if is_file else elsewhere)
    done = call("resume", root, "--trials", "+1", cwd=root.parent)
    assert done.returncode == 2 and "symbolic link" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert {path.read_text() for path in elsewhere.iterdir()} == {"mine"}


@pytest.mark.parametrize("words", [["stop"], ["evaluate"], ["resume", "--concurrency", "1"]])
def test_commands_beside_a_running_study_write_nothing_outside(
    root: Path, elsewhere: Path, words: list[str]
) -> None:
    linked(root / "control", elsewhere)
    with hold_lock(root / "lock"):
        done = CliRunner().invoke(app, [*words, str(root)])
    with pytest.raises(UsageError, match="control is a symbolic link"):
        raise done.exception or AssertionError(done.output)
    assert len(list(elsewhere.iterdir())) == 4


@pytest.mark.parametrize("place", ["trials", "trials/00000", "trials/00000/best"])
def test_export_reads_nothing_outside(root: Path, tmp_path: Path, place: str) -> None:
    """Not even another run's weights, which would do."""
    other = Path(shutil.copytree(root, tmp_path / "other"))
    linked(root / place, other / place)
    run = gantune.load(root)
    with pytest.raises(UsageError, match="is a symbolic link"):
        write_export(run, run.best(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_linked_checkpoint_is_refused(root: Path, tmp_path: Path) -> None:
    (weights,) = RunPaths(root).best(0).glob("*.safetensors")
    weights.rename(tmp_path / "weights")
    weights.symlink_to(tmp_path / "weights")
    with pytest.raises(UsageError, match="is a symbolic link"):
        gantune.load(root).best()


def test_a_checkpoint_names_no_file_outside_its_folder(root: Path) -> None:
    folder = RunPaths(root).best(0)
    (meta,), (weights,) = folder.glob("meta-*.json"), folder.glob("*.safetensors")
    weights.rename(folder.parent / weights.name)
    meta.write_text(meta.read_text().replace(weights.name, f"../{weights.name}"))
    assert read_checkpoint(folder) is None


def test_a_run_may_be_reached_by_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    refuse_links(RunPaths(tmp_path / "link"))
    assert gantune.load(tmp_path / "link").best().objective > 0


def quick(use: Callable[[], object], match: str) -> None:
    began = time.perf_counter()
    with pytest.raises(GantuneError, match=match):
        use()
    assert time.perf_counter() - began < 1


def large(path: Path) -> None:
    """100 MB without as much of the disk."""
    with open(path, "wb") as file:
        file.write(b"name: a\n")
        file.truncate(100_000_000)


BOMB = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "aliases"),
        ("[" * 2000, "nested deeper"),
        ("a: " + "[" * 2000 + "]" * 2000, "nested deeper"),
        ("a: " + "{b: " * 2000, "nested deeper"),
        ("- " * 2000 + "x", "nested deeper"),
        ("name: a\nsearch: [" + "1," * 400_000 + "]", "more than 20,000 values"),
        ("name: '" + "a b " * 240_000 + "'", "name"),
        ("# c\n" * 240_000, "empty"),
        ("name: " + "9" * 900_000, "name"),
        ("name: 0x" + "9" * 900_000, "name"),
    ],
)
def test_bombs_end_in_a_message_in_a_second(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    quick(lambda: load_study(path), message)


def test_a_study_of_100_mb(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    large(path)
    quick(lambda: load_study(path), "larger than 1,000,000 bytes")
    path.unlink()
    path.symlink_to("/dev/zero")
    quick(lambda: load_study(path), "larger than 1,000,000 bytes")


def test_an_extension_of_100_mb(tmp_path: Path) -> None:
    large(tmp_path / "x.py")
    (tmp_path / "study.yaml").write_text("name: a\nextensions: [x.py]\n")
    quick(lambda: load_study(tmp_path / "study.yaml"), r"x\.py is larger than")


def test_large_and_deep_files_of_a_run(root: Path) -> None:
    info = root / "run.json"
    info.write_text('{"sessions": ' + "[" * 100_000)
    quick(lambda: gantune.load(root), r"run\.json is damaged")
    large(info)
    quick(lambda: gantune.load(root), r"run\.json is damaged")
    large(root / "study.yaml")
    quick(lambda: gantune.load(root), "larger than")
    os.mkfifo(root / "pipe")
    quick(lambda: read_json(root / "pipe"), "no plain file")


def test_large_files_that_are_json(root: Path, tmp_path: Path) -> None:
    """100 MB that could be parsed, to 33 million lists."""
    hostile, paths = tmp_path / "hostile", RunPaths(root)
    hostile.write_text('{"sessions": [' + "[]," * 33_000_000 + "[]]}")
    (meta,) = paths.best(0).glob("meta-*.json")
    uses: dict[Path, tuple[Callable[[], object], str]] = {
        meta: (lambda: gantune.load(root).best(), "no whole checkpoint"),
        paths.storage: (lambda: uri_of(paths.storage), r"storage\.json is damaged: it is larger"),
        paths.warm_start: (lambda: read_prior(paths), r"warm_start\.json is damaged: it is larger"),
        paths.info: (lambda: gantune.load(root), r"run\.json is damaged: it is larger than"),
    }
    for path, (use, message) in uses.items():
        path.unlink(missing_ok=True)
        os.link(hostile, path)
        quick(use, message)


def test_a_journal_of_more_than_its_trials_can_tell(root: Path) -> None:
    """100 MB of lines that Optuna would read, one after the other; and a pipe."""
    paths, study = RunPaths(root), open_study(root / "study.yaml")
    line = {"op_code": 7, "worker_id": "a", "trial_id": 0, "step": 1, "intermediate_value": 1.0}
    first = {"op_code": 0, "worker_id": "a", "study_name": study.name, "directions": [1]}
    paths.journal.write_text(f"{json.dumps(first)}\n" + f"{json.dumps(line)}\n" * 1_200_000)
    assert paths.journal.stat().st_size > 100_000_000
    message = r"optuna\.journal is damaged: it has 10\d,.* bytes, and 1 trials with 4 records"
    quick(lambda: Conductor(paths, study, Silent()), message)
    run = gantune.load(root)
    began = time.perf_counter()
    assert optuna_plots(run, []) == []
    assert time.perf_counter() - began < 1
    paths.journal.unlink()
    os.mkfifo(paths.journal)
    quick(lambda: Conductor(paths, study, Silent()), r"optuna\.journal is damaged: it is no plain")


@pytest.mark.parametrize("name", ["../x", "..", "/x", "a/b", "", "a\n", "-x", ".x", "x" * 101])
def test_run_names_stay_in_the_runs_directory(tmp_path: Path, name: str) -> None:
    from gantune.paths import run_paths

    with pytest.raises(UsageError, match="is no run name"):
        run_paths(tmp_path, name)
    (tmp_path / "s.yaml").write_text(f"name: {name!r}\n")
    with pytest.raises(GantuneError, match="name"):
        load_study(tmp_path / "s.yaml")


def test_a_dangling_table_is_passed_over(root: Path) -> None:
    """It does not come again by being listed again."""
    (root / "epochs" / "000009.arrow").symlink_to("nowhere")
    assert len(gantune.load(root).epochs) == 4


def test_the_commands_say_so(tmp_path: Path) -> None:
    large(tmp_path / "study.yaml")
    done = call("check", "study.yaml", cwd=tmp_path)
    assert done.returncode == 2 and "larger than" in done.stderr
    (tmp_path / "tiny.yaml").write_text(TINY)
    done = call("run", "tiny.yaml", "--name", "../x", cwd=tmp_path)
    assert done.returncode == 2 and "is no run name" in done.stderr


def test_the_lock_that_a_killed_optuna_leaves_is_no_link_out(root: Path, elsewhere: Path) -> None:
    """It is a link, and a driver that dies while it writes to the journal leaves it behind."""
    paths = RunPaths(root)
    JournalFileSymlinkLock(str(paths.journal)).acquire()
    assert paths.journal_lock.is_symlink()
    refuse_links(paths)
    # One that somebody has planted is removed, and what it leads to is not touched.
    linked(paths.journal_lock, elsewhere / "letter.txt")
    refuse_links(paths)
    open_journal(paths.journal, "tiny", ["minimize"], RandomSampler())
    assert not paths.journal_lock.is_symlink()
    assert (elsewhere / "letter.txt").read_text() == "mine"
