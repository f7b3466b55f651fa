"""A run keeps to its directory, whatever links are planted in it."""

import shutil
from pathlib import Path

import pytest
from conftest import make_study
from made import make_run
from optuna.samplers import RandomSampler
from optuna.storages.journal import JournalFileSymlinkLock
from test_cli import TINY, call
from typer.testing import CliRunner

import gantune
from gantune.checkpoints import read_checkpoint
from gantune.cli import app
from gantune.disk import prune
from gantune.errors import GantuneError, UsageError
from gantune.export import write_export
from gantune.loader import load_study, open_study
from gantune.lock import hold_lock
from gantune.paths import RunPaths, refuse_links
from gantune.report.write import write_report
from gantune.tuning.journal import open_journal
from gantune.tuning.warm import warm_start


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
    with pytest.raises(UsageError, match="is a symbolic link"):
        run = gantune.load(root)
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


OPENED = [
    "study.yaml",
    "run.json",
    "optuna.journal",
    "samples_real.png",
    "trials",
    "trials/00000",
    "trials/000001.arrow",
    "epochs",
    "epochs/000001.arrow",
    "steps",
]


@pytest.mark.parametrize("place", OPENED)
def test_what_looks_at_a_run_looks_at_nothing_outside(
    root: Path, tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even at another run's, which would do."""
    other = Path(shutil.copytree(root, tmp_path / "other"))
    (other / "optuna.journal").touch()
    linked(root / place, other / place)
    monkeypatch.chdir(tmp_path)
    message = f"run/{place} is a symbolic link to {other / place}"
    for command in ("show run", "show run 0", "report run", "compare run other", "dashboard run"):
        done = CliRunner().invoke(app, [*command.split(), "--runs-dir", "."])
        with pytest.raises(UsageError, match=message):
            raise done.exception or AssertionError(command, done.output)
    with pytest.raises(UsageError, match=message):
        warm_start(make_study(), root)
    assert not (tmp_path / "reports").exists()


def test_a_list_of_runs_names_the_one_from_which_a_link_leads_out(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gantune.commands.PIPE_WIDTH", 1000)
    shutil.copytree(root, tmp_path / "other")
    (tmp_path / "key.json").write_text('{"status": "my secret"}')
    linked(root / "run.json", tmp_path / "key.json")
    done = CliRunner().invoke(app, ["list", "--runs-dir", str(tmp_path)])
    assert done.exit_code == 0, done.exception
    _, other, run = done.output.splitlines()
    assert "finished" in other and "unreadable" in run and "is a symbolic link" in run
    assert "my secret" not in done.output


@pytest.mark.parametrize(
    "place", ["trials/00000", "trials/00000/samples", "trials/00000/samples/epoch-00001.png"]
)
def test_a_report_publishes_no_pictures_from_outside(tmp_path: Path, place: str) -> None:
    root = make_run(tmp_path / "run", trials=1, pictures=1)
    other = make_run(tmp_path / "other", trials=1, pictures=1)
    run = gantune.load(root)
    linked(root / place, other / place)
    for runs in ([run], [run, gantune.load(other)]):
        with pytest.raises(UsageError, match=f"{place} is a symbolic link"):
            write_report(runs, tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_tensorboard_is_shown_nothing_outside(
    root: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gantune.views.find_spec", bool)
    monkeypatch.setattr("os.execv", lambda *words: pytest.fail("a server was started"))
    linked(root / "tensorboard" / "00000", elsewhere)
    done = CliRunner().invoke(app, ["dashboard", str(root), "--tensorboard"])
    assert "is a symbolic link" in str(done.exception)


def test_runs_may_be_reached_by_a_link(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those that are kept on another disk are."""
    (tmp_path / "disk").mkdir()
    root.rename(tmp_path / "disk" / "run")
    (tmp_path / "runs").symlink_to("disk")
    monkeypatch.chdir(tmp_path)
    assert "finished" in CliRunner().invoke(app, ["list"]).output
    for command in ("show run", "show run 0", "report run", "prune run"):
        done = CliRunner().invoke(app, command.split())
        assert done.exit_code == 0, done.exception


def test_a_folder_that_cannot_be_listed_is_named(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(folder: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.scandir", refused)
    with pytest.raises(UsageError, match=f"{root} cannot be listed: Permission denied"):
        gantune.load(root)


def test_a_run_may_be_reached_by_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    refuse_links(RunPaths(tmp_path / "link"))
    assert gantune.load(tmp_path / "link").best().objective > 0


@pytest.mark.parametrize("name", ["../x", "..", "/x", "a/b", "", "a\n", "-x", ".x", "x" * 101])
def test_run_names_stay_in_the_runs_directory(tmp_path: Path, name: str) -> None:
    from gantune.paths import run_paths

    with pytest.raises(UsageError, match="is no run name"):
        run_paths(tmp_path, name)
    (tmp_path / "s.yaml").write_text(f"name: {name!r}\n")
    with pytest.raises(GantuneError, match="name"):
        load_study(tmp_path / "s.yaml")


def test_a_table_that_is_a_folder_is_passed_over(root: Path) -> None:
    """It does not come again by being listed again."""
    (root / "epochs" / "000009.arrow").mkdir()
    assert len(gantune.load(root).epochs) == 4


@pytest.mark.slow
def test_the_command_says_so(tmp_path: Path) -> None:
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
