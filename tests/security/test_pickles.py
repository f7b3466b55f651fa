"""Opening results never executes anything: pickles in every file of a run are not loaded."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from test_cli import LONG, TINY, sets, wait_for, within
from whole import check_whole

import gantune
from gantune.document import parse_document
from gantune.errors import GantuneError
from gantune.loader import study_from_document
from gantune.lock import hold_lock
from gantune.paths import RunPaths
from gantune.records import read_table
from gantune.report.dashboard import copied_journal
from gantune.tuning.warm import warm_start

pytestmark = pytest.mark.slow


def pickle_that_marks(mark: Path) -> bytes:
    """By hand: `posix.system("touch MARK")` when it is loaded."""
    return f"cposix\nsystem\n(S'touch {mark}'\ntR.".encode()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, standing_ray: None) -> Path:
    """A run of Ray's with all its files."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "tiny.yaml").write_text(TINY)
    options = ["--set", "loggers=[tensorboard]", "--trials", "2", "--no-report"]
    done = within("run", "tiny.yaml", *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    done = within("evaluate", "tiny", "--samples", "50", "--repeats", "2", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "runs" / "tiny"


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory, standing_ray: None) -> Path:
    """A run that ends by Ctrl-C as soon as its trials have something to go on from."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "tiny.yaml").write_text(TINY)
    root = folder / "runs" / "tiny"

    def press() -> None:
        wait_for(lambda: list(root.glob("trials/*/last/meta-*.json")))
        os.kill(os.getpid(), signal.SIGINT)

    presses = threading.Thread(target=press)
    presses.start()
    done = within("run", "tiny.yaml", *sets(LONG), "--trials", "2", "--no-report", cwd=folder)
    presses.join()
    assert done.returncode == 130, done.stderr
    return root


@pytest.fixture
def root(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "runs" / "tiny"))


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "mark"


def test_the_pickle_marks(mark: Path) -> None:
    code = "import pickle, sys; pickle.loads(sys.stdin.buffer.read())"
    command = [sys.executable, "-c", code]
    subprocess.run(command, input=pickle_that_marks(mark), check=True)
    assert mark.exists()


def test_the_pickle_in_place_of_weights_marks(mark: Path, tmp_path: Path) -> None:
    as_torch_file(tmp_path / "weights", pickle_that_marks(mark))
    code = "import sys, torch; torch.load(sys.argv[1], weights_only=False)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "weights")], check=True)
    assert mark.exists()


COMMANDS: list[list[str]] = [
    ["list"],
    ["show", "tiny"],
    ["show", "tiny", "0"],
    ["report", "tiny", "--out", "page"],
    ["compare", "tiny", "other"],
    ["export", "tiny", "--out", "exported"],
    ["sample", "tiny", "--out", "a.png"],
    ["evaluate", "tiny", "--samples", "50", "--repeats", "2"],
    ["prune", "tiny"],
    ["show", "tiny", "--follow"],
    ["train", "tiny", "--trial", "0", "--out", "again"],
]
RESUME = ["resume", "tiny", "--trials", "+1", "--no-report"]


IN_ONE_PROCESS = """
import contextlib, io, json, sys
from gantune.cli import main
for command in json.loads(sys.argv[1]):
    sys.argv, code, said = ["gantune", *command], 0, io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            main()
        except SystemExit as error:
            code = error.code
    print(json.dumps([command[0], code, said.getvalue()]), flush=True)
"""


def answers(commands: list[list[str]], folder: Path) -> list[tuple[str, int | None, str]]:
    """What each command ends with and says; in one process, as each would import torch anew."""
    code = [sys.executable, "-c", IN_ONE_PROCESS, json.dumps(commands)]
    done = subprocess.run(code, cwd=folder, capture_output=True, text=True, check=True)
    found = [tuple(json.loads(line)) for line in done.stdout.splitlines()]
    assert [command for command, _, _ in found] == [command[0] for command in commands]
    root = folder / "runs" / "tiny"
    uses: list[tuple[str, Callable[[], object]]] = []
    # The command serves for ever, after this.
    uses.append(("dashboard", lambda: copied_journal(gantune.load(root), folder)))
    uses.append(("generator", lambda: gantune.load(root).best().generator()))
    # And this one starts Ray then.
    study = study_from_document(parse_document(TINY, source="tiny.yaml"))
    uses.append(("run --warm-start", lambda: warm_start(study, root)))
    return [*found, *((name, *ends(use)) for name, use in uses), ("stop", *stopped(root))]


def ends(use: Callable[[], object]) -> tuple[int, str]:
    try:
        use()
    except GantuneError as error:
        return error.exit_code, str(error)
    return 0, ""


def stopped(root: Path) -> tuple[int, str]:
    """What the command says of a trial that has ended, while the run is driven by us."""
    with hold_lock(RunPaths(root).lock):
        done = within("stop", "tiny", "--trial", "0", cwd=root.parent.parent)
    is_ended = "trial 0 is not running" in done.stderr
    return 0 if is_ended else done.returncode, done.stderr


def plant_beside(root: Path, mark: Path) -> None:
    """All of Ray's files are pickles, and so are files beside every file of ours."""
    data = pickle_that_marks(mark)
    fallback = {"_type": "CLOUDPICKLE_FALLBACK", "value": data.hex()}
    sessions = [*(root / "tune").glob("session-*"), root / "tune" / "session-002"]
    for session in sessions:
        session.mkdir(exist_ok=True)
        for path in [path for path in session.rglob("*") if path.is_file()]:
            path.write_bytes(data)
        for name in (
            "tuner.pkl",
            "trainable.pkl",
            "searcher-state-x.pkl",
            "search_gen_state-x.json",
        ):
            (session / name).write_bytes(data)
        state = {
            "trial_data": [[json.dumps(fallback), json.dumps(fallback)]],
            "runner_data": fallback,
        }
        (session / "experiment_state-2026-01-01_00-00-00.json").write_text(json.dumps(state))
    for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
        for name in ("params.pkl", "checkpoint.pt", ".metadata.pkl", "__init__.py", "conftest.py"):
            code = f"import pathlib; pathlib.Path({str(mark)!r}).touch()\n".encode()
            (folder / name).write_bytes(code if name.endswith(".py") else data)
    info = json.loads((root / "run.json").read_text())
    (root / "run.json").write_text(json.dumps({**info, "planted": fallback}))


def test_planted_beside_a_runs_own_files(root: Path, mark: Path, tmp_path: Path) -> None:
    """They change nothing: every command does what it does without them."""
    shutil.copytree(root, tmp_path / "runs" / "other")
    plant_beside(root, mark)
    for command, status, said in answers(COMMANDS, tmp_path):
        assert status in (0, None), (command, said)
    assert within(*RESUME, cwd=tmp_path).returncode == 0
    (tmp_path / "tiny.yaml").write_text(TINY)
    learning = ["run", "tiny.yaml", "--warm-start", "tiny", "--name", "warm", "--trials", "1"]
    assert within(*learning, "--no-report", cwd=tmp_path).returncode == 0
    assert not mark.exists()


def as_torch_file(path: Path, data: bytes) -> None:
    """What `torch.load` would open, with our pickle in it."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", "3\n")


def replaced(root: Path, what: str, mark: Path) -> list[Path]:
    """Puts pickles in the place of a run's own files."""
    paths, data = RunPaths(root), pickle_that_marks(mark)
    files = {
        "tables": list(paths.root.glob("*/*.arrow")),
        "weights": list(paths.root.glob("trials/*/*/*.safetensors")),
        "descriptions": list(paths.root.glob("trials/*/*/meta-*.json")),
        "journal": [paths.journal],
        "notes": [paths.info],
        "study": [paths.study],
        "storage": [paths.storage],
        "warm start": [paths.warm_start],
        "what nobody opens": [
            *paths.root.glob("trials/*/samples/*.png"),
            *paths.root.glob("trials/*/evaluation.json"),
            *paths.root.glob("trials/*/samples.webp"),
            *paths.root.glob("tensorboard/*/*"),
            paths.lock,
            *(paths.control / "stop-all", paths.control / "stop-0", paths.concurrency),
        ],
    }[what]
    assert files
    for path in files:
        path.parent.mkdir(exist_ok=True)
        if what == "weights":
            as_torch_file(path, data)
        else:
            path.write_bytes(data)
    return files


SHOWING = {"show", "report", "compare", "dashboard", "stop", "train", "run --warm-start"}
LOADING = SHOWING | {"export", "sample", "evaluate", "generator"}
OPENS = {
    "tables": LOADING | {"prune", "resume"},
    "weights": {"show", "export", "sample", "evaluate", "generator"},
    "descriptions": {"show", "export", "sample", "evaluate", "generator"},
    "journal": {"dashboard"},
    "notes": LOADING | {"resume"},
    "study": LOADING | {"prune", "resume"},
    "storage": {"prune", "resume"},
    "warm start": {"resume"},
    "what nobody opens": set[str](),
}
"""Which commands need the files, and say so; the others do without."""


@pytest.mark.parametrize("what", OPENS)
def test_planted_in_the_place_of(root: Path, what: str, mark: Path, tmp_path: Path) -> None:
    """The damaged file is named; no traceback."""
    shutil.copytree(root, tmp_path / "runs" / "other")
    files = replaced(root, what, mark)
    names = {str(path.relative_to(tmp_path)) for path in files}
    names |= {str(path.parent.relative_to(tmp_path)) for path in files if "trials" in path.parts}
    found = answers([c for c in COMMANDS if c != ["show", "tiny", "0"]], tmp_path)
    with warnings.catch_warnings(record=True) as said_by_resume:
        warnings.simplefilter("always")
        resumed = within(*RESUME, cwd=tmp_path)
    found.append(("resume", resumed.returncode, resumed.stderr))
    assert not mark.exists()
    assert any("made from the tables" in str(w.message) for w in said_by_resume) == (
        what == "journal"
    )
    for command, status, said in found:
        if command in OPENS[what]:
            assert status in (1, 2) and any(name in said for name in names), (command, said)
        else:
            assert status in (0, None), (command, said)


@pytest.mark.parametrize("what", ["weights", "descriptions"])
def test_planted_in_what_trials_go_on_from(
    interrupted: Path, what: str, mark: Path, tmp_path: Path
) -> None:
    """They begin anew, and end as they would have."""
    root = Path(shutil.copytree(interrupted, tmp_path / "runs" / "tiny"))
    files = [path.relative_to(root) for path in replaced(root, what, mark)]
    rows = read_table(RunPaths(root).table("trials")).to_pylist()
    ended = {f"{row['number']:05d}" for row in rows if row["status"] != "running"}
    for file in files:
        if file.parts[1] in ended:  # nobody goes on from there
            shutil.copyfile(interrupted / file, root / file)
    assert any(file.parts[1] not in ended and file.parts[2] == "last" for file in files)
    with pytest.warns(UserWarning, match="is damaged; its trial begins anew"):
        done = within("resume", "tiny", "--no-report", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not mark.exists()
    check_whole(root, trials=2, epochs=100)
