"""Penalties against closed forms: a linear critic has the same gradient everywhere."""

import math

import pytest
import torch
from torch import Tensor

from gantune.engine.optim import new_player
from gantune.engine.penalties import PENALTIES, clip_weights

WEIGHT = torch.tensor([3.0, -4.0])  # of norm 5


def linear(samples: Tensor) -> Tensor:
    return samples.flatten(-1) @ WEIGHT


def batch(seed: int, shape: tuple[int, ...] = (6, 2)) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


MIX = torch.linspace(0, 1, 6)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("r1", 25 / 2), ("r2", 25 / 2), ("r1_r2", 25.0), ("wgan_gp", (5 - 1) ** 2)],
)
def test_a_linear_critic(name: str, expected: float) -> None:
    term = PENALTIES[name]
    assert term is not None
    assert term(linear, batch(0), batch(1), MIX).item() == pytest.approx(expected, rel=1e-6)


def test_each_penalty_looks_at_its_own_samples() -> None:
    """For D(x) = |x|^2 / 2 the gradient is x itself."""

    def quadratic(samples: Tensor) -> Tensor:
        return samples.square().sum(-1) / 2

    real, fake = batch(0), batch(1)
    norms = {"real": real.square().sum(-1).mean() / 2, "fake": fake.square().sum(-1).mean() / 2}
    terms = {name: term(quadratic, real, fake, MIX) for name, term in PENALTIES.items() if term}
    torch.testing.assert_close(terms["r1"], norms["real"])
    torch.testing.assert_close(terms["r2"], norms["fake"])
    between = MIX[:, None] * real + (1 - MIX[:, None]) * fake
    torch.testing.assert_close(terms["wgan_gp"], (between.norm(dim=-1) - 1).square().mean())


def test_norms_are_over_all_axes_of_a_sample() -> None:
    weight = batch(3, (2, 3, 3))

    def critic(samples: Tensor) -> Tensor:
        return (samples * weight).sum((-3, -2, -1))

    term = PENALTIES["r1"]
    assert term is not None
    found = term(critic, batch(0, (5, 2, 3, 3)), batch(1, (5, 2, 3, 3)), None)
    assert found.item() == pytest.approx(weight.square().sum().item() / 2, rel=1e-5)


def test_the_penalty_reaches_the_critics_weights() -> None:
    weight = WEIGHT.clone().requires_grad_()
    term = PENALTIES["wgan_gp"]
    assert term is not None
    value = term(lambda x: x @ weight, batch(0), batch(1), MIX)
    (gradient,) = torch.autograd.grad(value, weight)
    # d (|w| - 1)^2 / dw = 2 (|w| - 1) w / |w|.
    torch.testing.assert_close(gradient, 2 * 4 * WEIGHT / 5)


def test_a_critic_without_a_gradient_has_a_finite_penalty() -> None:
    """The norm's own gradient is 0 / 0 there."""
    weight = torch.zeros(2, requires_grad=True)
    term = PENALTIES["wgan_gp"]
    assert term is not None
    value = term(lambda x: x @ weight, batch(0), batch(1), MIX)
    (gradient,) = torch.autograd.grad(value, weight)
    assert value.item() == 1 and torch.isfinite(gradient).all()


def test_clipped_weights_stay_within_bounds() -> None:
    params = {"a": torch.tensor([[0.5, -0.003], [-2.0, 0.01]]), "b": torch.tensor([math.pi])}
    clipped = clip_weights(new_player(params, {}), torch.tensor(0.01)).params
    torch.testing.assert_close(clipped["a"], torch.tensor([[0.01, -0.003], [-0.01, 0.01]]))
    torch.testing.assert_close(clipped["b"], torch.tensor([0.01]))
    stacked = {"a": torch.ones(2, 3, 3)}
    both = clip_weights(new_player(stacked, {}), torch.tensor([0.1, 0.2])).params["a"]
    assert (both[0] == 0.1).all() and (both[1] == 0.2).all()
