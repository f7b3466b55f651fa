"""Median and quartile curves as SVG, drawn by hand: no plotting package is needed."""

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import NamedTuple

import numpy as np

WIDTH, HEIGHT = 460, 320
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 28, 40
COLOURS = ("#1b6ca8", "#8a8a8a", "#d1495b", "#2e8b57")


class Panel(NamedTuple):
    """One picture.

    Attributes:
        title: Above it.
        unit: Of the vertical axis.
        curves: Best objectives of each search, seeds x epochs.
    """

    title: str
    unit: str
    curves: Mapping[str, np.ndarray]


NOTHING = 1e300


def draw(panels: Sequence[Panel]) -> str:
    """Panels side by side, with one legend below; the vertical axes are logarithmic."""
    names = list(panels[0].curves)
    parts = [
        f'<g transform="translate({WIDTH * n},0)">{"".join(_panel(panel))}</g>'
        for n, panel in enumerate(panels)
    ]
    width, height = WIDTH * len(panels), HEIGHT + 26
    legend = "".join(
        f'<rect x="{LEFT + 200 * n}" y="{HEIGHT + 4}" width="14" height="10" fill="{colour}"/>'
        + _text(LEFT + 200 * n + 20, HEIGHT + 13, name)
        for n, (name, colour) in enumerate(zip(names, COLOURS, strict=False))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>'
        f"{''.join(parts)}{legend}</svg>\n"
    )


class _Axes:
    """From epochs and objectives to places on the paper."""

    def __init__(self, curves: Mapping[str, np.ndarray]) -> None:
        quartiles = [_quantiles(curve, (0.25, 0.75)) for curve in curves.values()]
        self.epochs = quartiles[0].shape[1]
        self.low = float(min(q.min() for q in quartiles)) / 1.1
        # What a search has found in its first epochs says little and would flatten the rest.
        later = np.concatenate([q[:, self.epochs // 20 :] for q in quartiles])
        self.high = float(later[later < NOTHING].max()) * 1.1

    def x(self, epoch: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * epoch / self.epochs

    def y(self, value: float) -> float:
        share: float = math.log(min(value, self.high) / self.low) / math.log(self.high / self.low)
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * share


def _quantiles(curve: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Of the seeds at each epoch; a search that has found nothing yet is worse than any other."""
    known = np.where(np.isfinite(curve), curve, NOTHING)
    found: np.ndarray = np.quantile(known, shares, axis=0, method="nearest")
    return found


def _panel(panel: Panel) -> Iterator[str]:
    axes = _Axes(panel.curves)
    yield _text((LEFT + WIDTH) / 2, 16, panel.title, "middle", "13")
    yield from _grid(axes)
    yield _text((LEFT + WIDTH) / 2, HEIGHT - 8, "epochs spent", "middle")
    yield _text(LEFT, TOP - 4, panel.unit)
    epochs = range(1, axes.epochs + 1)
    for curve, colour in zip(panel.curves.values(), COLOURS, strict=False):
        low, middle, high = _quantiles(curve, (0.25, 0.5, 0.75))
        edge = [*_steps(axes, epochs, low), *reversed(list(_steps(axes, epochs, high)))]
        yield f'<polygon points="{" ".join(edge)}" fill="{colour}" fill-opacity="0.15"/>'
        line = " ".join(_steps(axes, epochs, middle))
        yield f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.8"/>'


def _steps(axes: _Axes, epochs: Sequence[int], values: np.ndarray) -> Iterator[str]:
    """The corners of a staircase; a level is drawn once, however long it lasts."""
    last = len(values) - 1
    for n, value in enumerate(values):
        if n in (0, last) or value != values[n - 1]:
            if n:
                yield f"{axes.x(epochs[n]):.1f},{axes.y(values[n - 1]):.1f}"
            yield f"{axes.x(epochs[n]):.1f},{axes.y(value):.1f}"


def _grid(axes: _Axes) -> Iterator[str]:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    for value in _ticks(axes.low, axes.high):
        y = axes.y(value)
        yield f'<path d="M{LEFT},{y:.1f}H{right}" stroke="#ddd"/>'
        yield _text(LEFT - 5, y + 4, f"{value:g}", "end")
    for sixth in range(7):
        x = axes.x(axes.epochs * sixth / 6)
        yield f'<path d="M{x:.1f},{bottom}v4" stroke="#555"/>'
        yield _text(x, bottom + 15, f"{axes.epochs * sixth / 6:.0f}", "middle")
    yield f'<path d="M{LEFT},{TOP}V{bottom}H{right}" stroke="#555" fill="none"/>'


def _ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [digit * 10.0**decade for decade in decades for digit in (1, 2, 3, 5, 7)]
    return [value for value in values if low < value < high]


def _text(x: float, y: float, text: str, anchor: str = "start", size: str = "11") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="#333">'
        f"{escape(text)}</text>"
    )
