"""Draws the records of the search."""

from collections.abc import Sequence

from gantune.report.axes import Scale, frame, scale_of, wants_log
from gantune.report.drawing import Box, Dot, Drawing, Label, Line, Mark
from gantune.report.search import Bar, History, Rung, ShareOf, SpentCurve
from gantune.report.verdicts import STATUSES, look_of_status
from gantune.report.words import counted, duration, in_words, number, percent, short

WIDTH, HEIGHT = 420, 280
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 34, 40
LEGEND = 20
MOST_BARS = 12


def history_figure(info: History, metric: str) -> Drawing:
    """The objective of each trial, and a step line of the best so far."""
    values = [point.objective for point in info.points]
    x = scale_of([p.number for p in info.points], LEFT, WIDTH - RIGHT)
    y = scale_of(values, HEIGHT - BOTTOM - LEGEND, TOP, is_log=wants_log(values))
    marks = frame(x, y, "trial", in_words(metric), whole=True)
    marks.append(Line(_steps(info.best, x, y), "blue", 2, title="best so far"))
    for point in info.points:
        look = look_of_status(point.status)
        title = f"trial {point.number}: {number(point.objective)}, {point.status}"
        at = (x(point.number), y(point.objective))
        marks.append(Dot(*at, look.ink, 3.2, look.shape, 0.85, title))
    marks += status_legend({p.status for p in info.points}, HEIGHT - 6)
    alt = f"{in_words(metric)} of {len(info.points)} trials in the order of their numbers"
    if info.best:
        alt += f"; the best so far ends at {number(info.best[-1][1])}"
    return Drawing(WIDTH, HEIGHT, tuple(marks), alt)


def spent_figure(info: SpentCurve, metric: str, base: float | None) -> Drawing:
    """The best so far against epochs spent, with the base trial's value as a line."""
    values = [value for _, value in info.steps] + ([base] if base is not None else [])
    x = scale_of([1, *(spent for spent, _ in info.steps)], LEFT, WIDTH - RIGHT)
    y = scale_of(values, HEIGHT - BOTTOM, TOP, is_log=wants_log(values))
    marks = frame(x, y, "epochs spent in all trials", f"best {in_words(metric)} so far")
    if base is not None:
        marks.append(Line(((x.start, y(base)), (x.end, y(base))), "muted", 1.2, dashed=True))
        marks.append(Label(x.end, y(base) - 5, f"base trial {number(base)}", 11, "end", "muted"))
    marks.append(Line(_steps(info.steps, x, y), "blue", 2))
    alt = f"best {in_words(metric)} against epochs spent"
    if info.steps:
        last = info.steps[-1]
        marks.append(Dot(x(last[0]), y(last[1]), "blue", 4))
        alt += f": {number(last[1])} after {number(last[0])} epochs"
    return Drawing(WIDTH, HEIGHT, tuple(marks), alt)


def _steps(
    points: Sequence[tuple[int, float]], x: Scale, y: Scale
) -> tuple[tuple[float, float], ...]:
    found: list[tuple[float, float]] = []
    for at, value in points:
        if found:
            found.append((x(at), found[-1][1]))
        found.append((x(at), y(value)))
    return tuple(found)


def rungs_figure(rungs: Sequence[Rung], metric: str, unit: str) -> Drawing:
    """Values at each rung side by side: who went on, and who was stopped."""
    values = [point.value for rung in rungs for point in rung.points]
    y = scale_of(values, HEIGHT - BOTTOM - LEGEND, TOP, is_log=wants_log(values))
    along = Scale(0, max(1, len(rungs)), LEFT, WIDTH - RIGHT)
    none = Scale(-2, -1, LEFT, WIDTH - RIGHT)
    marks: list[Mark] = [
        m for m in frame(none, y, "", f"{in_words(metric)} at the rung") if _keeps(m, y)
    ]
    for place, rung in enumerate(rungs):
        middle = along(place + 0.5)
        reach = min(60.0, (along.end - along.start) / len(rungs) * 0.35)
        for index, point in enumerate(rung.points):
            offset = ((index * 0.618034) % 1 - 0.5) * 2 * reach
            ink, shape = ("orange", "triangle") if point.is_stopped else ("blue", "circle")
            what = "stopped here" if point.is_stopped else "went on"
            title = f"trial {point.number}: {number(point.value)}, {what}"
            marks.append(Dot(middle + offset, y(point.value), ink, 3.2, shape, 0.85, title))  # type: ignore[arg-type]
        name = f"{unit} {number(rung.level)}"
        marks.append(Label(middle, y.start + 16, name, 11, "middle", "text"))
        told = f"{rung.stopped} of {rung.reached} stopped"
        marks.append(Label(middle, y.start + 31, told, 11, "middle"))
    marks += [
        Dot(LEFT + 5, HEIGHT - 10, "blue", 4, "circle"),
        Label(LEFT + 14, HEIGHT - 6, "went on"),
        Dot(LEFT + 85, HEIGHT - 10, "orange", 4, "triangle"),
        Label(LEFT + 94, HEIGHT - 6, "stopped here"),
    ]
    alt = "; ".join(
        f"rung at {unit} {number(r.level)}: {r.stopped} of {r.reached} stopped" for r in rungs
    )
    return Drawing(WIDTH, HEIGHT, tuple(marks), alt)


