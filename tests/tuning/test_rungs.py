"""Rungs by hand, and their properties."""

import math

import pytest

from gantune.tuning.rungs import Rungs


def test_one_in_three_goes_on() -> None:
    rungs = Rungs((1, 3), 3)
    # Sorted so far: 5 | 5 7 | 3 5 7 | 3 4 5 7 | ... ; the best n // 3 (at least one) go on.
    expected = [(5, True), (7, False), (3, True), (4, False), (2, True), (2.5, True), (6, False)]
    for number, (value, goes_on) in enumerate(expected):
        assert rungs.observe(number, 1, value, 1) is goes_on, number


def test_higher_is_better_where_the_sign_says_so() -> None:
    rungs = Rungs((1,), 2)
    assert rungs.observe(0, 1, 5.0, -1)
    assert not rungs.observe(1, 1, 4.0, -1)
    assert rungs.observe(2, 1, 6.0, -1)


def test_a_record_that_comes_again_changes_nothing() -> None:
    rungs = Rungs((1,), 2)
    assert rungs.observe(0, 1, 1.0, 1)
    assert not rungs.observe(1, 1, 2.0, 1)
    assert rungs.observe(1, 1, 2.0, 1)  # judged already: not judged again
    assert rungs.observe(2, 1, 0.5, 1)
    counted = Rungs((1,), 2)
    for _ in range(5):
        counted.observe(0, 1, 1.0, 1)
    assert not counted.observe(1, 1, 2.0, 1)


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_what_is_no_number_is_worse_than_any(value: float | None) -> None:
    """Ray's ASHA raises on None, and lets NaN go on for ever."""
    rungs = Rungs((1,), 2)
    assert rungs.observe(0, 1, value, 1)  # as long as nobody has a number, nobody is worse
    assert rungs.observe(1, 1, value, 1)
    assert rungs.observe(2, 1, 10.0, 1)
    only_best = Rungs((1,), 4)
    assert only_best.observe(0, 1, 10.0, 1)
    assert not only_best.observe(1, 1, value, 1)


def test_epochs_between_rungs_are_passed_over() -> None:
    rungs = Rungs((2, 4), 2)
    rungs.observe(0, 2, 1.0, 1)
    for epoch in (1, 3, 5):
        assert rungs.observe(1, epoch, 99.0, 1)
    assert not rungs.observe(1, 2, 99.0, 1)
