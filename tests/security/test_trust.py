"""The one thing in a run that is code is its extensions: who runs them, and whose."""

import os
import re
import shutil
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest
from test_cli import TINY
from typer.testing import CliRunner

import gantune
from gantune.api import silent
from gantune.cli import app
from gantune.errors import UsageError
from gantune.extensions import MAX_BYTES, read_extension
from gantune.jobs import pack
from gantune.loader import load_run_study, load_study
from gantune.lock import hold_lock
from gantune.parts.foreign import EXTRA_METRICS, EXTRAS
from gantune.paths import RunPaths
from gantune.report.dashboard import copied_journal
from gantune.tuning.runner import resume_run

SPACES = Path(__file__).parent.parent.parent / "search_spaces"
SHORT = ["train.epochs=2", "train.steps_per_epoch=3", "train.batch_size=8", "eval.samples=50"]
SOMEBODY = 54321

as_root = pytest.mark.usefixtures("_can_give_files_away")


@pytest.fixture
def _can_give_files_away() -> None:
    """Skips a test where that is forbidden; in CI it fails."""
    if os.geteuid() != 0:
        message = "only root can give a file away"
        assert not os.environ.get("CI"), message
        pytest.skip(message)


def marking(folder: Path) -> Path:
    """A study whose extension leaves a mark when it is run."""
    extension = folder / "ext" / "mine.py"
    extension.parent.mkdir(parents=True)
    text = (SPACES / "extensions" / "fourier.py").read_text()
    extension.write_text(
        f"{text}\nimport pathlib\npathlib.Path({str(folder / 'mark')!r}).touch()\n"
    )
    study = folder / "study.yaml"
    shipped = (SPACES / "user_extension.yaml").read_text()
    study.write_text(shipped.replace("extensions/fourier.py", "ext/mine.py"))
    return study


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return marking(tmp_path)


def forget() -> None:
    """As in a process that has just begun."""
    for extras in EXTRAS.values():
        extras.clear()
    EXTRA_METRICS.clear()


@as_root
@pytest.mark.parametrize("what", [".", "study.yaml", "ext", "ext/mine.py"])
def test_extensions_of_another_user_are_refused(study: Path, what: str) -> None:
    """A folder's owner can put another file in the place of one that is not his."""
    os.chown(study.parent / what, SOMEBODY, -1)
    with pytest.raises(UsageError, match=rf"owned by uid {SOMEBODY}; .* --trust"):
        load_study(study)
    assert not (study.parent / "mark").exists()
    load_study(study, trust=True)
    assert (study.parent / "mark").exists()


@as_root
def test_a_link_to_another_users_file_is_that_users(study: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, SOMEBODY, -1)
    code = study.parent / "ext" / "mine.py"
    code.rename(theirs / "mine.py")
    code.symlink_to(theirs / "mine.py")
    with pytest.raises(UsageError, match=f"{theirs} is owned by uid {SOMEBODY}"):
        load_study(study)
    assert not (study.parent / "mark").exists()


@as_root
def test_every_folder_on_the_way_is_asked(tmp_path: Path) -> None:
    """Also on the ways of links: from any of them on another way can be laid."""
    study = marking(tmp_path / "a" / "b")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (tmp_path / "link").symlink_to(theirs / "link")
    (theirs / "link").symlink_to("../a")
    load = partial(load_study, tmp_path / "link" / "b" / "study.yaml")
    for folder in (theirs, tmp_path / "a", tmp_path):
        os.chown(folder, SOMEBODY, -1)
        with pytest.raises(UsageError, match=f"/{folder.name} is owned by uid {SOMEBODY}"):
            load()
        os.chown(folder, os.geteuid(), -1)
    assert not (study.parent / "mark").exists()
    tmp_path.chmod(0o1777)  # as /tmp
    load()
    assert (study.parent / "mark").exists()


def test_links_in_a_circle_are_a_message(study: Path) -> None:
    code = study.parent / "ext" / "mine.py"
    code.unlink()
    code.symlink_to("../ext/mine.py")
    with pytest.raises(UsageError, match="cannot be read"):
        load_study(study)


