"""A device's memory: a trial's share of it, and its end, with what to change, when none is left."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from gantune.errors import DeviceMemoryError
from gantune.trial import TrialSpec

_OUT_OF_MEMORY = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
"""What CUDA and its libraries say where PyTorch has no error of its own for it: above all where the
other trials on a device have left too little to begin with."""


def keep_to_share(spec: TrialSpec, device: torch.device) -> None:
    """Holds a trial that shares a GPU to its share of the memory: 0.25 of it with ``gpu: 0.25``.

    Who takes more is then out of memory itself, and not its neighbours. PyTorch counts what it
    allocates, not what CUDA takes for each process.
    """
    if device.type == "cuda" and 0 < spec.gpu < 1:
        torch.cuda.set_per_process_memory_fraction(spec.gpu)


@contextmanager
def memory_errors(spec: TrialSpec) -> Iterator[None]:
    """Says of a device that is out of memory what to change in the study.

    Raises:
        DeviceMemoryError: In place of PyTorch's error.
    """
    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError is one
        if not any(words in str(error) for words in _OUT_OF_MEMORY):
            raise
        raise DeviceMemoryError(_hint(spec)) from error


def _hint(spec: TrialSpec) -> str:
    size = spec.config.train.batch_size
    hint = (
        f"out of memory on the device: lower train.batch_size (now {size}) or the networks' sizes"
    )
    if 0 < spec.gpu < 1:
        hint += f", or raise resources.gpu (now {spec.gpu:g}): fewer trials then share a GPU"
    return hint
