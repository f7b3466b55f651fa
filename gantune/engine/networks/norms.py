"""Norms: over the batch, an image's channels, a sample."""

import torch
import torch.nn.functional as F
from torch import Tensor

from gantune.engine.networks.layers import Call, Plain


class _Norm(Plain):
    """Scale and shift by feature."""

    def __init__(self, name: str, width: int, eps: float, init: str) -> None:
        self._scale, self._shift = f"{name}.weight", f"{name}.bias"
        self._mean, self._var = f"{name}.mean", f"{name}.var"
        self._width, self._eps, self._init = width, eps, init

    def init(self, rng: torch.Generator) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Scale 1 (N(1, 0.02) with DCGAN's initial weights), shift 0."""
        scale = torch.ones(self._width)
        if self._init == "normal":
            scale.normal_(1, 0.02, generator=rng)
        return {self._scale: scale, self._shift: torch.zeros(self._width)}, {}


class BatchNorm(_Norm):
    """Over the batch, per feature or channel (Ioffe & Szegedy 2015)."""

    couples_samples = True

    def __init__(self, name: str, width: int, eps: float, init: str, momentum: float = 0.1) -> None:
        super().__init__(name, width, eps, init)
        self._momentum = momentum

    def init(self, rng: torch.Generator) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Running statistics of a standard normal, too."""
        params, _ = super().init(rng)
        shape = (self._width,)
        return params, {self._mean: torch.zeros(shape), self._var: torch.ones(shape)}

    def __call__(self, call: Call, x: Tensor) -> Tensor:
        """Normalises by the batch in training, by the running statistics elsewhere."""
        mean, var = call.buffers[self._mean], call.buffers[self._var]
        if call.train:
            # batch_norm writes into the statistics it is given: give it copies to keep.
            mean, var = mean.clone(), var.clone()
            call.buffers[self._mean], call.buffers[self._var] = mean, var
        scale, shift = call.params[self._scale], call.params[self._shift]
        return F.batch_norm(x, mean, var, scale, shift, call.train, self._momentum, self._eps)


class InstanceNorm(_Norm):
    """Over each channel of each image (Ulyanov et al. 2016)."""

    def __call__(self, call: Call, x: Tensor) -> Tensor:
        """Normalises (B, C, H, W)."""
        scale, shift = call.params[self._scale], call.params[self._shift]
        return F.group_norm(x, self._width, scale, shift, self._eps)


class LayerNorm(_Norm):
    """Over each sample (Ba et al. 2016)."""

    def __call__(self, call: Call, x: Tensor) -> Tensor:
        """Normalises (B, C) or (B, C, H, W); scale and shift are per channel."""
        scale, shift = call.params[self._scale], call.params[self._shift]
        return F.group_norm(x, 1, scale, shift, self._eps)


NORMS: dict[str, type[_Norm]] = {
    "batch": BatchNorm,
    "instance": InstanceNorm,
    "layer": LayerNorm,
}