def _keeps(mark: Mark, y: Scale) -> bool:
    """A plot of classes has no numbers along."""
    below = isinstance(mark, Label) and mark.y > y.start + 10
    tick = isinstance(mark, Line) and mark.points[0][0] == mark.points[1][0]
    return not below and not tick


def time_figure(bars: Sequence[Bar]) -> Drawing:
    """A row per worker, a bar per trial."""
    workers = list(dict.fromkeys(bar.worker for bar in sorted(bars, key=lambda b: b.start)))
    row = max(6.0, min(26.0, 420 / max(1, len(workers))))
    left, width, bottom = 96.0, 680.0, TOP + row * len(workers)
    end = max((bar.start + bar.seconds for bar in bars), default=1.0)
    unit, name = _unit(end)
    x = Scale(0, max(end, 1e-9) / unit, left, width - RIGHT)
    marks: list[Mark] = [Label(4, TOP - 14, "worker", 11.5, "start", "text", bold=True)]
    for tick in x.ticks:
        marks.append(Line(((x(tick), TOP), (x(tick), bottom)), "faint", 1))
        marks.append(Label(x(tick), bottom + 16, number(float(tick)), 11, "middle"))
    marks.append(Label(x.end, bottom + 31, f"{name} since the first trial began", 11, "end"))
    for place, worker in enumerate(workers if row >= 10 else []):
        at = TOP + row * (place + 0.5) + 4
        marks.append(Label(left - 6, at, short(worker, 14), 11, "end"))
    for bar in bars:
        top = TOP + row * workers.index(bar.worker) + row * 0.15
        start, stop = x(bar.start / unit), x((bar.start + bar.seconds) / unit)
        title = f"trial {bar.number}: {bar.status}, {duration(bar.seconds)}"
        ink = look_of_status(bar.status).ink
        marks.append(Box(start, top, max(0.8, stop - start - 0.6), row * 0.7, ink, 0.85, title))
    marks += status_legend({bar.status for bar in bars}, bottom + 36)
    alt = f"{counted(len(bars), 'trial')} on {counted(len(workers), 'worker')} over {duration(end)}"
    return Drawing(width, bottom + 42, tuple(marks), alt)


def _unit(seconds: float) -> tuple[float, str]:
    if seconds < 120:
        return 1, "seconds"
    return (60, "minutes") if seconds < 7200 else (3600, "hours")


def importance_figure(rows: Sequence[ShareOf]) -> Drawing:
    """A bar per parameter; paler and apart those that only some trials have.

    Args:
        rows: The largest first.
    """
    always = [row for row in rows if not row.is_conditional]
    some = [row for row in rows if row.is_conditional]
    groups = [(always[:MOST_BARS], 0.9), (some[: MOST_BARS - len(always[:MOST_BARS])], 0.4)]
    x = Scale(0, max((row.share for row in rows), default=1.0) or 1.0, 150, WIDTH - 92)
    marks: list[Mark] = [Label(4, 16, "importance", 11.5, ink="text", bold=True)]
    top, told = TOP - 4.0, []
    for shown, opacity in groups:
        if shown and shown is not groups[0][0]:
            head = "among the trials that have it, a share of theirs alone"
            marks.append(Label(4, top + 14, head, 11.5, ink="text"))
            top += 24
        for row in shown:
            of = f" of {counted(row.trials, 'trial')}"
            said = percent(row.share) + (of if row.is_conditional or row is shown[0] else "")
            marks.append(Label(x.start - 8, top + 13, short(row.name, 24), 11.5, "end", "text"))
            marks.append(Box(x.start, top, max(1.0, x(row.share) - x.start), 16, "blue", opacity))
            marks.append(Label(x(row.share) + 6, top + 13, said, 11))
            among = f" among the {row.trials} that have it" if row.is_conditional else ""
            told.append(f"{short(row.name, 40)} {percent(row.share)}{among}")
            top += 24
    alt = f"importance of parameters: {', '.join(told)}"
    return Drawing(WIDTH, top + 8, tuple(marks), alt)


def status_legend(present: set[str], y: float) -> list[Mark]:
    """Marker and word of each status that occurs."""
    marks: list[Mark] = []
    at = LEFT + 5.0
    for status, look in STATUSES.items():
        if status in present:
            marks.append(Dot(at, y - 4, look.ink, 4, look.shape))
            marks.append(Label(at + 9, y, status))
            at += 26 + 6.2 * len(status)
    return marks
