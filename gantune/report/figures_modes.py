"""Draws the records of mode collapse."""

from collections.abc import Sequence

from gantune.report.axes import Scale, frame, scale_of
from gantune.report.drawing import Box, Dot, Drawing, Label, Line, Mark, Raster
from gantune.report.modes import Curves, ModeHistogram, PrecisionRecall
from gantune.report.verdicts import look_of
from gantune.report.words import in_words, number, percent

WIDTH, HEIGHT = 400, 260
LEFT, RIGHT, TOP, BOTTOM = 48, 14, 34, 40
MANY_MODES = 60

NAMES = {"modes": "modes reached", "mode_entropy": "evenness of modes (1: even)"}


def curves_figure(info: Curves) -> Drawing:
    """Thin lines, the best trial's in front."""
    values = [value for curve in info.drawn for value in curve.values]
    epochs = [epoch for curve in info.drawn for epoch in curve.epochs]
    x = scale_of(epochs, LEFT, WIDTH - RIGHT)
    y = scale_of(values, HEIGHT - BOTTOM, TOP, from_zero=True)
    marks = frame(x, y, "epoch", NAMES.get(info.column, in_words(info.column)), whole=True)
    for curve in sorted(info.drawn, key=lambda curve: curve.number == info.best):
        is_best = curve.number == info.best
        points = tuple((x(e), y(v)) for e, v in zip(curve.epochs, curve.values, strict=True))
        title = f"trial {curve.number}" + (", the best" if is_best else "")
        ink, width, opacity = ("blue", 2.4, 1.0) if is_best else ("grey", 1.0, 0.45)
        if len(points) == 1:
            marks.append(Dot(*points[0], ink, 2.4, opacity=opacity, title=title))
        else:
            marks.append(Line(points, ink, width, opacity, title=title))
    alt = f"{in_words(info.column)} over epochs of {len(info.drawn)} trials"
    best = [curve for curve in info.drawn if curve.number == info.best]
    if best:
        alt += f"; trial {info.best}, the best, ends at {number(best[0].values[-1])}"
    return Drawing(WIDTH, HEIGHT, tuple(marks), alt)


def histogram_figure(info: ModeHistogram, data: Sequence[float] | None) -> Drawing:
    """Shares of samples per mode as bars, the data's as ticks over them."""
    shares = list(info.shares)
    real = list(data) if data is not None and len(data) == len(shares) else None
    if len(shares) > MANY_MODES:
        shares = sorted(shares, reverse=True)
        real = sorted(real, reverse=True) if real else None
    width, height = 340, 190
    y = scale_of([*shares, *(real or ())], height - BOTTOM, TOP, from_zero=True)
    x = Scale(0, len(shares), LEFT, width - RIGHT)
    room = (x.end - x.start) / len(shares)
    marks: list[Mark] = []
    for tick in y.ticks:
        marks.append(Line(((x.start, y(tick)), (x.end, y(tick))), "faint", 1))
        marks.append(Label(x.start - 6, y(tick) + 3.5, percent(tick), 11, "end"))
    for mode, share in enumerate(shares):
        title = f"mode {mode}: {percent(share)}"
        top, left = y(share), x(mode) + room * 0.12
        marks.append(Box(left, top, room * 0.76, y.start - top, "blue", 0.85, title))
        if real is not None:
            ends = (
                (x(mode) + room * 0.04, y(real[mode])),
                (x(mode + 1) - room * 0.04, y(real[mode])),
            )
            marks.append(Line(ends, "orange", 2.2))
        if len(shares) <= 12:
            marks.append(Label(x(mode + 0.5), y.start + 15, str(mode), 11, "middle"))
    along = "mode or class" if len(shares) <= MANY_MODES else f"{len(shares)} modes, most first"
    marks.append(Label(x.end, y.start + 31, along, 11, "end"))
    head = f"{info.name}: trial {info.number}, epoch {info.epoch}"
    marks.append(Label(4, 18, head, 12, ink="text", bold=True))
    present = sum(share > 0 for share in info.shares)
    alt = f"shares of samples in {len(shares)} modes, {present} of them reached, {head}"
    return Drawing(width, height, tuple(marks), alt)


def precision_recall_figure(points: Sequence[PrecisionRecall], best: int | None) -> Drawing:
    """A marker per trial at its best epoch; the corner above right is best."""
    x, y = Scale(0, 1.02, LEFT, WIDTH - RIGHT), Scale(0, 1.04, HEIGHT - BOTTOM, TOP)
    marks = frame(x, y, "recall: share of the data that is reached", "precision")
    for point in sorted(points, key=lambda point: point.number == best):
        look = look_of(point.verdict)
        title = f"trial {point.number}: precision {number(point.precision)}, "
        title += f"recall {number(point.recall)}, {in_words(point.verdict or 'not judged')}"
        at = (x(point.recall), y(point.precision))
        marks.append(Dot(*at, look.ink, 4, look.shape, 0.85, title))
        if point.number == best:
            marks.append(Dot(*at, "text", 8, "ring"))
            marks.append(
                Label(at[0] - 12, at[1] + 4, f"trial {best}", 11.5, "end", "text", bold=True)
            )
    return Drawing(
        WIDTH,
        HEIGHT,
        tuple(marks),
        f"precision against recall of {len(points)} trials at their best epochs",
    )


def scatter_figure(
    png: bytes, centers: Sequence[tuple[float, float]], reach: float, head: str
) -> Drawing:
    """Samples of a mixture with the true modes ringed.

    Args:
        png: The scatter, over the square from -reach to reach.
        centers: The modes.
        reach: Half the square's side.
        head: What the samples are of.
    """
    side = 300
    marks: list[Mark] = [Label(4, 16, head, 12, ink="text", bold=True)]
    marks.append(Raster(0, 24, side, side, png))
    for x, y in centers:
        at = ((x / reach + 1) / 2 * side, 24 + (1 - y / reach) / 2 * side)
        marks.append(Dot(*at, "vermilion", 7, "ring", 0.9))
    return Drawing(side, side + 26, tuple(marks), f"{head}: samples and {len(centers)} true modes")
