"""A trial at its best epoch."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gantune.analysis.notebook import trial_to_html
from gantune.config import TrialConfig
from gantune.errors import CheckpointError

if TYPE_CHECKING:
    from gantune.generator import Generator


@dataclass(frozen=True)
class BestTrial:
    """A trial at its best epoch, with its checkpoint; from :meth:`Run.best` or :meth:`Run.trial`.

    Attributes:
        number: Its number.
        objective: Its best value of the study's metric.
        epoch: The epoch of that value.
        parameters: Searched paths and their values.
        config: Its whole configuration.
        record: Its row of the ``epochs`` table at that epoch.
        sample_shape: Of what it generates: (C, H, W), or (2,); None of checkpoints before 0.2.
        checkpoint: The safetensors file with its generator at that epoch.
    """

    number: int
    objective: float
    epoch: int
    parameters: dict[str, Any]
    config: TrialConfig
    record: dict[str, Any] = field(repr=False)
    sample_shape: tuple[int, ...] | None
    checkpoint: Path

    def generator(self) -> "Generator":
        """Its generator as a ``torch.nn.Module`` in eval mode, on the CPU.

        Raises:
            CheckpointError: The checkpoint is damaged, or does not know its sample shape.
        """
        from gantune.generator import read_generator  # takes torch

        if self.sample_shape is None:
            message = f"{self.checkpoint} is of an older gantune and does not know its sample shape"
            raise CheckpointError(message)
        return read_generator(self.checkpoint, self.config, self.sample_shape)

    def _repr_html_(self) -> str:
        return trial_to_html(self)
