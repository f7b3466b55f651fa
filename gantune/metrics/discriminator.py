"""What a discriminator's logits say: accuracy, pairwise AUC, overfitting."""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Accuracy(NamedTuple):
    """Shares of samples classified right, one value per batch.

    Attributes:
        real: (...,) real samples taken for real.
        fake: (...,) generated samples taken for generated.
    """

    real: Tensor
    fake: Tensor

    @property
    def mean(self) -> Tensor:
        """Mean of both parts: 0.5 where the players are in equilibrium."""
        return (self.real + self.fake) / 2


def accuracy(real: Tensor, fake: Tensor, threshold: float | None) -> Accuracy:
    """Accuracy on (..., B) logits of real and of generated samples.

    Args:
        real: Logits of real samples.
        fake: Logits of generated samples.
        threshold: Above it a sample is taken for real; None: the midpoint of the two batch means,
            for losses without a threshold (Wasserstein).
    """
    if threshold is None:
        border = (real.mean(-1, keepdim=True) + fake.mean(-1, keepdim=True)) / 2
    else:
        border = torch.full((1,), threshold, dtype=real.dtype, device=real.device)
    # Half a sample that stands on the border is right, so that a constant D scores 0.5.
    right_real = (real > border).float() + 0.5 * (real == border).float()
    right_fake = (fake < border).float() + 0.5 * (fake == border).float()
    return Accuracy(right_real.mean(-1), right_fake.mean(-1))


def pairwise_auc(real: Tensor, fake: Tensor) -> Tensor:
    """P(D(x) > D(G(z))) over all pairs of a batch, ties counting half: comparable across losses.

    Args:
        real: (..., B) logits of real samples.
        fake: (..., B') logits of generated samples.

    Returns:
        (...,) one value per batch, 0 to 1.
    """
    ranked = fake.sort(-1).values.contiguous()
    real = real.contiguous()
    below = torch.searchsorted(ranked, real, right=False)
    not_above = torch.searchsorted(ranked, real, right=True)
    return (below + not_above).float().mean(-1) / (2 * fake.shape[-1])


def overfitting_gap(train: Tensor, held: Tensor, fake: Tensor) -> float | None:
    """r_v = (E D(train) - E D(held out)) / (E D(train) - E D(fake)) of logits.

    0: held-out samples look like training ones; 1: D takes them for generated, having learned the
    training set by heart (Karras et al. 2020, arXiv 2006.06676, equation 1). Scale and offset of
    the loss cancel.

    Args:
        train: (n,) logits of real samples trained on.
        held: (h,) logits of real samples held out.
        fake: (m,) logits of generated samples.

    Returns:
        About 0 to 1, a little outside by chance. None where D does not put training samples above
        generated ones (or a logit is not finite): there is no gap to take a share of.
    """
    top = train.double().mean()
    gap = float(top - fake.double().mean())
    excess = float(top - held.double().mean())
    if gap > 0 and math.isfinite(gap) and math.isfinite(excess):
        return excess / gap
    return None
