"""One way to resize an image, whether it comes from an array or from a file."""

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Number = TypeVar("Number", bound=np.generic)


def resize(image: "NDArray[Number]", size: int) -> "NDArray[Number]":
    """A (C, H, W) image as a square of side ``size``: bilinear, with antialias.

    Args:
        image: Bytes, or float32.
        size: The side. An image that has it comes back as it is.
    """
    import numpy as np
    from PIL import Image

    if image.shape[1:] == (size, size):
        return image
    # Pillow's bilinear filter widens with the reduction, which is the antialias.
    planes: list[Any] = [
        np.asarray(Image.fromarray(plane).resize((size, size), Image.Resampling.BILINEAR))
        for plane in image
    ]
    return np.stack(planes)


def resize_all(images: "NDArray[Number]", size: int | None) -> "NDArray[Number]":
    """(n, C, H, W) images as squares of side ``size``; None: as they are."""
    import numpy as np

    if size is None or images.shape[2:] == (size, size):
        return images
    resized = np.empty((*images.shape[:2], size, size), images.dtype)
    for position, image in enumerate(images):
        resized[position] = resize(image, size)
    return resized
