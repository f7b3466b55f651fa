"""What people see of a running study."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import make_study

import gantune
from gantune.display import show_run
from gantune.seeds import trial_seed
from gantune.study import Study
from gantune.terminal import Terminal
from gantune.trial import TrialSpec, costly_evaluation
from gantune.tuning import progress
from gantune.tuning.local import train_base
from gantune.tuning.progress import Board, LineProgress, LiveProgress


def ended(number: int, objective: float | None, status: str = "completed") -> dict[str, Any]:
    return {
        "number": number,
        "status": status,
        "stopped_by": "asha" if status == "stopped" else None,
        "objective": objective,
        "epochs": 4,
        "error": None,
        "confirms": None,
        "feasible": None,
    }


def spec(number: int) -> TrialSpec:
    return TrialSpec(
        trial_id=f"t_{number}",
        number=number,
        seed=trial_seed(0, number),
        config=make_study().trial,
        metric="frechet_distance",
        goal="minimize",
        rungs=(),
        folder="x",
        threads=1,
    )


RECORD = {"epoch": 2, "objective": 3.0, "best_objective": 3.0, "d_acc": 0.75}


def test_the_board_counts_and_keeps_the_best() -> None:
    board = Board(make_study(), print)
    board.began(spec(0))
    board.recorded(0, [RECORD], [])
    assert board.best and board.best[1:] == (3.0, 0)
    assert board.share_done == pytest.approx(2 / 4 / 4)
    board.ended(0, ended(0, 3.0))
    assert board.share_done == 0.25 and not board.running
    assert board.headline() == "1 of 4 trials, 1 completed, best frechet_distance 3 (trial 0)"


def test_who_waits_at_a_rung_is_counted_and_not_shown_as_running() -> None:
    board, row = Board(make_study(), print), ended(0, 3.0, "stopped")
    board.began(spec(0))
    board.recorded(0, [RECORD], [])
    board.paused(0, row)
    assert not board.running and board.share_done == pytest.approx(2 / 4 / 4)
    assert board.headline() == (
        "0 of 4 trials, 1 waiting at a rung, best frechet_distance 3 (trial 0)"
    )
    board.began(spec(0))  # it goes on
    board.recorded(0, [{**RECORD, "epoch": 3, "objective": 2.0, "best_objective": 2.0}], [])
    assert list(board.running) == [0] and "waiting" not in board.headline()
    board.paused(0, row)
    board.ended(0, row)
    assert board.headline() == "1 of 4 trials, 1 stopped, best frechet_distance 2 (trial 0)"


def test_a_session_begins_with_those_that_wait() -> None:
    board = Board(make_study(), print)
    board.paused(3, ended(3, 1.25, "stopped"))
    assert board.headline() == (
        "0 of 4 trials, 1 waiting at a rung, best frechet_distance 1.25 (trial 3)"
    )


def test_a_resumed_study_starts_where_it_was() -> None:
    board = Board(make_study(), print)
    board.resumed([ended(0, 2.0), ended(1, None, "diverged"), ended(2, 1.5, "stopped")])
    assert board.headline() == (
        "3 of 4 trials, 1 completed, 1 diverged, 1 stopped, best frechet_distance 1.5 (trial 2)"
    )
    assert board.share_done == 0.75
    assert board.seconds_left is None  # nothing of this session to go by


def test_lines_for_a_log() -> None:
    out = io.StringIO()
    with LineProgress(make_study(), Terminal(file=out, width=200)) as shown:
        shown.began(spec(0))
        shown.recorded(0, [RECORD], [])
        shown.ended(0, ended(0, 3.0, "stopped"))
    assert "trial 0 stopped by asha after 4 epochs, best frechet_distance 3" in out.getvalue()


def test_the_live_table() -> None:
    out = io.StringIO()
    console = Terminal(file=out, force_terminal=True, width=100)
    with LiveProgress(make_study(), console) as shown:
        shown.resumed([ended(1, 4.0)])
        shown.began(spec(0))
        shown.recorded(0, [RECORD], [])
    text = out.getvalue()
    for part in ("1 of 4 trials", "best frechet_distance 3 (trial 0)", "2/4", "0.75", "%", "left"):
        assert part in text, part


# Epochs of two steps train for less than the evaluation of 8,000 points takes.
COSTLY = {
    "data": {"name": "ring", "points": 200},
    "train": {"epochs": 120, "steps_per_epoch": 2, "batch_size": 8},
    "eval": {"samples": 8000},
}

NOTE = (
    r"note: evaluation takes (\d+)% of the time; .* eval\.every \(now 1\), .* \(now 8,000\) .* all"
)


def squeezed(text: str) -> str:
    """Without the line breaks and colours of a terminal."""
    return " ".join(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).split())


@pytest.mark.slow
@pytest.mark.parametrize("terminal", [False, True])
def test_who_pays_much_for_evaluation_is_told_once_and_nothing_changes(
    tmp_path: Path, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A quick machine is done with it in less than the two seconds.
    monkeypatch.setattr(progress, "ENOUGH_S", 0.01)
    out, end = io.StringIO(), io.StringIO()
    console = Terminal(file=out, force_terminal=terminal, width=100)
    study = make_study(trial=COSTLY, search={})
    done = train_base(study, tmp_path / "r", lambda s: make_progress(s, console))
    (found,) = re.findall(NOTE, squeezed(out.getvalue()))
    run = gantune.load(done.root)
    show_run(run, Terminal(file=end, width=100))
    (share,) = re.findall(NOTE, squeezed(end.getvalue()))
    times = run.epochs[["train_s", "eval_s"]].sum()
    assert int(share) == round(100 * times["eval_s"] / times.sum()) > 15
    assert 15 < int(found) <= 100
    assert run.study.trial.eval == study.trial.eval and run.epochs["objective"].notna().all()


def make_progress(study: Study, console: Terminal) -> LiveProgress | LineProgress:
    return (LiveProgress if console.is_terminal else LineProgress)(study, console)


@pytest.mark.slow
def test_who_does_not_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "ENOUGH_S", 0.01)
    out, end = io.StringIO(), io.StringIO()
    trial = {
        "train": {"epochs": 2, "steps_per_epoch": 600, "batch_size": 8},
        "eval": {"samples": 50},
    }
    study = make_study(trial=trial, search={})
    console = Terminal(file=out, width=100)
    done = train_base(study, tmp_path / "r", lambda s: LineProgress(s, console))
    run = gantune.load(done.root)
    show_run(run, Terminal(file=end, width=100))
    assert run.epochs[["train_s", "eval_s"]].sum().sum() > progress.ENOUGH_S
    assert "note:" not in out.getvalue() + end.getvalue()


def test_the_first_seconds_say_nothing_and_the_notice_stays_the_only_one() -> None:
    told: list[str] = []
    board = Board(make_study(), told.append)
    board.began(spec(0))
    record = {**RECORD, "train_s": 0.1, "eval_s": 0.9}
    board.recorded(0, [record], [])
    assert told == []
    for _ in range(5):
        board.recorded(0, [record], [])
    (notice,) = told
    assert "90% of the time" in notice


@pytest.mark.parametrize(("train_s", "eval_s", "is_told"), [(85, 15, False), (84, 16, True)])
def test_the_limit_is_fifteen_percent(train_s: float, eval_s: float, is_told: bool) -> None:
    assert bool(costly_evaluation(train_s, eval_s, make_study().trial)) == is_told
    assert costly_evaluation(0.0, 0.0, make_study().trial) is None
