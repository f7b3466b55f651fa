"""GAN losses: functions of logits, apart from networks and penalties.

Each reduces over the last axis only, so that the same code serves stacked trials. Probabilities go
through softplus: softplus(x) = log(1 + e^x) keeps its gradient where log(sigmoid(x) + eps) has lost
it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

Logits = Tensor


class DiscriminatorLoss(NamedTuple):
    """A discriminator's loss, (...,) each.

    Attributes:
        total: What it minimises.
        real: The part on real samples; None where the loss has no parts.
        fake: The part on generated samples; likewise.
    """

    total: Tensor
    real: Tensor | None
    fake: Tensor | None


@dataclass(frozen=True)
class Loss:
    """The two players' losses.

    Attributes:
        discriminator: (..., B) logits of real and of generated samples -> its loss.
        generator: (..., B) logits of generated and of real samples -> (...,) loss. The latter are
            None unless ``needs_real``.
        threshold: The logit above which a sample counts as taken for real; None where the loss
            has no such value.
        is_probability: Whether sigmoid(logit) is the discriminator's probability of "real".
        needs_real: Whether the generator's loss looks at real samples, too.
        on_targets: (..., B) logits of real, of generated samples and the label of each, 0 to 1 ->
            (...,) the discriminator's loss; None where there are no labels to soften.
    """

    discriminator: Callable[[Logits, Logits], DiscriminatorLoss]
    generator: Callable[[Logits, Logits | None], Tensor]
    threshold: float | None
    is_probability: bool = False
    needs_real: bool = False
    on_targets: Callable[[Logits, Logits, Tensor, Tensor], Tensor] | None = None


def _cross_entropy(real: Logits, fake: Logits) -> DiscriminatorLoss:
    """-log D(x) and -log(1 - D(G(z))), their mean: ln 2 at equilibrium."""
    on_real, on_fake = F.softplus(-real).mean(-1), F.softplus(fake).mean(-1)
    return DiscriminatorLoss((on_real + on_fake) / 2, on_real, on_fake)


def _cross_entropy_on(real: Logits, fake: Logits, real_label: Tensor, fake_label: Tensor) -> Tensor:
    """-t log D - (1 - t) log(1 - D), mean of both halves."""
    on_real = (F.softplus(real) - real_label * real).mean(-1)
    on_fake = (F.softplus(fake) - fake_label * fake).mean(-1)
    return (on_real + on_fake) / 2


def _non_saturating(fake: Logits, real: Logits | None) -> Tensor:
    """-log D(G(z)) (Goodfellow et al. 2014, arXiv 1406.2661, section 3)."""
    return F.softplus(-fake).mean(-1)


def _minimax(fake: Logits, real: Logits | None) -> Tensor:
    """log(1 - D(G(z))) (Goodfellow et al. 2014, equation 1)."""
    return -F.softplus(fake).mean(-1)


def _least_squares_d(real: Logits, fake: Logits) -> DiscriminatorLoss:
    """(D(x) - 1)^2 / 2 + D(G(z))^2 / 2 (Mao et al. 2017, arXiv 1611.04076, equation 9)."""
    on_real, on_fake = (real - 1).square().mean(-1) / 2, fake.square().mean(-1) / 2
    return DiscriminatorLoss(on_real + on_fake, on_real, on_fake)


def _least_squares_on(real: Logits, fake: Logits, real_label: Tensor, fake_label: Tensor) -> Tensor:
    """(D - t)^2 / 2, sum of both halves."""
    return ((real - real_label).square().mean(-1) + (fake - fake_label).square().mean(-1)) / 2


def _least_squares_g(fake: Logits, real: Logits | None) -> Tensor:
    """(D(G(z)) - 1)^2 / 2 (Mao et al. 2017, equation 9)."""
    return (fake - 1).square().mean(-1) / 2


def _wasserstein_d(real: Logits, fake: Logits) -> DiscriminatorLoss:
    """D(G(z)) - D(x) (Arjovsky et al. 2017, arXiv 1701.07875, algorithm 1)."""
    on_real, on_fake = -real.mean(-1), fake.mean(-1)
    return DiscriminatorLoss(on_real + on_fake, on_real, on_fake)


def _critic_g(fake: Logits, real: Logits | None) -> Tensor:
    """-D(G(z))."""
    return -fake.mean(-1)


def _hinge_d(real: Logits, fake: Logits) -> DiscriminatorLoss:
    """max(0, 1 - D(x)) + max(0, 1 + D(G(z))) (Lim & Ye 2017, arXiv 1705.02894)."""
    on_real, on_fake = F.relu(1 - real).mean(-1), F.relu(1 + fake).mean(-1)
    return DiscriminatorLoss(on_real + on_fake, on_real, on_fake)


def _relativistic_d(real: Logits, fake: Logits) -> DiscriminatorLoss:
    """softplus(-(D(x) - D(G(z)))) over pairs (Huang et al. 2024, arXiv 2501.05441, equation 2)."""
    return DiscriminatorLoss(F.softplus(fake - real).mean(-1), None, None)


def _relativistic_g(fake: Logits, real: Logits | None) -> Tensor:
    """softplus(-(D(G(z)) - D(x))) over pairs."""
    assert real is not None
    return F.softplus(real - fake).mean(-1)


def soft_labels(u: Tensor, smoothing: Tensor, flips: Tensor) -> tuple[Tensor, Tensor]:
    """Labels of real and of generated samples, smoothed and flipped.

    Args:
        u: (..., 2, B) from U(0, 1).
        smoothing: (...,) what the label of real samples lacks to 1.
        flips: (...,) chance that a sample gets the other label.
    """
    is_flipped = (u < flips[..., None, None]).to(u.dtype)
    high = (1 - smoothing)[..., None]
    return high * (1 - is_flipped[..., 0, :]), high * is_flipped[..., 1, :]


LOSSES = {
    "non_saturating": Loss(
        _cross_entropy, _non_saturating, 0.0, is_probability=True, on_targets=_cross_entropy_on
    ),
    "minimax": Loss(
        _cross_entropy, _minimax, 0.0, is_probability=True, on_targets=_cross_entropy_on
    ),
    "least_squares": Loss(_least_squares_d, _least_squares_g, 0.5, on_targets=_least_squares_on),
    "wasserstein": Loss(_wasserstein_d, _critic_g, None),
    "hinge": Loss(_hinge_d, _critic_g, 0.0),
    "relativistic": Loss(_relativistic_d, _relativistic_g, None, needs_real=True),
}
