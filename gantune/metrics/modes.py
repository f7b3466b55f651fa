"""Which modes or classes samples reach, and how evenly.

Three numbers belong together, for one sample in 2,500 is enough to "capture" a mode: how many
modes, what share of samples is of high quality, and the divergence of the histogram.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from gantune.errors import UsageError
from gantune.metrics.distances import squared_distances, to_wide

HIGH_QUALITY_STDS = 3.0
PAIRED = 2000
"""Samples beyond which the mean pairwise distance is that of a fixed random choice of them."""


class ModeStatistics(NamedTuple):
    """What a histogram over modes says.

    Attributes:
        modes: Modes with at least one sample (of high quality, for mixtures).
        mode_kl: KL(samples' histogram || the data's) in nats; None where no sample counts. Its
            floor for n samples of the data itself is about (K - 1) / 2n.
        mode_jsd: Jensen-Shannon divergence of the two in nats, 0 to ln 2; None where no sample
            counts.
        mode_entropy: Entropy over ln K, 0 to 1; None where no sample counts or K = 1.
        mode_histogram: Share of the counted samples in each mode; None where none counts.
        high_quality: Share of samples within 3 std of a mode; None for classes.
    """

    modes: int
    mode_kl: float | None
    mode_jsd: float | None
    mode_entropy: float | None
    mode_histogram: list[float] | None
    high_quality: float | None


class Judged(NamedTuple):
    """What a protocol makes of samples.

    Attributes:
        good: (n,) whether of high quality.
        counted: (n,) whether in the histogram behind divergences and entropy.
    """

    good: Tensor
    counted: Tensor


Protocol = Literal["pacgan", "veegan", "self_conditioned"]


def judge_pacgan(offsets: Tensor) -> Judged:
    """Good below 3 std (Euclidean); the histogram is that of good samples.

    arXiv 1712.04086, section 4.1; code: ``dis_thre=3``.
    """
    good = offsets.norm(dim=1) < HIGH_QUALITY_STDS
    return Judged(good, good)


def judge_veegan(offsets: Tensor) -> Judged:
    """Good within 3 std, the border too; a mode is reached by one good sample.

    arXiv 1705.07761. VEEGAN gives no divergence: here that of good samples.
    """
    good = offsets.norm(dim=1) <= HIGH_QUALITY_STDS
    return Judged(good, good)


def judge_self_conditioned(offsets: Tensor) -> Judged:
    """Good in a box of 3 std along each axis; the histogram is that of all samples.

    Self-conditioned GAN (Liu et al. 2020, arXiv 2006.10728), ``2d_mix/evaluation.py``.
    """
    good = (offsets.abs() < HIGH_QUALITY_STDS).all(1)
    return Judged(good, torch.ones_like(good))


PROTOCOLS: dict[Protocol, Callable[[Tensor], Judged]] = {
    "pacgan": judge_pacgan,
    "veegan": judge_veegan,
    "self_conditioned": judge_self_conditioned,
}
"""Each takes (n, d) offsets from the nearest mean in standard deviations."""


def mode_statistics(
    samples: Tensor, centers: Tensor, std: float, protocol: Protocol = "pacgan"
) -> ModeStatistics:
    """Modes of an equal mixture of isotropic Gaussians.

    Published numbers compare within one protocol only. Of the data itself in 2-D, PacGAN's and
    VEEGAN's take 1 - exp(-4.5) = 98.89 % for good, the box of self-conditioned GAN 99.46 %.

    Args:
        samples: (n, d), n >= 1.
        centers: (K, d) means.
        std: Standard deviation of each component, above 0.
        protocol: Which samples are good, and which make the histogram.

    Raises:
        UsageError: No samples, a value that is not finite, std <= 0, or an unknown protocol.
    """
    if std <= 0:
        raise UsageError(f"a mixture's std is above 0, got {std}")
    if protocol not in PROTOCOLS:
        raise UsageError(f"unknown protocol {protocol!r}: one of {', '.join(PROTOCOLS)}")
    wide, means = to_wide(samples, 1, "mode_statistics"), centers.double()
    nearest = torch.cdist(wide, means).argmin(1)
    good, counted = PROTOCOLS[protocol]((wide - means[nearest]) / std)
    counts = torch.bincount(nearest[counted], minlength=len(means)).cpu()
    uniform = torch.full((len(means),), 1 / len(means), dtype=torch.float64)
    return counts_to_statistics(counts, uniform)._replace(
        modes=len(nearest[good].unique()), high_quality=float(good.double().mean())
    )


def mixture_statistics(samples: Tensor, centers: Tensor, std: float) -> ModeStatistics:
    """:func:`mode_statistics` by PacGAN's protocol."""
    return mode_statistics(samples, centers, std)


def counts_to_statistics(counts: Tensor, data_share: Tensor) -> ModeStatistics:
    """Statistics of a histogram.

    Args:
        counts: (K,) samples in each mode.
        data_share: (K,) float64 share of the data in each mode, all positive where counts are.
    """
    modes = int((counts > 0).sum())
    if modes == 0:
        return ModeStatistics(0, None, None, None, None, None)
    share = counts.double() / counts.sum()
    middle = (share + data_share) / 2
    entropy = None
    if len(counts) > 1:
        entropy = float(torch.special.entr(share).sum() / math.log(len(counts)))
    return ModeStatistics(
        modes=modes,
        mode_kl=_divergence(share, data_share),
        mode_jsd=(_divergence(share, middle) + _divergence(data_share, middle)) / 2,
        mode_entropy=entropy,
        mode_histogram=share.tolist(),
        high_quality=None,
    )


def _divergence(p: Tensor, q: Tensor) -> float:
    """KL(p || q) of (K,) shares in nats; modes without p count 0."""
    held = p > 0
    return float((p[held] * (p[held].log() - q[held].log())).sum())


def pair_distance_ratio(real: Tensor, fake: Tensor) -> float | None:
    """Mean distance between two generated samples over that between two real ones.

    1 for samples of the data, towards 0 where samples collapse: for data without labels.

    Args:
        real: (n, d) features, n >= 2.
        fake: (m, d) features, m >= 2.

    Returns:
        0 or more; None where the real samples are all alike.

    Raises:
        UsageError: Too few samples, or a value that is not finite.
    """
    spread = mean_pair_distance(real)
    return mean_pair_distance(fake) / spread if spread > 0 else None


def mean_pair_distance(features: Tensor) -> float:
    """Mean Euclidean distance of two different samples of (n, d) features, n >= 2.

    Of all pairs up to 2,000 samples; of more, a random choice of 2,000 that is always the same, as
    neighbouring rows of a data set may be alike. Exactly 0 where all are alike.
    """
    wide = to_wide(features, 2, "pair_distance_ratio")
    if len(wide) > PAIRED:
        rng = torch.Generator().manual_seed(0)
        wide = wide[torch.randperm(len(wide), generator=rng)[:PAIRED].to(wide.device)]
    if bool((wide == wide[0]).all()):
        return 0.0
    total = sum(block.clamp_(min=0).sqrt_().sum() for block in squared_distances(wide, wide))
    return float(total / (len(wide) * (len(wide) - 1)))
