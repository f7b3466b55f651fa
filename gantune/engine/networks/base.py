"""What a network is to the engine: initial values, and a pure function of them."""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

Shape = tuple[int, ...]
Tensors = Mapping[str, Tensor]


class Network(Protocol):
    """A network without state."""

    @property
    def couples_samples(self) -> bool:
        """Whether a sample's output depends on the others of its batch, in training."""
        ...

    def init(self, rng: torch.Generator) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Makes initial parameters and buffers."""
        ...

    def noise_shapes(self, batch: int) -> dict[str, Shape]:
        """The U(0, 1) tensors that a pass over ``batch`` samples needs in training."""
        ...

    def __call__(
        self, params: Tensors, buffers: Tensors, x: Tensor, noise: Tensors, *, train: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Applies the network; returns its output and the new buffers, changing no argument."""
        ...
