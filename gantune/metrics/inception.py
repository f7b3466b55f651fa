"""Features of Inception-v3, by torch-fidelity's port of the network that FID is defined with.

Heusel et al. 2017 (FID) and Binkowski et al. 2018 (KID) use the 2,048 activations of its last
pooling layer. The weights are the user's file; nothing is downloaded.
"""

import hashlib
import io
from pathlib import Path
from pickle import UnpicklingError  # noqa: TID251 (what a refused file raises)
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gantune.errors import DataError

LAYER = "2048"
BATCH = 50
"""Images at once: its maps are 350 times as large as an image of 28 x 28."""


class Inception(NamedTuple):
    """The network's weights as plain arrays.

    Attributes:
        weights: By torch-fidelity's names.
        hash: How the SHA-256 of their file begins; of the published file ``6726825d``.
    """

    weights: dict[str, NDArray[np.generic]]
    hash: str


def read_inception(path: Path) -> Inception:
    """Reads the weights; of the file only tensors are taken, no code in it is run.

    Raises:
        DataError: The file holds something else.
    """
    data = path.read_bytes()
    try:
        # Of a pickle it takes tensors only.
        kept = io.BytesIO(data)
        state = torch.load(kept, map_location="cpu", weights_only=True)  # noqa: TID251
        weights = {name: tensor.numpy() for name, tensor in state.items()}
        found = Inception(weights, hashlib.sha256(data).hexdigest()[:16])
        to_network(found)
    except (UnpicklingError, RuntimeError, EOFError, AttributeError, TypeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        message = f"{path} does not hold the weights of torch-fidelity's Inception-v3: {reason}"
        raise DataError("eval.features", message) from None
    return found


def to_network(inception: Inception, device: torch.device | None = None) -> nn.Module:
    """The network in eval mode.

    Args:
        inception: Its weights.
        device: Where it goes; None: the CPU.

    Raises:
        RuntimeError: The weights are another network's.
    """
    # An extra: maybe not installed.
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    # torch-fidelity unpickles what it is given. What it is given here was written a line before.
    written = io.BytesIO()
    torch.save({name: torch.tensor(array) for name, array in inception.weights.items()}, written)
    written.seek(0)
    # A new network draws initial weights, from the global generator.
    with torch.random.fork_rng(devices=[]):
        network: nn.Module = FeatureExtractorInceptionV3("inception", [LAYER], written)
    return network.to(device or torch.device("cpu"))


@torch.no_grad()
def inception_features(network: nn.Module, images: Tensor) -> Tensor:
    """(n, C, H, W) images in [-1, 1], C 1 or 3 -> (n, 2048) float32."""
    # Rounded to ten bits a convolution of a GPU is not the CPU's, which may have seen the data.
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        return torch.cat([network(to_bytes(batch))[0] for batch in images.split(BATCH)])


def to_bytes(images: Tensor) -> Tensor:
    """(n, C, H, W) images in [-1, 1], C 1 or 3 -> (n, 3, H, W) bytes, grey as three channels."""
    levels = ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return levels.expand(-1, 3, -1, -1)
