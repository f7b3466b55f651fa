"""A trained generator as a module of PyTorch's, rebuilt from configuration and weights."""

from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from gantune.config import TrialConfig
from gantune.engine.draws import keyed_generator
from gantune.engine.engine import sample_latents
from gantune.engine.networks import build_generator
from gantune.errors import CheckpointError, UsageError

BATCH = 1000
"""Samples that are made at once."""

MAX_SIDE = 8192
"""Channels, height and width of a sample, at most."""

_PARAMS, _BUFFERS = "params/", "buffers/"


class Generator(torch.nn.Module):
    """A generator in eval mode: (n, latent_dim) latents -> (n, *sample_shape) samples.

    Images are in [-1, 1] (a ``linear`` output may leave it), points in the data's coordinates.
    Batch norm uses its running statistics whatever the module's mode, so samples do not depend on
    each other. Parameters take no gradient unless ``requires_grad_()`` is called.

    Attributes:
        config: The configuration of the trial.
        sample_shape: (C, H, W), or (2,).
    """

    def __init__(
        self, config: TrialConfig, sample_shape: tuple[int, ...], weights: Mapping[str, Tensor]
    ) -> None:
        """Makes a generator.

        Args:
            config: The configuration of the trial.
            sample_shape: (C, H, W), or (2,).
            weights: ``params/<name>`` and ``buffers/<name>``, as in a checkpoint.

        Raises:
            CheckpointError: The weights are not those of this configuration.
        """
        super().__init__()
        self.config, self.sample_shape = config, sample_shape
        self._pure = build_generator(config, sample_shape)
        self._check(weights)
        # In a module of their own, where no layer's name can meet an attribute's.
        self.weights = torch.nn.Module()
        for name, tensor in weights.items():
            kind, _, path = name.partition("/")
            owner = _submodule(self.weights, path.split(".")[:-1])
            last = path.rpartition(".")[2]
            if kind == "params":
                owner.register_parameter(last, torch.nn.Parameter(tensor, requires_grad=False))
            else:
                owner.register_buffer(last, tensor)
        self.eval()

    @property
    def latent_dim(self) -> int:
        """Length of a latent."""
        return self.config.generator.latent_dim

    def forward(self, z: Tensor) -> Tensor:
        """Generates samples.

        Args:
            z: (n, latent_dim), from the distribution that ``config.generator.latent`` names.

        Raises:
            UsageError: The latents have another shape.
        """
        if z.dim() != 2 or z.shape[1] != self.latent_dim:
            raise UsageError(f"latents have shape (n, {self.latent_dim}), not {tuple(z.shape)}")
        params, buffers = dict(self.weights.named_parameters()), dict(self.weights.named_buffers())
        return self._pure(params, buffers, z, {}, train=False)[0]

    @torch.no_grad()
    def sample(self, n: int, seed: int = 0) -> Tensor:
        """Generates n samples; the same n and seed give the same latents on every device.

        Raises:
            UsageError: n is less than 1.
        """
        if n < 1:
            raise UsageError(f"n is at least 1, has {n}")
        first = next(self.parameters())
        latents = sample_latents(self.config, n, seed).to(first.device, first.dtype)
        return torch.cat([self(batch) for batch in latents.split(BATCH)])

    def _check(self, weights: Mapping[str, Tensor]) -> None:
        rng = keyed_generator(torch.device("cpu"), "shapes")
        params, buffers = self._pure.init(rng)
        expected = {_PARAMS + name: tensor.shape for name, tensor in params.items()}
        expected |= {_BUFFERS + name: tensor.shape for name, tensor in buffers.items()}
        if expected != {name: tensor.shape for name, tensor in weights.items()}:
            name = self.config.generator.name
            raise CheckpointError(f"the weights are not those of this {name} generator")


def _submodule(root: torch.nn.Module, path: list[str]) -> torch.nn.Module:
    node = root
    for word in path:
        children = dict(node.named_children())
        if word not in children:
            node.add_module(word, torch.nn.Module())
        node = node.get_submodule(word)
    return node


def read_generator(path: Path, config: TrialConfig, sample_shape: tuple[int, ...]) -> Generator:
    """Rebuilds a generator from its weights on disk, on the CPU; runs nothing of the file's.

    Args:
        path: A safetensors file.
        config: The configuration of the trial.
        sample_shape: (C, H, W), or (2,).

    Raises:
        CheckpointError: The file is missing, damaged or of another configuration.
    """
    try:
        weights = safetensors.torch.load(path.read_bytes())
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from None
    if len(sample_shape) not in (1, 3) or not all(0 < side <= MAX_SIDE for side in sample_shape):
        raise CheckpointError(f"{path}: {sample_shape} is no shape of a sample")
    try:
        return Generator(config, sample_shape, weights)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
