"""From stored images to what networks see."""

import torch
from torch import Tensor


def to_images(batch: Tensor) -> Tensor:
    """Bytes 0 to 255 as floats in [-1, 1], of any shape; floats pass through."""
    return batch.float() / 127.5 - 1 if batch.dtype == torch.uint8 else batch
