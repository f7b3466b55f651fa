"""What people see of a running study."""

import io
from typing import Any

import pytest
from conftest import make_study
from rich.console import Console

from gantune.seeds import trial_seed
from gantune.trial import TrialSpec
from gantune.tuning.progress import Board, LineProgress, LiveProgress


def ended(number: int, objective: float | None, status: str = "completed") -> dict[str, Any]:
    return {
        "number": number,
        "status": status,
        "stopped_by": "asha" if status == "stopped" else None,
        "objective": objective,
        "epochs": 4,
        "error": None,
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


RECORD = {"epoch": 2, "objective": 5.0, "best_objective": 3.0, "d_acc": 0.75}


def test_the_board_counts_and_keeps_the_best() -> None:
    board = Board(make_study())
    board.began(spec(0))
    board.recorded(0, [RECORD], [])
    assert board.best == (3.0, 0)
    assert board.share_done == pytest.approx(2 / 4 / 4)
    board.ended(0, ended(0, 3.0))
    assert board.share_done == 0.25 and not board.running
    assert board.headline() == "1 of 4 trials, 1 completed, best frechet_distance 3 (trial 0)"


def test_a_resumed_study_starts_where_it_was() -> None:
    board = Board(make_study())
    board.resumed([ended(0, 2.0), ended(1, None, "diverged"), ended(2, 1.5, "stopped")])
    assert board.headline() == (
        "3 of 4 trials, 1 completed, 1 diverged, 1 stopped, best frechet_distance 1.5 (trial 2)"
    )
    assert board.share_done == 0.75
    assert board.seconds_left is None  # nothing of this session to go by


def test_lines_for_a_log() -> None:
    out = io.StringIO()
    with LineProgress(make_study(), Console(file=out, width=200)) as shown:
        shown.began(spec(0))
        shown.recorded(0, [RECORD], [])
        shown.ended(0, ended(0, 3.0, "stopped"))
    assert "trial 0 stopped by asha after 4 epochs, best frechet_distance 3" in out.getvalue()


def test_the_live_table() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100)
    with LiveProgress(make_study(), console) as shown:
        shown.resumed([ended(1, 4.0)])
        shown.began(spec(0))
        shown.recorded(0, [RECORD], [])
    text = out.getvalue()
    for part in ("1 of 4 trials", "best frechet_distance 3 (trial 0)", "2/4", "0.75", "%", "left"):
        assert part in text, part
