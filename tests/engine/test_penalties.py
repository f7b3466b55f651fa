"""Penalties against closed forms: a linear critic has the same gradient everywhere."""

import math
from collections.abc import Callable

import pytest
import torch
from lab import bench, config
from torch import Tensor

from gantune.engine.optim import new_player
from gantune.engine.penalties import (
    MEMORIES,
    PENALTIES,
    Subject,
    clip_weights,
    remember,
)

WEIGHT = torch.tensor([3.0, -4.0])  # of norm 5
MIX = torch.linspace(0, 1, 6)


def linear(samples: Tensor) -> Tensor:
    return samples.flatten(-1) @ WEIGHT


def batch(seed: int, shape: tuple[int, ...] = (6, 2)) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def subject(
    critic: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor,
    memory: dict[str, Tensor] | None = None,
) -> Subject:
    return Subject(
        critic=critic,
        params={"0.weight": WEIGHT[None], "0.bias": torch.tensor([7.0])},
        real=real,
        fake=fake,
        real_logits=critic(real),
        fake_logits=critic(fake),
        uniform=lambda shape: MIX.view(-1, *(1 for _ in shape)).expand(len(real), *shape),
        memory=memory or {},
        decay=torch.tensor(0.5),
    )


def term(name: str, about: Subject) -> Tensor:
    function = PENALTIES[name]
    assert function is not None
    return function(about)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("r1", 25 / 2),
        ("r2", 25 / 2),
        ("r1_r2", 25.0),
        ("wgan_gp", (5 - 1) ** 2),
        ("dragan", (5 - 1) ** 2),
        ("l2", 25 / 2),  # of the weight; the bias does not count
    ],
)
def test_a_linear_critic(name: str, expected: float) -> None:
    found = term(name, subject(linear, batch(0), batch(1)))
    assert found.item() == pytest.approx(expected, rel=1e-6)


def test_each_penalty_looks_at_its_own_samples() -> None:
    """For D(x) = |x|^2 / 2 the gradient is x itself."""

    def quadratic(samples: Tensor) -> Tensor:
        return samples.square().sum(-1) / 2

    real, fake = batch(0), batch(1)
    about = subject(quadratic, real, fake)
    torch.testing.assert_close(term("r1", about), real.square().sum(-1).mean() / 2)
    torch.testing.assert_close(term("r2", about), fake.square().sum(-1).mean() / 2)
    between = MIX[:, None] * real + (1 - MIX[:, None]) * fake
    expected = (between.norm(dim=-1) - 1).square().mean()
    torch.testing.assert_close(term("wgan_gp", about), expected)
    # Around real samples: x + u * std(x) / 2 * u', both U(0, 1) numbers being MIX here.
    around = real + MIX[:, None] * real.std(correction=0) / 2 * MIX[:, None]
    expected = (around.norm(dim=-1) - 1).square().mean()
    torch.testing.assert_close(term("dragan", about), expected)


def test_norms_are_over_all_axes_of_a_sample() -> None:
    weight = batch(3, (2, 3, 3))

    def critic(samples: Tensor) -> Tensor:
        return (samples * weight).sum((-3, -2, -1))

    found = term("r1", subject(critic, batch(0, (5, 2, 3, 3)), batch(1, (5, 2, 3, 3))))
    assert found.item() == pytest.approx(weight.square().sum().item() / 2, rel=1e-5)


def test_the_penalty_reaches_the_critics_weights() -> None:
    weight = WEIGHT.clone().requires_grad_()
    value = term("wgan_gp", subject(lambda x: x @ weight, batch(0), batch(1)))
    (gradient,) = torch.autograd.grad(value, weight)
    # d (|w| - 1)^2 / dw = 2 (|w| - 1) w / |w|.
    torch.testing.assert_close(gradient, 2 * 4 * WEIGHT / 5)


def test_a_critic_without_a_gradient_has_a_finite_penalty() -> None:
    """The norm's own gradient is 0 / 0 there."""
    weight = torch.zeros(2, requires_grad=True)
    value = term("wgan_gp", subject(lambda x: x @ weight, batch(0), batch(1)))
    (gradient,) = torch.autograd.grad(value, weight)
    assert value.item() == 1 and torch.isfinite(gradient).all()


def test_lecam_pulls_towards_running_means_by_hand() -> None:
    """After two updates with decay 1/2 the corrected means weigh them 1/3 and 2/3."""
    memory = {name: torch.tensor(value) for name, value in MEMORIES["lecam"].items()}
    decay = torch.tensor(0.5)
    memory = remember(memory, torch.tensor([1.0, 3.0]), torch.tensor([-1.0]), decay)
    memory = remember(memory, torch.tensor([5.0]), torch.tensor([-4.0, -2.0]), decay)
    real_anchor, fake_anchor = (2 + 2 * 5) / 3, (-1 - 2 * 3) / 3
    about = subject(lambda x: x[:, 0], torch.tensor([[4.0]]), torch.tensor([[0.0]]), memory)
    expected = (4 - fake_anchor) ** 2 + (0 - real_anchor) ** 2
    assert term("lecam", about).item() == pytest.approx(expected, rel=1e-6)


def test_lecam_remembers_over_epochs() -> None:
    one = bench(config(**{"penalty.name": "lecam", "train.steps_per_epoch": 2}))
    first, _ = one.solo(0)
    second, _ = one.solo(0, state=first, epoch=2)
    assert first.memory["lecam.left"].item() == pytest.approx(0.99**2, rel=1e-6)
    assert second.memory["lecam.left"].item() == pytest.approx(0.99**4, rel=1e-6)


def test_clipped_weights_stay_within_bounds() -> None:
    params = {"a": torch.tensor([[0.5, -0.003], [-2.0, 0.01]]), "b": torch.tensor([math.pi])}
    clipped = clip_weights(new_player(params, {}, "sgd"), torch.tensor(0.01)).params
    torch.testing.assert_close(clipped["a"], torch.tensor([[0.01, -0.003], [-0.01, 0.01]]))
    torch.testing.assert_close(clipped["b"], torch.tensor([0.01]))
    stacked = {"a": torch.ones(2, 3, 3)}
    both = clip_weights(new_player(stacked, {}, "sgd"), torch.tensor([0.1, 0.2])).params["a"]
    assert (both[0] == 0.1).all() and (both[1] == 0.2).all()
