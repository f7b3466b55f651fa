"""Cuts a parameter's domain into parts."""

import json
from collections.abc import Sequence
from math import ceil, nan
from typing import Any, NamedTuple

import numpy as np

from gantune.space import ParameterSpec

DIGITS = 12
"""Significant digits of an edge."""


class Bin(NamedTuple):
    """A part of a domain.

    Attributes:
        label: In words.
        low: Its lower end; NaN for a choice.
        high: Its upper end; it belongs to the next bin, unless it is the last or a whole number.
    """

    label: str
    low: float
    high: float


def cut(spec: ParameterSpec, values: Sequence[Any], count: int) -> tuple[list[Bin], list[int]]:
    """Cuts a domain: evenly, on a log scale evenly in the logarithm, choices one by one.

    Args:
        spec: The parameter; with ``times`` the range that occurred stands for its domain.
        values: Effective values of it.
        count: Parts of a range, at most.

    Returns:
        The bins from the lowest on, and the index of each value's bin.
    """
    if spec.choice is not None:
        texts = [_text(value) for value in values]
        labels = list(dict.fromkeys([*map(_text, spec.choice), *texts]))
        return [Bin(label, nan, nan) for label in labels], [labels.index(text) for text in texts]
    low, high = (min(values), max(values)) if spec.times and values else _bounds(spec)
    is_whole = all(isinstance(value, int) for value in (low, high, *values))
    starts = _starts(low, high, count, is_log=str(spec.domain).startswith("log"), whole=is_whole)
    ends = [start - 1 if is_whole else start for start in starts[1:]] + [high]
    bounds = list(zip(starts, ends, strict=True))
    bins = [Bin(label, *pair) for label, pair in zip(_labels(bounds), bounds, strict=True)]
    return bins, [int(place) for place in np.searchsorted(starts[1:], values, side="right")]


def _bounds(spec: ParameterSpec) -> tuple[float, float]:
    low, high = getattr(spec, str(spec.domain))
    is_whole = spec.domain in ("int", "log_int")
    return (low, high) if is_whole else (float(low), float(high))


def _starts(low: float, high: float, count: int, *, is_log: bool, whole: bool) -> list[float]:
    """Lower ends of the bins of [low, high]."""
    if low == high:
        return [low]
    # The range of a product can begin at zero or below.
    edges = (np.geomspace if is_log and low > 0 else np.linspace)(low, high, count + 1)
    # Rounded: a value that is written like an edge lies on it, whatever its last bits.
    starts = [low, *(float(f"{edge:.{DIGITS}g}") for edge in edges[1:-1])]
    return sorted({ceil(start) for start in starts}) if whole else starts


def _labels(bounds: Sequence[tuple[float, float]]) -> list[str]:
    """Bins in words, with as many digits as tell them apart."""
    labels: list[str] = []
    for digits in range(2, 18):
        labels = [_label(low, high, digits) for low, high in bounds]
        texts = {_number(low, digits) for low, _ in bounds}
        if len(texts) == len(bounds):
            break
    return labels


def _label(low: float, high: float, digits: int) -> str:
    first, last = _number(low, digits), _number(high, digits)
    return first if low == high else f"{first} to {last}"


def _number(value: float, digits: int) -> str:
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    if 1e-3 <= abs(value) < 1e6:
        return f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:.0f}"
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{exponent}"


def _text(choice: Any) -> str:
    """A choice in words, as the ``config.`` columns of ``trials`` have it."""
    return choice if isinstance(choice, str) else json.dumps(choice)
