"""A trial's tensors as bytes, and back; nothing of a file is run."""

from typing import Annotated, Literal, Self

import safetensors.torch
import torch
from pydantic import BaseModel, Field, ValidationError, model_validator

from gantune.checkpoints import Checkpoint
from gantune.config import TrialConfig
from gantune.engine.state import State, Tensors, flatten, unflatten
from gantune.errors import CheckpointError
from gantune.trial import Record

TrialState = Literal["running", "completed", "stopped", "diverged"]


class Noted(BaseModel):
    """What stands beside the weights of a trial's ``last``.

    Attributes:
        config: The trial's.
        epoch: After which the weights were so.
        status: Whether the trial goes on.
        records: Its rows of the ``epochs`` table, of all epochs from the first.
        steps: Its rows of the ``steps`` table.
    """

    config: TrialConfig
    epoch: Annotated[int, Field(ge=0)]
    status: TrialState
    records: list[Record]
    steps: list[Record]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        epochs = [record.get("epoch") for record in self.records]
        if epochs != list(range(1, len(epochs) + 1)) or self.epoch > len(epochs):
            raise ValueError(f"weights of epoch {self.epoch} beside records of {epochs}")
        return self


def encode(tensors: Tensors) -> bytes:
    """Named tensors as a safetensors file."""
    owned = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    return bytes(safetensors.torch.save(owned))


def restore(checkpoint: Checkpoint, config: TrialConfig, like: State) -> tuple[State, Noted]:
    """A trial's state from its checkpoint, and what is noted beside it.

    Args:
        checkpoint: What it goes on from.
        config: The trial's.
        like: A state of such a trial.

    Raises:
        CheckpointError: It is damaged, or of another configuration.
    """
    try:
        # Validated: a field that is newer than the checkpoint has its default.
        noted = Noted.model_validate(checkpoint.meta)
        named = safetensors.torch.load(checkpoint.data)
    except ValidationError as error:
        wrong = error.errors()[0]
        place = ".".join(map(str, wrong["loc"]))
        raise CheckpointError(f"{checkpoint.path} is damaged: {place} {wrong['msg']}") from None
    except (safetensors.SafetensorError, ValueError) as error:
        raise CheckpointError(f"{checkpoint.path} is damaged: {error}") from None
    if noted.config != config:
        raise CheckpointError(f"{checkpoint.path} is of another configuration of this trial")
    if _shapes(named) != _shapes(flatten(like)):
        raise CheckpointError(f"{checkpoint.path} is damaged: it has other tensors than this trial")
    return unflatten(named), noted


def _shapes(named: Tensors) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in named.items()}
