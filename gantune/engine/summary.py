"""From an epoch's trace to its numbers: the one place where an epoch waits for the device."""

from typing import NamedTuple

import torch
from torch import Tensor

from gantune.engine.epoch import Trace
from gantune.engine.losses import Loss
from gantune.metrics.discriminator import accuracy, pairwise_auc

ROUND_COLUMNS = ("g_loss", "d_loss", "d_acc")


class Summary(NamedTuple):
    """An epoch in numbers.

    Attributes:
        values: Epoch means by column name; None where not finite.
        rounds: (R, 3) ROUND_COLUMNS of each round's last update.
        first_bad: Index of the first round with a loss that is not finite; None if all are.
    """

    values: dict[str, float | None]
    rounds: Tensor
    first_bad: int | None


def summarise(trace: Trace, loss: Loss, rounds: int) -> Summary:
    """Computes an epoch's numbers from its trace.

    Args:
        trace: Of one trial: logits (U, B), norms (U,).
        loss: The losses that made it.
        rounds: Rounds in the epoch.
    """
    d_loss, d_real, d_fake = loss.discriminator(trace.real, trace.fake)
    g_loss = loss.generator(trace.generated, trace.compared)
    right = accuracy(trace.real, trace.fake, loss.threshold)
    means = {
        "g_loss": g_loss.mean(),
        "d_loss": d_loss.mean(),
        "g_loss_std": g_loss.std(correction=0),
        "d_loss_std": d_loss.std(correction=0),
        "d_acc": right.mean.mean(),
        "d_acc_real": right.real.mean(),
        "d_acc_fake": right.fake.mean(),
        "d_auc": pairwise_auc(trace.real, trace.fake).mean(),
        "g_grad_norm": trace.g_norms.mean(),
        "d_grad_norm": trace.d_norms.mean(),
    }
    if d_real is not None and d_fake is not None:
        means |= {"d_loss_real": d_real.mean(), "d_loss_fake": d_fake.mean()}
    if trace.penalty is not None:
        means["penalty"] = trace.penalty.mean()
    if loss.is_probability:
        means["d_x"] = trace.real.sigmoid().mean()
        means["d_gz"] = trace.fake.sigmoid().mean()
    last = [series.view(rounds, -1)[:, -1] for series in (g_loss, d_loss, right.mean)]
    table = torch.stack(last, 1).double().cpu()
    vector = torch.stack(list(means.values())).double().cpu()
    values = {
        name: float(value) if torch.isfinite(value) else None
        for name, value in zip(means, vector, strict=True)
    }
    # A loss of an earlier update of a round shows in its mean.
    per_round = [series.view(rounds, -1).mean(1) for series in (g_loss, d_loss)]
    finite = torch.isfinite(torch.stack(per_round)).all(0).cpu()
    bad = torch.nonzero(~finite)
    return Summary(values, table, int(bad[0]) if len(bad) else None)
