"""Writes small data sets of every kind to disk."""

import gzip
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Bytes = NDArray[np.uint8]


def random_images(*shape: int, seed: int = 0) -> Bytes:
    """Bytes of any shape."""
    return np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)


def idx_bytes(array: Bytes) -> bytes:
    """An array as an IDX file."""
    sizes = b"".join(size.to_bytes(4) for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def write_idx(
    folder: Path,
    images: Bytes,
    labels: Bytes | None = None,
    name: str = "t10k",
    *,
    packed: bool = True,
) -> Path:
    """Writes images and labels as MNIST has them."""
    folder.mkdir(parents=True, exist_ok=True)
    for array, what in ((images, "images-idx3"), (labels, "labels-idx1")):
        if array is None:
            continue
        content = idx_bytes(array)
        path = folder / f"{name}-{what}-ubyte{'.gz' if packed else ''}"
        path.write_bytes(gzip.compress(content, 1) if packed else content)
    return folder


def write_pictures(folder: Path, pictures: dict[str, Bytes]) -> Path:
    """Writes (H, W) or (H, W, 3) pictures by their names within the folder."""
    for name, pixels in pictures.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return folder


def two_classes(folder: Path, count: int = 6, side: int = 8) -> Path:
    """Writes colour pictures in the sub-folders cats and dogs."""
    pictures = random_images(2, count, side, side, 3)
    return write_pictures(
        folder,
        {
            f"{kind}/{i}.png": picture
            for kind, rows in zip(("cats", "dogs"), pictures, strict=True)
            for i, picture in enumerate(rows)
        },
    )


def with_wrong_checksum(path: Path) -> Path:
    """Flips a byte of an array's content in an .npz: its zip check sum no longer holds."""
    content = bytearray(path.read_bytes())
    content[300] ^= 0xFF
    path.write_bytes(content)
    return path
