"""Optimizer steps as functions: (player, gradient) -> player.

Two forms of Adam: :func:`functional_adam` is pure tensor algebra with rates as tensors, which may
carry a leading axis of stacked trials; :func:`fused_adam` is torch's fused kernel for a trial on
its own (on a CPU about a quarter of the time). A test holds them together.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gantune.engine.state import Player, Tensors
from gantune.parts import Adam


class AdamRates(NamedTuple):
    """Adam's hyperparameters as tensors: () for one trial, (K,) for K stacked ones."""

    lr: Tensor
    beta1: Tensor
    beta2: Tensor
    eps: Tensor


Update = Callable[[Player, Sequence[Tensor], AdamRates], Player]


def adam_rates(options: Adam, device: torch.device) -> AdamRates:
    """The options as tensors."""
    values = (options.lr, options.beta1, options.beta2, options.eps)
    return AdamRates(*(torch.tensor(v, dtype=torch.float32, device=device) for v in values))


def new_player(params: Tensors, buffers: Tensors) -> Player:
    """A player before its first step.

    ``decay1`` and ``decay2`` are beta1^t and beta2^t kept as running products: a vectorised power
    rounds differently for different numbers of stacked trials.
    """
    params = dict(sorted(params.items()))
    moments = {
        moment: {name: torch.zeros_like(tensor) for name, tensor in params.items()}
        for moment in ("first", "second")
    }
    device = next(iter(params.values())).device
    counters = {
        "step": torch.zeros((), device=device),
        "decay1": torch.ones((), device=device),
        "decay2": torch.ones((), device=device),
    }
    return Player(params, dict(sorted(buffers.items())), moments, counters)


@torch.no_grad()
def functional_adam(player: Player, gradients: Sequence[Tensor], rates: AdamRates) -> Player:
    """One step of Adam (Kingma & Ba 2015, algorithm 1), changing nothing in place.

    Args:
        player: State before the step.
        gradients: One for each parameter, in order.
        rates: See :class:`AdamRates`.
    """
    counters = player.counters
    decay1, decay2 = counters["decay1"] * rates.beta1, counters["decay2"] * rates.beta2
    params: Tensors = {}
    moments: dict[str, Tensors] = {"first": {}, "second": {}}
    for (name, param), gradient in zip(player.params.items(), gradients, strict=True):
        # Rates of stacked trials, (K,), meet parameters of (K, ...).
        shape = rates.lr.shape + (1,) * (param.dim() - rates.lr.dim())
        lr, beta1, beta2, eps = (rate.view(shape) for rate in rates)
        first = torch.lerp(gradient, player.moments["first"][name], beta1)
        second = torch.lerp(gradient.square(), player.moments["second"][name], beta2)
        denominator = (second / (1 - decay2).view(shape)).sqrt() + eps
        step = lr / (1 - decay1).view(shape) * first / denominator
        params[name] = (param - step).requires_grad_()
        moments["first"][name], moments["second"][name] = first, second
    new = {"step": counters["step"] + 1, "decay1": decay1, "decay2": decay2}
    return Player(params, player.buffers, moments, new)


def fused_adam(options: Adam) -> Update:
    """Torch's fused Adam with the rates of one trial; writes into the player that it is given.

    The rates are those of ``options``, as Python floats, which is what the kernel takes; the
    tensors that an update is called with are for the functional form.

    The kernel itself, without ``torch.optim``: around small networks that takes as long as the
    kernel (counters per parameter, grouping by device).
    """

    @torch.no_grad()
    def update(player: Player, gradients: Sequence[Tensor], rates: AdamRates) -> Player:
        counters, moments = player.counters, player.moments
        counters["step"].add_(1)
        torch._fused_adam_(
            list(player.params.values()),
            # A gradient with other strides than its parameter gives a wrong step and no error.
            [gradient.contiguous() for gradient in gradients],
            [moments["first"][name] for name in player.params],
            [moments["second"][name] for name in player.params],
            [],
            [counters["step"]] * len(player.params),
            lr=options.lr,
            beta1=options.beta1,
            beta2=options.beta2,
            eps=options.eps,
            weight_decay=0.0,
            amsgrad=False,
            maximize=False,
        )
        counters["decay1"].mul_(options.beta1)
        counters["decay2"].mul_(options.beta2)
        return player

    return update
