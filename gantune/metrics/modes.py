"""Which modes or classes samples reach, and how evenly.

Three numbers belong together, for one sample in 2,500 is enough to "capture" a mode: how many
modes, what share of samples is of high quality, and the divergence of the histogram.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

HIGH_QUALITY_STDS = 3.0


class ModeStatistics(NamedTuple):
    """What a histogram over modes says.

    Attributes:
        modes: Modes with at least one sample.
        mode_kl: KL(samples' histogram || the data's) in nats; None where no sample counts. Its
            floor for n samples of the data itself is about (K - 1) / 2n.
        mode_entropy: Entropy over ln K, 0 to 1; None where no sample counts.
        mode_histogram: Share of the counted samples in each mode; None where none counts.
        high_quality: Share of samples that count (within 3 std of a mode); None for classes.
    """

    modes: int
    mode_kl: float | None
    mode_entropy: float | None
    mode_histogram: list[float] | None
    high_quality: float | None


def mixture_statistics(samples: Tensor, centers: Tensor, std: float) -> ModeStatistics:
    """Modes of a mixture of isotropic Gaussians, by PacGAN's protocol.

    A sample is of high quality within 3 standard deviations (Euclidean) of the nearest mean; modes,
    divergence and entropy are those of the high-quality samples, against the uniform histogram
    (arXiv 1712.04086, section 4.1; code: ``dis_thre=3``).

    Args:
        samples: (n, d).
        centers: (K, d) means.
        std: Standard deviation of each component.
    """
    distances, nearest = torch.cdist(samples.double(), centers.double()).min(1)
    good = distances < HIGH_QUALITY_STDS * std
    counts = torch.bincount(nearest[good], minlength=len(centers))
    uniform = torch.full((len(centers),), 1 / len(centers), dtype=torch.float64)
    statistics = counts_to_statistics(counts.cpu(), uniform)
    return statistics._replace(high_quality=float(good.double().mean()))


def counts_to_statistics(counts: Tensor, data_share: Tensor) -> ModeStatistics:
    """Statistics of a histogram.

    Args:
        counts: (K,) samples in each mode.
        data_share: (K,) float64 share of the data in each mode, all positive where counts are.
    """
    modes = int((counts > 0).sum())
    if modes == 0:
        return ModeStatistics(0, None, None, None, None)
    share = counts.double() / counts.sum()
    held = share > 0
    log_share = share[held].log()
    kl = (share[held] * (log_share - data_share[held].log())).sum()
    entropy = -(share[held] * log_share).sum() / math.log(len(counts))
    # A lone mode leaves -0.0.
    return ModeStatistics(modes, float(kl), abs(float(entropy)), share.tolist(), None)
