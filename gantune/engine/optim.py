"""Optimizer steps as functions: (player, gradient, round) -> player.

Each optimizer has two forms. The functional one is pure tensor algebra with rates as tensors, which
may carry a leading axis of stacked trials. The other is for a trial on its own: torch's fused or
multi-tensor kernels, writing in place (on a CPU about a quarter of the time). A test holds the two
and ``torch.optim`` together.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gantune.config import leaves
from gantune.engine.state import Player, Tensors
from gantune.parts.base import Options
from gantune.parts.optimizers import Adam, AdamW, RmsProp, Sgd

Rates = Mapping[str, Tensor]
"""Hyperparameters by name, () for one trial, (K,) for K stacked ones; ``lr`` has an axis of rounds
behind that."""

Step = Callable[[Player, Sequence[Tensor], Rates], Player]
Update = Callable[[Player, Sequence[Tensor], int], Player]
"""(player, gradients in the order of its parameters, round of the epoch) -> player."""


class Optimizer(NamedTuple):
    """One optimizer.

    Attributes:
        moments: Names of its tensors per parameter.
        functional: The step as tensor algebra.
        in_place: (options, learning rate of each round) -> the step for a trial on its own.
    """

    moments: tuple[str, ...]
    functional: Step
    in_place: Callable[..., Update]


def make_rates(
    options: Options, factors: Sequence[float], device: torch.device
) -> dict[str, Tensor]:
    """The options of an optimizer as tensors, the learning rate for each round.

    Args:
        options: Of the optimizer.
        factors: What the schedule makes of the learning rate, for each round.
        device: Where the tensors live.
    """
    numbers = {path: value for path, value, is_lane in leaves(options) if is_lane}
    rates = {name: torch.tensor(value, device=device) for name, value in numbers.items()}
    return rates | {"lr": rates["lr"] * torch.tensor(factors, device=device)}


def functional_update(name: str, rates: Rates) -> Update:
    """The functional form of an optimizer with its rates."""
    step = OPTIMIZERS[name].functional

    def update(player: Player, gradients: Sequence[Tensor], number: int) -> Player:
        return step(player, gradients, {**rates, "lr": rates["lr"].select(-1, number)})

    return update


def in_place_update(options: Adam | AdamW | RmsProp | Sgd, factors: Sequence[float]) -> Update:
    """The form for a trial on its own; it writes into the player that it is given."""
    return OPTIMIZERS[options.name].in_place(options, [options.lr * f for f in factors])


def new_player(params: Tensors, buffers: Tensors, optimizer: str) -> Player:
    """A player before its first step.

    ``decay1`` and ``decay2`` are Adam's beta1^t and beta2^t kept as running products: a vectorised
    power rounds differently for different numbers of stacked trials.
    """
    params = dict(sorted(params.items()))
    moments = {
        moment: {name: torch.zeros_like(tensor) for name, tensor in params.items()}
        for moment in OPTIMIZERS[optimizer].moments
    }
    device = next(iter(params.values())).device
    counters = {
        "step": torch.zeros((), device=device),
        "decay1": torch.ones((), device=device),
        "decay2": torch.ones((), device=device),
    }
    return Player(params, dict(sorted(buffers.items())), moments, counters)


def _at(rates: Rates, like: Tensor) -> dict[str, Tensor]:
    """Rates of stacked trials, (K,), in the shape that meets parameters of (K, ...)."""
    lr = rates["lr"]
    shape = lr.shape + (1,) * (like.dim() - lr.dim())
    return {name: rate.view(shape) for name, rate in rates.items()}


@torch.no_grad()
def _adam(player: Player, gradients: Sequence[Tensor], rates: Rates) -> Player:
    """Adam (Kingma & Ba 2015, algorithm 1); AdamW where there is a decay (Loshchilov 2019)."""
    counters = player.counters
    decay1, decay2 = counters["decay1"] * rates["beta1"], counters["decay2"] * rates["beta2"]
    params: Tensors = {}
    moments: dict[str, Tensors] = {"first": {}, "second": {}}
    for (name, param), gradient in zip(player.params.items(), gradients, strict=True):
        rate = _at(rates, param)
        first = torch.lerp(gradient, player.moments["first"][name], rate["beta1"])
        second = torch.lerp(gradient.square(), player.moments["second"][name], rate["beta2"])
        shape = rate["lr"].shape
        denominator = (second / (1 - decay2).view(shape)).sqrt() + rate["eps"]
        step = rate["lr"] / (1 - decay1).view(shape) * first / denominator
        kept = param * (1 - rate["lr"] * rate["weight_decay"]) if "weight_decay" in rate else param
        params[name] = (kept - step).requires_grad_()
        moments["first"][name], moments["second"][name] = first, second
    new = {"step": counters["step"] + 1, "decay1": decay1, "decay2": decay2}
    return Player(params, player.buffers, moments, new)


@torch.no_grad()
def _rmsprop(player: Player, gradients: Sequence[Tensor], rates: Rates) -> Player:
    """RMSprop: the gradient over the root of its running mean square (plus eps)."""
    params: Tensors = {}
    squares: Tensors = {}
    for (name, param), gradient in zip(player.params.items(), gradients, strict=True):
        rate = _at(rates, param)
        square = torch.lerp(gradient.square(), player.moments["square"][name], rate["alpha"])
        params[name] = (
            param - rate["lr"] * gradient / (square.sqrt() + rate["eps"])
        ).requires_grad_()
        squares[name] = square
    return Player(params, player.buffers, {"square": squares}, _counted(player.counters))


@torch.no_grad()
def _sgd(player: Player, gradients: Sequence[Tensor], rates: Rates) -> Player:
    """Gradient descent: velocity = momentum * velocity + gradient; step by lr * velocity."""
    params: Tensors = {}
    velocities: Tensors = {}
    for (name, param), gradient in zip(player.params.items(), gradients, strict=True):
        rate = _at(rates, param)
        velocity = rate["momentum"] * player.moments["velocity"][name] + gradient
        params[name] = (param - rate["lr"] * velocity).requires_grad_()
        velocities[name] = velocity
    return Player(params, player.buffers, {"velocity": velocities}, _counted(player.counters))


def _counted(counters: Tensors) -> Tensors:
    return {**counters, "step": counters["step"] + 1}


def _lists(
    player: Player, gradients: Sequence[Tensor], moment: str
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Parameters, gradients and a moment as the lists that kernels take.

    A gradient with other strides than its parameter gives a wrong step and no error.
    """
    return (
        list(player.params.values()),
        [gradient.contiguous() for gradient in gradients],
        [player.moments[moment][name] for name in player.params],
    )


