"""Running means of noisy losses."""

import pandas as pd

from gantune.errors import UsageError

_LOSSES = ["g_loss", "d_loss"]


def smoothed(steps: pd.DataFrame, beta: float = 0.98) -> pd.DataFrame:
    """Running means of both losses within each trial, without the bias of their beginning.

    fastai's SmoothenValue: m_n = beta m_(n-1) + (1 - beta) v_n, m_0 = 0; shown is
    m_n / (1 - beta^n). A null is passed over and stays null. ``steps`` holds every k-th round, at
    most 500 of a trial: in a long one a value stands for k batches, and beta 0.98 for 50 k.

    Args:
        steps: :attr:`Run.steps`, in order of steps within each trial.
        beta: In [0, 1): the weight of the past; about 1 / (1 - beta) values count.

    Raises:
        UsageError: beta is out of its range.
    """
    if not 0 <= beta < 1:
        raise UsageError(f"beta is in [0, 1), has {beta}")
    result = steps[["trial_id", "number", "epoch", "step", *_LOSSES]].copy()
    for _, rows in steps.groupby("number"):
        # With adjust=True pandas divides by the sum of the weights, which is 1 - beta^n.
        means = rows[_LOSSES].ewm(alpha=1 - beta, adjust=True, ignore_na=True).mean()
        result.loc[rows.index, _LOSSES] = means.where(rows[_LOSSES].notna())
    return result
