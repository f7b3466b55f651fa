"""What a network is to the engine: named shapes, initial values, and a pure function of both."""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

Shape = tuple[int, ...]
Tensors = Mapping[str, Tensor]


class Network(Protocol):
    """A network without state."""

    def init(self, rng: torch.Generator) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Makes initial parameters and buffers."""
        ...

    def __call__(
        self, params: Tensors, buffers: Tensors, x: Tensor, *, train: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Applies the network; returns its output and the new buffers, changing no argument."""
        ...
