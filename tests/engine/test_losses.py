"""Losses: published equilibria, gradients that survive large logits, parts that add up."""

import math

import pytest
import torch

from gantune.engine.losses import LOSSES, soft_labels

LN2 = math.log(2)

# Discriminator and generator loss where D cannot tell (gan.md 4.1); D's output there.
EQUILIBRIA = {
    "non_saturating": (0.0, LN2, LN2),
    "minimax": (0.0, LN2, -LN2),
    "least_squares": (0.5, 0.25, 0.125),
    "wasserstein": (0.0, 0.0, 0.0),
    "hinge": (0.0, 2.0, 0.0),
    "relativistic": (0.0, LN2, LN2),
}


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_losses_at_equilibrium(name: str) -> None:
    output, d_loss, g_loss = EQUILIBRIA[name]
    logits, loss = torch.full((7,), output), LOSSES[name]
    torch.testing.assert_close(loss.discriminator(logits, logits).total, torch.tensor(d_loss))
    torch.testing.assert_close(loss.generator(logits, logits), torch.tensor(g_loss))


@pytest.mark.parametrize("logit", [-50.0, -30.0, 0.0, 30.0, 50.0])
def test_the_generator_gradient_of_the_non_saturating_loss(logit: float) -> None:
    x = torch.tensor([logit], dtype=torch.float64, requires_grad=True)
    LOSSES["non_saturating"].generator(x, None).backward()
    # d/dx softplus(-x) = -sigmoid(-x): -1 at -30, where -log(sigmoid(x) + 1e-8) gives -9e-6.
    assert x.grad is not None
    assert x.grad.item() == pytest.approx(-1 / (1 + math.exp(logit)), rel=1e-12)


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("logit", [-50.0, 50.0])
def test_losses_and_gradients_are_finite_at_large_logits(name: str, logit: float) -> None:
    loss = LOSSES[name]
    real = torch.tensor([logit], requires_grad=True)
    fake = torch.tensor([-logit], requires_grad=True)
    total = loss.discriminator(real, fake).total + loss.generator(fake, real)
    gradients = torch.autograd.grad(total, [real, fake], allow_unused=True)
    assert torch.isfinite(total)
    assert all(g is None or bool(torch.isfinite(g).all()) for g in gradients)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_each_player_pulls_where_it_should(name: str) -> None:
    """D raises real and lowers generated logits, G raises generated ones, near equilibrium."""
    loss, output = LOSSES[name], EQUILIBRIA[name][0]
    real = torch.full((4,), output, requires_grad=True)
    fake = torch.full((4,), output, requires_grad=True)
    up, down = torch.autograd.grad(loss.discriminator(real, fake).total, [real, fake])
    assert (up < 0).all() and (down > 0).all()
    (pull,) = torch.autograd.grad(loss.generator(fake, real.detach()), [fake])
    assert (pull < 0).all()


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_losses_reduce_over_the_last_axis_only(name: str) -> None:
    loss, rng = LOSSES[name], torch.Generator().manual_seed(0)
    real, fake = torch.randn(3, 4, 5, generator=rng), torch.randn(3, 4, 5, generator=rng)
    whole, alone = loss.discriminator(real, fake), loss.discriminator(real[1, 2], fake[1, 2])
    torch.testing.assert_close(whole.total[1, 2], alone.total)
    g_loss = loss.generator(fake, real)
    assert whole.total.shape == g_loss.shape == (3, 4)
    torch.testing.assert_close(g_loss[1, 2], loss.generator(fake[1, 2], real[1, 2]))


def test_least_squares_and_hinge_by_hand() -> None:
    real, fake = torch.tensor([0.5, 2.0]), torch.tensor([-0.5, 0.5])
    squares = LOSSES["least_squares"]
    # (0.25 + 1) / 2 / 2 and (0.25 + 0.25) / 2 / 2; (2.25 + 0.25) / 2 / 2.
    assert squares.discriminator(real, fake).real == pytest.approx(0.3125)
    assert squares.discriminator(real, fake).fake == pytest.approx(0.125)
    assert squares.generator(fake, None) == pytest.approx(0.625)
    hinge = LOSSES["hinge"].discriminator(real, fake)
    assert hinge.real == pytest.approx(0.25) and hinge.fake == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["non_saturating", "minimax", "least_squares"])
def test_hard_labels_give_the_plain_loss(name: str) -> None:
    loss, rng = LOSSES[name], torch.Generator().manual_seed(0)
    real, fake = torch.randn(5, generator=rng), torch.randn(5, generator=rng)
    assert loss.on_targets is not None
    found = loss.on_targets(real, fake, torch.ones(5), torch.zeros(5))
    torch.testing.assert_close(found, loss.discriminator(real, fake).total)


def test_soft_labels_by_hand() -> None:
    # -0.9 ln s(1) - 0.1 ln s(-1) on real, -ln s(-1) on generated, their mean.
    loss = LOSSES["non_saturating"].on_targets
    assert loss is not None
    one = torch.ones(1)
    found = loss(one, one, 0.9 * one, 0 * one)
    ln_plus, ln_minus = math.log(1 / (1 + math.exp(-1))), math.log(1 / (1 + math.exp(1)))
    expected = (-0.9 * ln_plus - 0.1 * ln_minus - ln_minus) / 2
    assert found.item() == pytest.approx(expected, rel=1e-6)
    squares = LOSSES["least_squares"].on_targets
    assert squares is not None
    assert squares(one, one, 0.5 * one, one).item() == pytest.approx(0.125)


def test_labels_are_smoothed_on_one_side_and_flipped_by_chance() -> None:
    u = torch.tensor([[0.05, 0.5], [0.5, 0.05]])
    real, fake = soft_labels(u, torch.tensor(0.1), torch.tensor(0.1))
    torch.testing.assert_close(real, torch.tensor([0.0, 0.9]))
    torch.testing.assert_close(fake, torch.tensor([0.0, 0.9]))