@as_root
@pytest.mark.parametrize("what", [".", "study.yaml", "ext", "ext/mine.py"])
def test_extensions_of_another_user_are_not_sent_to_a_cluster(
    study: Path, tmp_path: Path, what: str
) -> None:
    """There the copies would be those of who has sent them."""
    os.chown(study.parent / what, SOMEBODY, -1)
    with pytest.raises(UsageError, match=rf"owned by uid {SOMEBODY}; .* --trust"):
        pack(study, tmp_path / "upload")
    assert not (tmp_path / "upload").exists()
    pack(study, tmp_path / "upload", trust=True)
    assert (tmp_path / "upload" / "ext" / "mine.py").is_file()
    words = ["submit", str(study), "--address", "http://127.0.0.1:9", "--runs-dir", "/runs"]
    for trust, message in ([], "--trust"), (["--trust"], "127.0.0.1:9"):
        assert message in str(CliRunner().invoke(app, [*words, *trust]).exception)


@as_root
def test_a_study_without_extensions_is_anybodys(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("name: a\n")
    os.chown(path, SOMEBODY, -1)
    assert load_study(path).name == "a"
    assert pack(path, tmp_path / "upload").name == "a"


def trained(study: Path, root: Path) -> Path:
    """A run whose extension leaves its mark again: the same text is run once per process."""
    gantune.train(load_study(study, SHORT), root)
    forget()
    (study.parent / "mark").unlink()
    kept = root / "study.yaml"
    kept.write_text(kept.read_text().replace(".touch()", ".touch( )"))
    return root


@as_root
def test_a_run_of_another_user_runs_nothing_unless_trusted(study: Path, tmp_path: Path) -> None:
    root = trained(study, tmp_path / "run")
    os.chown(root, SOMEBODY, -1)
    run = gantune.load(root)
    for use in (
        lambda: load_run_study(root / "study.yaml"),
        lambda: gantune.trial_as_study(run, 0),
        lambda: run.best().generator(),
        lambda: resume_run(root, silent),
    ):
        with pytest.raises(UsageError, match="--trust"):
            use()
    assert not (study.parent / "mark").exists()
    samples = run.best().generator(trust=True).sample(3)
    assert samples.shape[0] == 3 and (study.parent / "mark").exists()


def test_a_run_of_a_store_runs_nothing_unless_trusted(study: Path, tmp_path: Path) -> None:
    """Its files here are one's own: copies, of what whoever can write to it has put there."""
    root = trained(study, tmp_path / "run")
    run, runs_dir = gantune.load(f"file://{root}"), str(tmp_path / "again")
    words = ["train", f"file://{root}", "--trial", "best", "--runs-dir", runs_dir]
    match = "whoever can write to the store has put there.* --trust"
    with pytest.raises(UsageError, match=match):
        run.best().generator()
    with pytest.raises(UsageError, match=match):
        gantune.trial_as_study(run, 0)
    assert re.search(match, str(CliRunner().invoke(app, words).exception))
    assert not (study.parent / "mark").exists()
    assert run.best().generator(trust=True).sample(3).shape[0] == 3
    assert (study.parent / "mark").exists()
    assert CliRunner().invoke(app, [*words, "--trust"]).exit_code == 0


@as_root
@pytest.mark.parametrize("command", ["check", "train", "run"])
def test_commands_run_nothing_of_another_user_unless_told(
    study: Path, tmp_path: Path, command: str
) -> None:
    os.chown(study, SOMEBODY, -1)
    where = [] if command == "check" else ["--runs-dir", str(tmp_path / "runs")]
    refused = CliRunner().invoke(app, [command, str(study), *where])
    assert isinstance(refused.exception, UsageError) and "--trust" in str(refused.exception)
    assert not (study.parent / "mark").exists()
    assert CliRunner().invoke(app, ["check", str(study), "--trust"]).exit_code == 0
    assert (study.parent / "mark").exists()


@as_root
@pytest.mark.slow
@pytest.mark.usefixtures("standing_ray")
def test_told_to_trust_a_study_runs_and_goes_on(study: Path, tmp_path: Path) -> None:
    """Its workers run the extension, too: no trial would end without it."""
    root, mark = tmp_path / "runs" / "theirs", study.parent / "mark"
    sets = [word for text in SHORT for word in ("--set", text)]
    words = [str(study), *sets, "--name", root.name, "--runs-dir", str(root.parent)]
    os.chown(study, SOMEBODY, -1)
    run, resume = ["run", *words, "--trials", "1"], ["resume", str(root), "--trials", "+1"]
    for command in (run, resume):
        forget()
        mark.unlink(missing_ok=True)
        refused = CliRunner().invoke(app, [*command, "--no-report"])
        assert "--trust" in str(refused.exception) and not mark.exists()
        done = CliRunner().invoke(app, [*command, "--no-report", "--trust"])
        assert done.exit_code == 0 and mark.exists(), done.exception
        os.chown(root, SOMEBODY, -1)
    assert gantune.load(root).trials["status"].tolist() == ["completed"] * 2


METRIC = """
from gantune import extend

@extend.metric("half", goal="maximize")
def half(samples):
    return 0.5
"""

OPENING = {
    "list": [],
    "show": ["run"],
    "show 0": ["run", "0"],
    "show --follow": ["run", "--follow"],
    "stop": ["run"],
    "stop --trial": ["run", "--trial", "0"],
    "run --warm-start": ["plain.yaml", "--warm-start", "run"],
    "report": ["run", "--out", "page"],
    "compare": ["run", "other"],
    "prune": ["run"],
    "export": ["run", "--out", "exported"],
    "export --study": ["run", "--study", "trial.yaml"],
    "sample": ["run", "--out", "a.png"],
    "evaluate": ["run", "--samples", "50"],
}
"""What looks at a run."""

REFUSED = {
    "stop --trial": "trial 0 is not running",
    "run --warm-start": "no warm start from runs/run",
    "export --study": "extension",
}
"""Which of them have read it by then."""


@pytest.mark.parametrize("adds", ["metric", "generator"])
def test_what_looks_at_a_run_runs_nothing_of_it(
    study: Path, tmp_path: Path, adds: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if adds == "metric":
        code = study.parent / "ext" / "mine.py"
        code.write_text(METRIC + "\n".join(code.read_text().splitlines()[-2:]))
        study.write_text(f"{TINY}extensions: [ext/mine.py]\n")
    root = gantune.train(load_study(study, SHORT), tmp_path / "runs" / "run").root
    forget()
    (study.parent / "mark").unlink()
    kept = root / "study.yaml"
    kept.write_text(kept.read_text().replace(".touch()", ".touch( )"))
    shutil.copytree(root, tmp_path / "runs" / "other")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain.yaml").write_text(TINY)
    for command, words in OPENING.items():
        # Nobody stops what nobody drives.
        lock = hold_lock(RunPaths(root).lock) if "stop" in command else nullcontext()
        with lock:
            done = CliRunner().invoke(app, [command.split()[0], *words])
        needs_it = adds == "generator" and command in ("export", "sample", "evaluate")
        if needs_it or command in REFUSED:
            assert isinstance(done.exception, UsageError), (command, done.exception)
            assert REFUSED.get(command, "extension") in str(done.exception), command
        else:
            assert done.exit_code == 0, (command, done.exception)
    copied_journal(gantune.load(root), tmp_path)
    assert gantune.load(f"file://{root}").best().objective
    assert not (study.parent / "mark").exists()
    load_run_study(kept)
    assert (study.parent / "mark").exists()


def test_the_best_generator_of_an_extension_needs_no_study(study: Path, tmp_path: Path) -> None:
    run = gantune.train(load_study(study, SHORT), tmp_path / "run")
    before = run.best().generator().sample(3)
    forget()
    again = gantune.load(run.root)
    with pytest.raises(UsageError, match="fourier is of an extension that is not loaded"):
        again.best().stored_generator()
    assert again.best().generator().sample(3).equal(before)


def test_a_run_names_no_files(study: Path, tmp_path: Path) -> None:
    """What its `study.yaml` says is not looked up elsewhere."""
    with pytest.raises(UsageError, match="a run holds its extensions' text itself"):
        load_run_study(study)
    assert not (study.parent / "mark").exists()


@pytest.mark.parametrize("name", ["../x.py", "/etc/x.py", "a\\nb", ""])
def test_an_extension_that_is_kept_has_a_plain_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(f'name: a\nextensions: [{{name: "{name}", text: "1 / 0"}}]\n')
    with pytest.raises(gantune.ConfigError, match=r"extensions\.0\.name"):
        load_study(path)


def test_a_large_extension_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text("#" * (MAX_BYTES + 1))
    with pytest.raises(UsageError, match="larger than"):
        read_extension(path)
    (tmp_path / "zero.py").symlink_to("/dev/zero")
    with pytest.raises(UsageError, match=r"larger than|owned by"):
        read_extension(tmp_path / "zero.py")


def test_nothing_of_an_extension_is_left_in_the_interpreter(study: Path) -> None:
    """A failed one leaves no module behind."""
    before = set(sys.modules)
    code = study.parent / "ext" / "mine.py"
    code.write_text(code.read_text() + "1 / 0\n")
    with pytest.raises(UsageError, match="ZeroDivisionError"):
        load_study(study)
    assert not [name for name in set(sys.modules) - before if name.startswith("gantune_extension")]
