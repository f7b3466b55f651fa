"""Scales, ticks and the frame around a plot."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gantune.report.drawing import Label, Line, Mark
from gantune.report.words import number

TICKS = 6


@dataclass(frozen=True)
class Scale:
    """From values to pixels.

    Attributes:
        low: The value at ``start``; positive where logarithmic.
        high: The value at ``end``, larger than ``low``.
        start: In pixels; of an upright scale its lower end, which is the larger number.
        end: In pixels.
        is_log: Whether equal ratios are equally far apart.
    """

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        """Where a value lies; one outside lies on the nearer end."""
        share = (self._place(value) - self._place(self.low)) / (
            self._place(self.high) - self._place(self.low)
        )
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)

    def _place(self, value: float) -> float:
        return math.log(max(value, 1e-300)) if self.is_log else value

    @property
    def ticks(self) -> list[float]:
        """Round values within the scale, some six of them at most."""
        return _log_ticks(self.low, self.high) if self.is_log else _ticks(self.low, self.high)


def scale_of(
    values: Iterable[float],
    start: float,
    end: float,
    *,
    is_log: bool = False,
    from_zero: bool = False,
) -> Scale:
    """The scale that holds some values, with a little room; of none, from 0 to 1.

    Args:
        values: Finite ones; where logarithmic only those above 0 count.
        start: In pixels.
        end: In pixels.
        is_log: Whether it is logarithmic.
        from_zero: Whether 0 is on it.
    """
    known = [float(v) for v in values if math.isfinite(v) and (v > 0 or not is_log)]
    if not known:
        return Scale(0, 1, start, end)
    low, high = min(known), max(known)
    if is_log:
        room = (high / low) ** 0.04 if high > low else 2.0
        return Scale(low / room, high * room, start, end, is_log=True)
    if from_zero:
        low, high = min(low, 0.0), max(high, 0.0)
    room = (high - low) * 0.05 or max(abs(high) * 0.1, 0.5)
    at_zero = from_zero and low == 0
    return Scale(low if at_zero else low - room, high + room, start, end)


def wants_log(values: Sequence[float]) -> bool:
    """Whether values are positive and spread over so much that a linear scale hides most."""
    known = sorted(v for v in values if math.isfinite(v))
    if len(known) < 3 or known[0] <= 0:
        return False
    return known[-1] / known[0] > 30


def frame(x: Scale, y: Scale, x_name: str, y_name: str, *, whole: bool = False) -> list[Mark]:
    """Grid lines, tick labels and the names of both axes.

    Args:
        x: The scale along.
        y: The upright scale.
        x_name: What is along.
        y_name: What is upright; stands above the plot, so that nobody turns the head.
        whole: Whether only whole numbers are ticks along.
    """
    marks: list[Mark] = []
    for tick in y.ticks:
        at = y(tick)
        marks.append(Line(((x.start, at), (x.end, at)), "faint", 1))
        marks.append(Label(x.start - 6, at + 3.5, number(float(tick)), 11, "end"))
    for tick in x.ticks:
        if whole and tick != int(tick):
            continue
        at = x(tick)
        marks.append(Line(((at, y.start), (at, y.start + 4)), "grey", 1))
        marks.append(Label(at, y.start + 16, number(float(tick)), 11, "middle"))
    marks.append(Line(((x.start, y.start), (x.end, y.start)), "grey", 1))
    marks.append(Label(x.end, y.start + 31, x_name, 11, "end"))
    marks.append(Label(4, y.end - 9, y_name, 11.5, "start", "text", bold=True))
    return marks


def _ticks(low: float, high: float) -> list[float]:
    step = 10 ** math.floor(math.log10((high - low) / TICKS))
    step *= next(m for m in (1, 2, 5, 10) if (high - low) / (step * m) <= TICKS)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = [f * 10.0**p for p in powers for f in factors if low <= f * 10.0**p <= high]
        if len(found) <= TICKS + 1:
            break
    stride = math.ceil(len(found) / (TICKS + 1))
    found = found[::stride]
    return found if len(found) > 1 else _ticks(low, high)
