"""Losses keep their gradient where the textbook formula has lost it."""

import math

import pytest
import torch

from gantune.engine.losses import LOSSES

NS = LOSSES["non_saturating"]


@pytest.mark.parametrize("logit", [-50.0, -30.0, 0.0, 30.0, 50.0])
def test_the_generator_gradient_of_the_non_saturating_loss(logit: float) -> None:
    x = torch.tensor([logit], dtype=torch.float64, requires_grad=True)
    NS.generator(x).backward()
    assert torch.isfinite(x.grad).all()
    # d/dx softplus(-x) = -sigmoid(-x): -1 at -30, where -log(sigmoid(x) + 1e-8) gives -9e-6.
    assert x.grad.item() == pytest.approx(-1 / (1 + math.exp(logit)), rel=1e-12)


def test_losses_at_equilibrium_are_log_two() -> None:
    zero = torch.zeros(7)
    for part in (NS.real, NS.fake, NS.generator):
        torch.testing.assert_close(part(zero), torch.tensor(math.log(2)))


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_losses_reduce_over_the_last_axis_only(name: str) -> None:
    loss = LOSSES[name]
    logits = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    for part in (loss.real, loss.fake, loss.generator):
        whole = part(logits)
        assert whole.shape == (3, 4)
        torch.testing.assert_close(whole[1, 2], part(logits[1, 2]))
