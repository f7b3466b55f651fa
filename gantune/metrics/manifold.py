"""Quality, diversity and memorization from neighbourhoods in a feature space.

Each metric has its real side apart (:class:`Manifold`, :class:`Splits`), computed once per data
set. In float64 unless float32 is asked for, which takes half the time: there, distances
below a thousandth of the data's extent are rounding.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from gantune.errors import UsageError
from gantune.metrics.distances import ROWS, squared_distances, to_wide

NEIGHBOURS = 5
RESOLUTION = {torch.float64: 1e-6, torch.float32: 1e-3}
"""Smallest radius, relative to the largest distance from the centre: about the rounding of float32
features, or of their squared distances in float32."""


class Manifold(NamedTuple):
    """Balls around samples, each as far as its k-th neighbour.

    Attributes:
        features: (n, d) centres.
        squared_radii: (n,); squared, as ties are ties only before a root.
        k: Which neighbour.
    """

    features: Tensor
    squared_radii: Tensor
    k: int


def to_manifold(
    features: Tensor,
    k: int = NEIGHBOURS,
    rows: int = ROWS,
    dtype: torch.dtype = torch.float64,
) -> Manifold:
    """Balls around (n, d) features, n > k >= 1.

    Raises:
        UsageError: k < 1, no more than k samples, or a value that is not finite.
    """
    if k < 1:
        raise UsageError(f"a neighbour is counted from k = 1, got k = {k}")
    wide = to_wide(features, k + 1, f"the distance to neighbour k = {k}", dtype)
    blocks = squared_distances(wide, wide, rows)
    # A sample is its own nearest: k others are k + 1 of the row.
    nearest = [block.topk(k + 1, dim=1, largest=False, sorted=False).values for block in blocks]
    return Manifold(wide, torch.cat(nearest).amax(1).clamp(min=0), k)


def knn_radii(features: Tensor, k: int = NEIGHBOURS) -> Tensor:
    """(n,) float64 distances of each of (n, d) features to its k-th neighbour, itself not counted.

    Raises:
        UsageError: As :func:`to_manifold`.
    """
    return to_manifold(features, k).squared_radii.sqrt()


def precision_recall_density_coverage(
    real: Tensor, fake: Tensor, k: int = NEIGHBOURS
) -> dict[str, float]:
    """Improved precision and recall, density and coverage: see :func:`compare_manifolds`.

    Args:
        real: (n, d) features, n > k.
        fake: (m, d) features, m > k.
        k: Which neighbour; Naeem et al. use 5, Kynkäänniemi et al. 3.

    Raises:
        UsageError: As :func:`to_manifold`.
    """
    return compare_manifolds(to_manifold(real, k), fake)


def compare_manifolds(real: Manifold, fake: Tensor, rows: int = ROWS) -> dict[str, float]:
    """Precision, recall (Kynkäänniemi et al. 2019, arXiv 1904.06991), density and coverage
    (Naeem et al. 2020, arXiv 2002.09797) of generated samples.

    Equal to the reference implementation ``prdc``, whose balls are open (<), with one decision: a
    ball is never smaller than rounding, so it holds its own centre. Where all samples are one point
    ``prdc`` says that nothing is covered (its issue 7); here coverage is 1, density n / k.

    Args:
        real: The data's balls.
        fake: (m, d) features, m > k.
        rows: Rows of the (n, m) matrix held at a time.

    Returns:
        ``precision``, share of generated samples within a real ball; ``recall``, share of real ones
        within a generated ball; ``density``, real balls around a generated sample over k, 1 for
        samples of the data; ``coverage``, share of real balls with a generated sample, then about
        1 - 2^-k.

    Raises:
        UsageError: As :func:`to_manifold`.
    """
    ours = to_manifold(fake, real.k, rows, real.features.dtype)
    smallest = _smallest_square(real.features)
    real_squares = real.squared_radii.clamp(min=smallest)[:, None].split(rows)
    fake_squares = ours.squared_radii.clamp(min=smallest)
    around = torch.zeros_like(ours.squared_radii)  # real balls around each generated sample
    within, nearest = [], []
    blocks = squared_distances(real.features, ours.features, rows)
    for block, squares in zip(blocks, real_squares, strict=True):
        inside = block < squares
        around += inside.sum(0)
        within.append(inside.sum(1))
        # The depth in the nearest ball: any(1) of a comparison takes four times as long.
        nearest.append(block.sub_(fake_squares).amin(1))
    return {
        "precision": _share(around > 0),
        "recall": _share(torch.cat(nearest) < 0),
        "density": float(around.double().mean()) / real.k,
        "coverage": _share(torch.cat(within) > 0),
    }


def _share(mask: Tensor) -> float:
    return float(mask.double().mean())


def _smallest_square(features: Tensor) -> Tensor:
    lengths = (features - features.mean(0)).square().sum(1)
    smallest = lengths.amax() * RESOLUTION[features.dtype] ** 2
    return smallest.clamp(min=torch.finfo(features.dtype).tiny)


def vendi_score(features: Tensor) -> float:
    """Effective number of distinct directions among (n, d) features: 1 to min(n, d + 1).

    :func:`vendi_of_kernel` of the cosine similarity, from the smaller of the two matrices with the
    same eigenvalues: X X^T (n, n) or X^T X (d, d). Cosines see directions only: features that were
    rectified lie in one octant, so compare scores with that of the data. Features of length 0 have
    no direction: they count as alike and as orthogonal to all others.

    Raises:
        UsageError: No samples, or a value that is not finite.
    """
    wide = to_wide(features, 1, "vendi")
    lengths = wide.norm(dim=1, keepdim=True)
    zero = (lengths == 0).double()
    units = torch.cat([wide / (lengths + zero), zero], dim=1)
    gram = units @ units.T if len(wide) <= units.shape[1] else units.T @ units
    return _exp_entropy(gram / len(wide))


def vendi_of_kernel(kernel: Tensor) -> float:
    """exp of the von Neumann entropy of K / n (Friedman & Dieng 2022, arXiv 2210.02410).

    Args:
        kernel: (n, n) similarities, symmetric and positive semi-definite, 1 on the diagonal.

    Returns:
        1 (all alike) to n (none alike).

    Raises:
        UsageError: Not square, or a value that is not finite.
    """
    wide = to_wide(kernel, 1, "vendi")
    if len(wide) != wide.shape[1]:
        raise UsageError(f"vendi needs a square kernel, got {tuple(kernel.shape)}")
    return _exp_entropy(wide / len(wide))


def _exp_entropy(density: Tensor) -> float:
    # Rounding leaves tiny negative eigenvalues, and entr(negative) is -inf.
    shares = torch.linalg.eigvalsh(density).clamp(min=0)
    return float(torch.special.entr(shares).sum().exp())


class Splits(NamedTuple):
    """Training and held-out features, and what samples of the data would score.

    Attributes:
        train: (n, d) float64.
        holdout: (h, d) float64.
        fresh: Mean distance of a held-out sample to the nearest training one, over that to the
            nearest other held-out one: below 1 where the training set is the larger. None where
            held-out samples are all alike.
    """

    train: Tensor
    holdout: Tensor
    fresh: float | None


def to_splits(train: Tensor, holdout: Tensor) -> Splits:
    """The real side of :func:`nearest_neighbor_ratio` from (n, d) and (h, d), n >= 1, h >= 2.

    Raises:
        UsageError: Too few samples, or a value that is not finite.
    """
    known = to_wide(train, 1, "nearest_neighbor_ratio")
    unseen = to_wide(holdout, 2, "nearest_neighbor_ratio")
    among = float(knn_radii(unseen, 1).mean())
    fresh = _mean_nearest(unseen, known) / among if among > 0 else None
    return Splits(known, unseen, fresh)


def compare_splits(splits: Splits, fake: Tensor, rows: int = ROWS) -> float | None:
    """How much nearer generated samples are to training than to held-out ones.

    The mean distance to the nearest training sample over that to the nearest held-out one, divided
    by the same ratio of the held-out samples themselves. That removes the effect of the splits'
    sizes and keeps all of the training set: in a subsample of it, a copy of a sample that was left
    out looks new. Means, not medians: a tenth of copies moves a mean by a tenth, a median hardly.

    Args:
        splits: The real side.
        fake: (m, d) features, m >= 1.
        rows: Rows of a pairwise matrix held at a time.

    Returns:
        About 1 without memorization, towards 0 where samples are copies of training samples. None
        where a distance it would divide by is 0.

    Raises:
        UsageError: No samples, or a value that is not finite.
    """
    wide = to_wide(fake, 1, "nearest_neighbor_ratio")
    below = _mean_nearest(wide, splits.holdout, rows) * (splits.fresh or 0.0)
    return _mean_nearest(wide, splits.train, rows) / below if below > 0 else None


def nearest_neighbor_ratio(fake: Tensor, train: Tensor, holdout: Tensor | None) -> float | None:
    """Memorization: :func:`compare_splits`; None without held-out samples.

    Raises:
        UsageError: Too few samples, or a value that is not finite.
    """
    return None if holdout is None else compare_splits(to_splits(train, holdout), fake)


def _mean_nearest(x: Tensor, y: Tensor, rows: int = ROWS) -> float:
    nearest = torch.cat([block.argmin(1) for block in squared_distances(x, y, rows)])
    # Of the pairs found, the distance itself: exactly 0 for a copy.
    return float((x - y[nearest]).norm(dim=1).mean())
