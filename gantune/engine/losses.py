"""GAN losses: functions of logits, apart from networks and penalties.

Each reduces over the last axis only, so that the same code serves stacked trials.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

Logits = Tensor


@dataclass(frozen=True)
class Loss:
    """The two players' losses.

    Attributes:
        real: (..., B) logits of real samples -> (...,) discriminator loss on them.
        fake: (..., B) logits of generated samples -> (...,) discriminator loss on them.
        generator: (..., B) logits of generated samples -> (...,) generator loss.
        threshold: The logit above which a sample counts as taken for real; None where the loss
            has no such value.
        is_probability: Whether sigmoid(logit) is the discriminator's probability of "real".
    """

    real: Callable[[Logits], Tensor]
    fake: Callable[[Logits], Tensor]
    generator: Callable[[Logits], Tensor]
    threshold: float | None
    is_probability: bool


# softplus(x) = log(1 + e^x) keeps its gradient where log(sigmoid(x) + eps) has lost it.
NON_SATURATING = Loss(
    real=lambda logits: F.softplus(-logits).mean(-1),  # -log D(x)
    fake=lambda logits: F.softplus(logits).mean(-1),  # -log(1 - D(G(z)))
    generator=lambda logits: F.softplus(-logits).mean(-1),  # -log D(G(z))
    threshold=0.0,
    is_probability=True,
)

LOSSES = {"non_saturating": NON_SATURATING}
