"""Draws the confirmation over seeds and the front of two objectives."""

from gantune.report.axes import frame, scale_of, wants_log
from gantune.report.confirmed import Confirmed, Front
from gantune.report.drawing import Box, Dot, Drawing, Label, Line, Mark
from gantune.report.words import in_words, number, percent

WIDTH, HEIGHT = 420, 290
LEFT, RIGHT, TOP, BOTTOM = 62, 16, 34, 58


def seeds_figure(info: Confirmed, metric: str) -> Drawing:
    """A row per configuration: a dot per seed, the middle half as a bar, the median as a stroke."""
    left, step = 120.0, 34.0
    bottom = 14 + step * len(info.rows)
    values = [value for row in info.rows for value in row.values]
    x = scale_of(values, left, WIDTH - 70, is_log=wants_log(values))
    marks: list[Mark] = []
    for tick in x.ticks:
        marks.append(Line(((x(tick), 8), (x(tick), bottom)), "faint", 1))
        marks.append(Label(x(tick), bottom + 16, number(float(tick)), 11, "middle"))
    marks.append(Label(x.end, bottom + 32, in_words(metric), 11, "end"))
    for place, row in enumerate(info.rows):
        middle = 14 + step * (place + 0.5)
        is_best = row.number == info.winner
        ink = "blue" if is_best else "grey"
        marks.append(Label(left - 10, middle + 4, row.name, 11.5, "end", "text", bold=is_best))
        if row.q25 is not None and row.q75 is not None:
            low, high = sorted((x(row.q25), x(row.q75)))
            marks.append(Box(low, middle - 8, max(1.5, high - low), 16, ink, 0.25))
        for value in row.values:
            marks.append(Dot(x(value), middle, ink, 3.4, opacity=0.85, title=number(value)))
        if row.median is not None:
            at = x(row.median)
            marks.append(Line(((at, middle - 11), (at, middle + 11)), ink, 2.5))
        if row.failure_rate:
            told = f"{percent(row.failure_rate)} failed"
            marks.append(Label(WIDTH - 62, middle + 4, told, 11, ink="vermilion"))
    alt = "; ".join(f"{row.name}: median {number(row.median)}" for row in info.rows)
    return Drawing(WIDTH, bottom + 38, tuple(marks), f"{in_words(metric)} over seeds: {alt}")


def front_figure(info: Front) -> Drawing:
    """A marker per trial; those that no other beats in both objectives are joined."""
    firsts, seconds = [p.first for p in info.points], [p.second for p in info.points]
    x = scale_of(firsts, LEFT, WIDTH - RIGHT, is_log=wants_log(firsts))
    y = scale_of(seconds, HEIGHT - BOTTOM, TOP, is_log=wants_log(seconds))
    marks = frame(x, y, in_words(info.first), in_words(info.second))
    best = sorted((p.first, p.second) for p in info.points if p.on_front)
    if len(best) > 1:
        marks.append(Line(tuple((x(a), y(b)) for a, b in best), "blue", 1.2, 0.6, dashed=True))
    for point in sorted(info.points, key=lambda point: point.on_front):
        title = f"trial {point.number}: {number(point.first)}, {number(point.second)}"
        ink, shape = ("blue", "circle") if point.on_front else ("grey", "ring")
        if not point.feasible:
            ink, shape = "vermilion", "cross"
            title += ", misses a constraint"
        radius = 4.5 if point.on_front else 3.4
        marks.append(Dot(x(point.first), y(point.second), ink, radius, shape, 0.9, title))  # type: ignore[arg-type]
        if point.on_front and len(best) <= 12:
            marks.append(Label(x(point.first) + 7, y(point.second) - 5, str(point.number), 10.5))
    alt = f"{len(info.points)} trials by {in_words(info.first)} and {in_words(info.second)}; "
    alt += f"{len(best)} of them are beaten in both by no other"
    return Drawing(WIDTH, HEIGHT - 18, tuple(marks), alt)
