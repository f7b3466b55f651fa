"""A device without memory left: the trial's end, with what to change."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from gantune.errors import DeviceMemoryError
from gantune.trial import TrialSpec


@contextmanager
def memory_errors(spec: TrialSpec) -> Iterator[None]:
    """Says of a device that is out of memory what to change in the study.

    Raises:
        DeviceMemoryError: In place of PyTorch's error.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DeviceMemoryError(_hint(spec)) from error


def _hint(spec: TrialSpec) -> str:
    size = spec.config.train.batch_size
    hint = (
        f"out of memory on the device: lower train.batch_size (now {size}) or the networks' sizes"
    )
    if 0 < spec.gpu < 1:
        hint += f", or raise resources.gpu (now {spec.gpu:g}): fewer trials then share a GPU"
    return hint
