"""A ``torch.nn.Module`` of an extension as a network without state."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from gantune.engine.networks.base import Shape
from gantune.errors import UsageError

DRAWS = (nn.modules.dropout._DropoutNd, nn.RReLU)
COUPLES = (nn.modules.batchnorm._BatchNorm,)


class ModuleNetwork:
    """Applies a module to parameters and buffers that are given with each call."""

    def __init__(self, build: object, name: str) -> None:
        """Wraps what an extension's function makes.

        Args:
            build: Makes the module: called once for each set of initial weights.
            name: Of the part.

        Raises:
            UsageError: It makes no module, or one that draws random numbers.
        """
        assert callable(build)
        self._build, self._name = build, name
        self._module = self._made(seed=0)
        self._module.requires_grad_(False)

    def _made(self, seed: int) -> nn.Module:
        """A module with initial values of a seed; global random state is as before."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # noqa: TID251 - modules know no other source
            module = self._build()
        if not isinstance(module, nn.Module):
            message = f"extensions: {self._name} makes a {type(module).__name__}, not a nn.Module"
            raise UsageError(message)
        for part in module.modules():
            if isinstance(part, DRAWS):
                kind = type(part).__name__
                message = f"extensions: {self._name} has a {kind}, which draws random numbers"
                raise UsageError(f"{message}: a trial could not be repeated")
        return module

    @property
    def couples_samples(self) -> bool:
        """Whether it has a batch norm."""
        return any(isinstance(part, COUPLES) for part in self._module.modules())

    def init(self, rng: torch.Generator) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The module's own initial values."""
        module = self._made(int(torch.randint(2**62, (), generator=rng)))
        params = {name: tensor.detach().clone() for name, tensor in module.named_parameters()}
        return params, {name: tensor.clone() for name, tensor in module.named_buffers()}

    def noise_shapes(self, batch: int) -> dict[str, Shape]:
        """None."""
        return {}

    def __call__(
        self,
        params: Mapping[str, Tensor],
        buffers: Mapping[str, Tensor],
        x: Tensor,
        noise: Mapping[str, Tensor],
        *,
        train: bool,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See :class:`gantune.engine.networks.base.Network`."""
        changed = {name: tensor.clone() for name, tensor in buffers.items()}
        self._module.train(train)
        return functional_call(self._module, (dict(params), changed), (x,)), changed
