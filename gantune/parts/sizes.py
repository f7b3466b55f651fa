"""Which image sizes the convolutional networks can make."""

SMALLEST_MAPS = (4, 5, 6, 7)


def smallest_map(size: int) -> tuple[int, int]:
    """The width of the smallest map, and how often it is doubled to reach an image's size.

    Raises:
        ValueError: The size is not 4, 5, 6 or 7 times a power of two.
    """
    smallest, doublings = size, 0
    while smallest > max(SMALLEST_MAPS) and smallest % 2 == 0:
        smallest, doublings = smallest // 2, doublings + 1
    if smallest not in SMALLEST_MAPS or doublings == 0:
        raise ValueError(f"{size} is not 4, 5, 6 or 7 times a power of two")
    return smallest, doublings
