"""What strangers wrote stands on a terminal as text: no markup, no escape sequences."""

import io
import json
import shutil
from pathlib import Path

import pytest
from conftest import make_study
from damage import rewritten
from made import HOSTILE
from test_commands import call

import gantune
from gantune.display import make_table, show_run, show_runs, show_trial
from gantune.jobs import say_log
from gantune.records import read_table
from gantune.storage import read_json, write_json
from gantune.terminal import Terminal, visible_warning
from gantune.tuning.progress import LineProgress
from gantune.visible import visible

CLOSING, CLIPBOARD, CLEAR, C1 = "[/x]", "\x1b]52;c;QUJD\x07", "\x1b[2J", "\x9b2J"
NAME = "[bold]b :smile:" + CLEAR
ACTING = [
    letter for letter in map(chr, range(0xA0)) if letter not in "\n\t" and not letter.isprintable()
]


def set_all(table: Path, **values: str) -> None:
    rewritten(table, [{**row, **values} for row in read_table(table).to_pylist()])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which every text that tables and run.json hold is hostile, and a fine one."""
    runs = tmp_path_factory.mktemp("place") / "runs"
    gantune.train(make_study(checkpoint={"keep_top": 1}), runs / "fine")
    root = Path(shutil.copytree(runs / "fine", runs / NAME))
    info = read_json(root / "run.json")
    info["sessions"][-1]["features"]["name"] = CLOSING + CLIPBOARD
    write_json(root / "run.json", info)
    study = root / "study.yaml"
    study.write_text(study.read_text().replace("description: ''", "description: '[/x]'"))
    parameters = json.dumps({CLOSING: CLIPBOARD, "y": C1})
    ends = {"stopped_by": CLOSING, "trial_id": C1, "verdict": CLOSING + CLEAR, "worker": CLEAR}
    ends |= {"error": CLIPBOARD + HOSTILE["turned"], "parameters": parameters}
    set_all(root / "trials", **ends)
    said = {"verdict": CLOSING + CLEAR, "evidence": CLOSING + CLIPBOARD}
    set_all(root / "epochs", **said)
    return runs.parent


def is_text(printed: str, *, on_terminal: bool = False) -> None:
    """Nothing that acts; on a terminal what Rich itself says: bold, and not bold."""
    for own in ("\x1b[1m", "\x1b[0m") if on_terminal else ():
        printed = printed.replace(own, "")
    assert not set(printed) & {*ACTING, "\u202e", "\u2066"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["list"], [NAME]),
        (["show", NAME], [NAME, CLOSING, CLIPBOARD, f"completed ({CLOSING})", CLOSING + CLEAR]),
        (["show", NAME, 0], [C1, CLOSING, CLIPBOARD, HOSTILE["turned"], CLOSING + CLIPBOARD]),
        (["compare", NAME, "fine"], [NAME, CLOSING]),
        (["evaluate", NAME, "--samples", 50, "--repeats", 2], [NAME]),
        (["show", NAME, "--follow"], [NAME, CLOSING]),
    ],
)
def test_hostile_runs(trained: Path, arguments: list[object], parts: list[str]) -> None:
    done = call(*arguments, cwd=trained)
    assert done.returncode == 0, done.stderr
    is_text(done.stdout + done.stderr)
    for part in parts:
        assert visible(part) in done.stdout


@pytest.mark.slow
def test_errors_that_quote(trained: Path, tmp_path: Path) -> None:
    place = Path(shutil.copytree(trained, tmp_path / "place"))
    done = call("show", "nothing", cwd=place)
    assert done.returncode == 2 and visible(NAME) in done.stderr
    is_text(done.stderr)
    parameters = json.dumps(CLOSING + NAME)
    trials = place / "runs" / NAME / "trials"
    set_all(trials, parameters=parameters)
    for command, code in (("show", 1), ("list", 0)):
        done = call(*([command, NAME] if code else [command]), cwd=place)
        assert done.returncode == code and CLOSING in done.stderr + done.stdout
        is_text(done.stdout + done.stderr)
    done = call("--debug", "show", NAME, cwd=place)
    assert "Traceback" in done.stderr
    is_text(done.stderr)


@pytest.mark.slow
def test_on_a_terminal_there_is_nothing_but_its_own_bold(trained: Path) -> None:
    runs, out = trained / "runs", io.StringIO()
    console = Terminal(file=out, force_terminal=True, color_system="truecolor", width=300)
    run = gantune.load(runs / NAME)
    show_runs(runs, console)
    show_run(run, console)
    show_trial(run, 0, console)
    assert "\x1b[1m" in out.getvalue() and visible(CLIPBOARD) in out.getvalue()
    is_text(out.getvalue(), on_terminal=True)


def test_cells_heads_and_lines() -> None:
    out = io.StringIO()
    console = Terminal(file=out, force_terminal=True, width=100)
    table = make_table(CLOSING, "[link=http://a]b[/link]")
    table.add_row(C1, "1.5")
    console.print(table)
    console.print(CLIPBOARD)
    is_text(out.getvalue(), on_terminal=True)
    for part in (CLOSING, "[link=http://a]b[/link]", visible(C1), " 1.5", visible(CLIPBOARD)):
        assert part in out.getvalue()


def test_what_a_log_shows_of_a_trial() -> None:
    out = io.StringIO()
    shown = LineProgress(make_study(), Terminal(file=out, width=200))
    row = {"number": 0, "status": "failed", "stopped_by": None, "confirms": None, "epochs": 1}
    shown.ended(0, {**row, "objective": None, "error": CLOSING + CLIPBOARD})
    assert CLOSING + visible(CLIPBOARD) in out.getvalue()
    is_text(out.getvalue())


def test_a_log_that_is_followed_loses_its_colours(capsys: pytest.CaptureFixture[str]) -> None:
    say_log("\x1b[36m(worker)\x1b[0m trial 0\n")
    say_log(CLIPBOARD + CLEAR)
    assert capsys.readouterr().out == f"(worker) trial 0\n{visible(CLIPBOARD + CLEAR)}"


def test_warnings() -> None:
    text = visible_warning(CLIPBOARD, UserWarning, "file.py", 3, line="x")
    assert visible(CLIPBOARD) in text
    is_text(text)
