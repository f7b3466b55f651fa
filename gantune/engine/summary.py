"""From an epoch's trace to its numbers: the one place where an epoch waits for the device."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from gantune.engine.forms import Trace
from gantune.engine.losses import Loss
from gantune.metrics.discriminator import accuracy, pairwise_auc

Row = dict[str, float | None]


class Summary(NamedTuple):
    """An epoch in numbers.

    Attributes:
        values: Epoch means by column name; None where not finite.
        rounds: ``g_loss``, ``d_loss`` and ``d_acc`` of each round's last updates; None for a player
            that had none in that round, and where not finite.
        first_bad: Index of the first round with a loss that is not finite; None if all are.
    """

    values: Row
    rounds: list[Row]
    first_bad: int | None


def summarise(trace: Trace, loss: Loss, rounds: int) -> Summary:
    """Computes an epoch's numbers from its trace.

    Args:
        trace: Of one trial: logits (U, B), norms (U,).
        loss: The losses that made it.
        rounds: Rounds in the epoch.
    """
    means: dict[str, Tensor] = {}
    series: dict[str, tuple[Tensor, tuple[int, ...]]] = {}
    if trace.real is not None and trace.fake is not None:
        more, of_updates = _of_discriminator(trace.real, trace.fake, loss)
        means |= more
        series |= {name: (values, trace.d_rounds) for name, values in of_updates.items()}
    if trace.generated is not None:
        g_loss = loss.generator(trace.generated, trace.compared)
        means |= {"g_loss": g_loss.mean(), "g_loss_std": g_loss.std(correction=0)}
        series["g_loss"] = (g_loss, trace.g_rounds)
    optional = {
        "penalty": trace.penalty,
        "content_loss": trace.content,
        "g_grad_norm": trace.g_norms,
        "d_grad_norm": trace.d_norms,
    }
    means |= {name: values.mean() for name, values in optional.items() if values is not None}
    vector = torch.stack(list(means.values())).double().cpu().tolist()
    on_host = {name: (values.double().cpu(), where) for name, (values, where) in series.items()}
    return Summary(
        {name: _finite(value) for name, value in zip(means, vector, strict=True)},
        _per_round(on_host, rounds),
        _first_bad(on_host),
    )


def _of_discriminator(
    real: Tensor, fake: Tensor, loss: Loss
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Means over the epoch, and what each update showed."""
    d_loss, d_real, d_fake = loss.discriminator(real, fake)
    right = accuracy(real, fake, loss.threshold)
    means = {
        "d_loss": d_loss.mean(),
        "d_loss_std": d_loss.std(correction=0),
        "d_acc": right.mean.mean(),
        "d_acc_real": right.real.mean(),
        "d_acc_fake": right.fake.mean(),
        "d_auc": pairwise_auc(real, fake).mean(),
    }
    if d_real is not None and d_fake is not None:
        means |= {"d_loss_real": d_real.mean(), "d_loss_fake": d_fake.mean()}
    if loss.is_probability:
        means |= {"d_x": real.sigmoid().mean(), "d_gz": fake.sigmoid().mean()}
    return means, {"d_loss": d_loss, "d_acc": right.mean}


def _per_round(series: dict[str, tuple[Tensor, tuple[int, ...]]], rounds: int) -> list[Row]:
    rows: list[Row] = [{"g_loss": None, "d_loss": None, "d_acc": None} for _ in range(rounds)]
    for name, (values, where) in series.items():
        for number, value in zip(where, values.tolist(), strict=True):
            rows[number][name] = _finite(value)  # the last update of a round stays
    return rows


def _first_bad(series: dict[str, tuple[Tensor, tuple[int, ...]]]) -> int | None:
    bad = []
    for name, (values, where) in series.items():
        if name != "d_acc":
            for index in torch.nonzero(~torch.isfinite(values))[:1].flatten().tolist():
                bad.append(where[index])
    return min(bad, default=None)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
