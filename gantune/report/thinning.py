"""What a report leaves out of large runs, so that its page stays quick; it says so."""

from collections.abc import Sequence

MAX_CURVES = 150
"""Trials whose curves are drawn in one figure."""
MAX_POINTS = 60
"""Points of one curve."""
MAX_DOTS = 1500
"""Trials that are dots of one figure."""
MAX_ROWS = 1000
"""Trials in the page's table: the best; ``trials.csv`` has all."""
MAX_PARAMETERS = 8
"""Searched paths that are columns of that table."""
PICTURE_BYTES = 1_500_000
"""Pictures of samples in one page."""


def thin_indices(count: int, limit: int = MAX_POINTS) -> list[int]:
    """At most so many of the indices 0 to count - 1, even, with the first and the last."""
    if count <= limit:
        return list(range(count))
    return sorted({round(i * (count - 1) / (limit - 1)) for i in range(limit)})


def thin_numbers(
    numbers: Sequence[int], limit: int = MAX_CURVES, keep: int | None = None
) -> list[int]:
    """At most so many trials, evenly chosen; the one to keep is always among them."""
    chosen = [numbers[i] for i in thin_indices(len(numbers), limit)]
    if keep is not None and keep in numbers and keep not in chosen:
        chosen[-1] = keep
    return chosen
