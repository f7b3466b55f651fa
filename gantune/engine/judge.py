"""What the discriminator, in eval mode, says of samples it was and was not trained on."""

from typing import NamedTuple

import torch
from torch import Tensor

from gantune.engine.losses import Loss
from gantune.engine.networks.base import Network
from gantune.engine.state import Player
from gantune.metrics.discriminator import accuracy, overfitting_gap

JUDGED = 1000
"""Samples of each side, at most."""

SLOPES = 64
"""Samples of each side at which its gradient is taken."""


class Judge(NamedTuple):
    """A discriminator after an epoch."""

    network: Network
    player: Player
    loss: Loss

    def score(
        self, real: Tensor, holdout: Tensor, fake: Tensor, pack: int
    ) -> dict[str, float | None]:
        """Columns of the ``epochs`` table.

        Args:
            real: (n, ...) training samples.
            holdout: (h, ...) held-out ones, maybe none.
            fake: (m, ...) generated ones.
            pack: Samples that are judged together.
        """
        scores: dict[str, float | None] = {
            "d_slope_real": self.slope(_packs(real[:SLOPES], pack)),
            "d_slope_fake": self.slope(_packs(fake[:SLOPES], pack)),
        }
        if len(holdout) < pack:
            return scores
        with torch.no_grad():
            known, held, made = (
                self.logits(_packs(side[:JUDGED], pack)) for side in (real, holdout, fake)
            )
        right = accuracy(held, made, self.loss.threshold)
        scores["d_acc_holdout"] = float(right.real)
        scores["d_overfit"] = overfitting_gap(known, held, made)
        return scores

    def logits(self, samples: Tensor) -> Tensor:
        """(n / pack,) logits of samples."""
        player = self.player
        return self.network(player.params, player.buffers, samples, {}, train=False)[0]

    def slope(self, samples: Tensor) -> float:
        """Mean norm of the gradient with respect to samples (or packs of them)."""
        at = samples.detach().requires_grad_()
        logits = self.logits(at)
        (gradient,) = torch.autograd.grad(logits.sum(), at)
        norms = torch.linalg.vector_norm(gradient.reshape(len(logits), -1), dim=1)
        return float(norms.mean())


def _packs(samples: Tensor, pack: int) -> Tensor:
    """As many samples as make whole packs."""
    return samples[: len(samples) // pack * pack]
