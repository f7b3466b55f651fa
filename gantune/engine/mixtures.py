"""Mixtures of 2-D Gaussians with known modes (PacGAN, arXiv 1712.04086, section 4.1)."""

import numpy as np
from numpy.typing import NDArray


def ring_centers(modes: int, radius: float) -> NDArray[np.float32]:
    """(modes, 2) means on a circle, at 2*pi*i/modes.

    Well-known code spaces them with ``linspace(0, 2*pi, modes)``, whose last mean is the first
    again: seven modes that are counted as eight.
    """
    angles = 2 * np.pi * np.arange(modes) / modes
    return (radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)).astype(np.float32)


def grid_centers(side: int, spacing: float) -> NDArray[np.float32]:
    """(side**2, 2) means on a square grid centred on 0."""
    ticks = spacing * (np.arange(side) - (side - 1) / 2)
    x, y = np.meshgrid(ticks, ticks, indexing="ij")
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)


def sample_mixture(
    centers: NDArray[np.float32], std: float, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Draws (count, 2) points of an equal mixture, and the mode of each."""
    labels = rng.integers(len(centers), size=count)
    noise = rng.standard_normal((count, 2), dtype=np.float32)
    return centers[labels] + np.float32(std) * noise, labels