def _adam_in_place(options: Adam | AdamW, lrs: Sequence[float]) -> Update:
    """Torch's fused kernel itself: around small networks ``torch.optim`` takes as long as it does
    (counters per parameter, grouping by device).
    """
    decay = options.weight_decay if isinstance(options, AdamW) else 0.0
    kernel = torch._fused_adamw_ if isinstance(options, AdamW) else torch._fused_adam_

    @torch.no_grad()
    def update(player: Player, gradients: Sequence[Tensor], number: int) -> Player:
        counters, moments = player.counters, player.moments
        counters["step"].add_(1)
        params, grads, first = _lists(player, gradients, "first")
        kernel(
            params,
            grads,
            first,
            [moments["second"][name] for name in player.params],
            [],
            [counters["step"]] * len(player.params),
            lr=lrs[number],
            beta1=options.beta1,
            beta2=options.beta2,
            eps=options.eps,
            weight_decay=decay,
            amsgrad=False,
            maximize=False,
        )
        counters["decay1"].mul_(options.beta1)
        counters["decay2"].mul_(options.beta2)
        return player

    return update


def _rmsprop_in_place(options: RmsProp, lrs: Sequence[float]) -> Update:
    """Multi-tensor kernels, in place."""

    @torch.no_grad()
    def update(player: Player, gradients: Sequence[Tensor], number: int) -> Player:
        player.counters["step"].add_(1)
        params, grads, squares = _lists(player, gradients, "square")
        torch._foreach_mul_(squares, options.alpha)
        torch._foreach_addcmul_(squares, grads, grads, 1 - options.alpha)
        roots = torch._foreach_sqrt(squares)
        torch._foreach_add_(roots, options.eps)
        torch._foreach_addcdiv_(params, grads, roots, -lrs[number])
        return player

    return update


def _sgd_in_place(options: Sgd, lrs: Sequence[float]) -> Update:
    """Multi-tensor kernels, in place."""

    @torch.no_grad()
    def update(player: Player, gradients: Sequence[Tensor], number: int) -> Player:
        player.counters["step"].add_(1)
        params, grads, velocities = _lists(player, gradients, "velocity")
        torch._foreach_mul_(velocities, options.momentum)
        torch._foreach_add_(velocities, grads)
        torch._foreach_add_(params, velocities, alpha=-lrs[number])
        return player

    return update


OPTIMIZERS: dict[str, Optimizer] = {
    "adam": Optimizer(("first", "second"), _adam, _adam_in_place),
    "adamw": Optimizer(("first", "second"), _adam, _adam_in_place),
    "rmsprop": Optimizer(("square",), _rmsprop, _rmsprop_in_place),
    "sgd": Optimizer(("velocity",), _sgd, _sgd_in_place),
}
