"""Running means against a loop."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import make_study

import gantune


def loop(values: list[float], beta: float) -> list[float]:
    """fastai's SmoothenValue."""
    mean, count, shown = 0.0, 0, []
    for value in values:
        if np.isnan(value):
            shown.append(value)
            continue
        count += 1
        mean = beta * mean + (1 - beta) * value
        shown.append(mean / (1 - beta**count))
    return shown


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.98])
def test_each_trial_is_smoothed_as_a_loop_would(beta: float) -> None:
    rng = np.random.default_rng(3)
    steps = pd.DataFrame(
        {
            "trial_id": ["a"] * 40 + ["b"] * 25,
            "number": [0] * 40 + [1] * 25,
            "epoch": 1,
            "step": [*range(1, 41), *range(1, 26)],
            "g_loss": rng.normal(size=65),
            "d_loss": rng.normal(size=65),
            "d_acc": 0.5,
        }
    )
    steps.loc[[7, 50, 64], "g_loss"] = np.nan
    before = steps.copy()
    result = gantune.smoothed(steps, beta)
    assert list(result.columns) == ["trial_id", "number", "epoch", "step", "g_loss", "d_loss"]
    for column in ("g_loss", "d_loss"):
        for number in (0, 1):
            values = steps.loc[steps["number"] == number, column].tolist()
            shown = result.loc[result["number"] == number, column]
            np.testing.assert_allclose(shown, loop(values, beta), rtol=1e-12)
    pd.testing.assert_frame_equal(steps, before)


def test_the_steps_of_a_run_can_be_smoothed(tmp_path: Path) -> None:
    run = gantune.train(make_study(), tmp_path / "r")
    result = gantune.smoothed(run.steps)
    assert len(result) == len(run.steps) == 8
    assert result["g_loss"].iloc[0] == pytest.approx(run.steps["g_loss"].iloc[0])
    assert gantune.smoothed(run.steps.iloc[:0]).empty


@pytest.mark.parametrize("beta", [1.0, -0.1, float("nan")])
def test_a_beta_out_of_range_is_refused(beta: float) -> None:
    with pytest.raises(gantune.UsageError, match="beta is in"):
        gantune.smoothed(pd.DataFrame(), beta)
