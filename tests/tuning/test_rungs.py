"""Rungs by hand, and their properties."""

import math
from typing import Any, get_args

import pytest
from conftest import make_study

from gantune.goals import Ranking, Standing
from gantune.strategy import Scheduler
from gantune.tuning.rungs import Rungs
from gantune.tuning.schedulers import SCHEDULERS, Rule


def place(value: float | None, sign: int = 1) -> Standing:
    return Ranking(sign).standing({"objective": value})


def test_one_in_three_goes_on() -> None:
    rungs = Rungs((1, 3), 3)
    # Sorted so far: 5 | 5 7 | 3 5 7 | 3 4 5 7 | ... ; the best n // 3 (at least one) go on.
    expected = [(5, True), (7, False), (3, True), (4, False), (2, True), (2.5, True), (6, False)]
    for number, (value, goes_on) in enumerate(expected):
        assert rungs.observe(number, 1, place(value)) is goes_on, number


def test_higher_is_better_where_the_sign_says_so() -> None:
    rungs = Rungs((1,), 2)
    assert rungs.observe(0, 1, place(5.0, -1))
    assert not rungs.observe(1, 1, place(4.0, -1))
    assert rungs.observe(2, 1, place(6.0, -1))


def test_a_record_that_comes_again_changes_nothing() -> None:
    rungs = Rungs((1,), 2)
    assert rungs.observe(0, 1, place(1.0))
    assert not rungs.observe(1, 1, place(2.0))
    assert rungs.observe(1, 1, place(2.0))  # judged already: not judged again
    assert rungs.observe(2, 1, place(0.5))
    counted = Rungs((1,), 2)
    for _ in range(5):
        counted.observe(0, 1, place(1.0))
    assert not counted.observe(1, 1, place(2.0))


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_what_is_no_number_is_worse_than_any(value: float | None) -> None:
    """Ray's ASHA raises on None, and lets NaN go on for ever."""
    rungs = Rungs((1,), 2)
    assert rungs.observe(0, 1, place(value))  # as long as nobody has a number, nobody is worse
    assert rungs.observe(1, 1, place(value))
    assert rungs.observe(2, 1, place(10.0))
    only_best = Rungs((1,), 4)
    assert only_best.observe(0, 1, place(10.0))
    assert not only_best.observe(1, 1, place(value))


def test_epochs_between_rungs_are_passed_over() -> None:
    rungs = Rungs((2, 4), 2)
    rungs.observe(0, 2, place(1.0))
    for epoch in (1, 3, 5):
        assert rungs.observe(1, epoch, place(99.0))
    assert not rungs.observe(1, 2, place(99.0))


def test_what_misses_a_constraint_is_behind_everything_that_meets_it() -> None:
    rungs = Rungs((1,), 2)
    assert rungs.observe(0, 1, Standing(misses=True, value=1.0))  # the first goes on
    assert rungs.observe(1, 1, Standing(misses=False, value=9.0))
    assert not rungs.observe(2, 1, Standing(misses=True, value=0.5))


def test_every_scheduler_of_a_study_has_its_rule() -> None:
    """One is added by its options and one entry."""
    (union, *_) = get_args(Scheduler)
    options = {get_args(member)[0] for member in get_args(union)}
    assert set(SCHEDULERS) == options
    waits = {kind.model_fields["name"].default for kind in options if rule(kind).lets_wait}
    assert waits == {"asha_promotion"}


def rule(options: type[Any]) -> Rule:
    return SCHEDULERS[options](options(), make_study())
