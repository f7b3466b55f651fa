"""A trial's tensors as bytes, and back; nothing of a file is run."""

import safetensors.torch

from gantune.checkpoints import Checkpoint
from gantune.config import TrialConfig
from gantune.engine.state import State, Tensors, unflatten
from gantune.errors import CheckpointError


def encode(tensors: Tensors) -> bytes:
    """Named tensors as a safetensors file."""
    owned = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    return bytes(safetensors.torch.save(owned))


def restore(checkpoint: Checkpoint, config: TrialConfig) -> State:
    """A trial's state from its checkpoint.

    Args:
        checkpoint: What it goes on from.
        config: The trial's.

    Raises:
        CheckpointError: It is damaged, or of another configuration.
    """
    try:
        # Validated first: a field that is newer than the checkpoint has its default.
        noted = TrialConfig.model_validate(checkpoint.meta["config"])
        state = unflatten(safetensors.torch.load(checkpoint.data))
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(f"{checkpoint.path} is damaged: {error}") from None
    if noted != config:
        raise CheckpointError(f"{checkpoint.path} is of another configuration of this trial")
    return state
