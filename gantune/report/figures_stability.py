"""Draws the records of stability."""

from collections.abc import Sequence

from gantune.report.axes import Scale, frame, scale_of, wants_log
from gantune.report.drawing import Box, Dot, Drawing, Label, Line, Mark
from gantune.report.stability import Example, FailureMap, VerdictShare
from gantune.report.verdicts import look_of
from gantune.report.words import counted, in_words, is_known, label, number, percent, short

WIDTH, HEIGHT = 400, 290
LEFT, RIGHT, TOP, BOTTOM = 62, 16, 34, 40
SMALL_WIDTH, SMALL_HEIGHT = 300, 150


def shares_figure(shares: Sequence[VerdictShare]) -> Drawing:
    """A bar per verdict."""
    left, step = 190, 25
    width, height = 420, 8 + step * len(shares)
    top_share = max((s.share for s in shares), default=1.0)
    x = Scale(0, top_share, left, width - 84)
    marks: list[Mark] = []
    for place, share in enumerate(shares):
        look, top = look_of(share.verdict), 4 + step * place
        name = in_words(share.verdict) if share.verdict else "not judged"
        marks.append(Dot(9, top + 9, look.ink, 5, look.shape))
        marks.append(Label(22, top + 13, name, 12.5, ink="text"))
        marks.append(Box(left, top, max(2.0, x(share.share) - left), 18, look.ink, 0.9))
        told = f"{share.trials:,} ({percent(share.share)})"
        marks.append(Label(x(share.share) + 7, top + 13, told, 12))
    alt = ", ".join(f"{s.trials} {in_words(s.verdict or 'not judged')}" for s in shares)
    return Drawing(width, height, tuple(marks), f"trials by verdict: {alt}")


def map_figure(info: FailureMap) -> Drawing:
    """Trials as markers of their verdicts."""
    x = scale_of([p.x for p in info.points], LEFT, WIDTH - RIGHT, is_log=info.x_log)
    y = scale_of([p.y for p in info.points], HEIGHT - BOTTOM, TOP, is_log=info.y_log)
    marks = frame(x, y, short(label(info.x_path), 46), short(label(info.y_path), 46))
    # What is not healthy lies on top.
    for point in sorted(info.points, key=lambda p: p.verdict != "healthy"):
        look = look_of(point.verdict)
        told = in_words(point.verdict or "not judged")
        title = f"trial {point.number}: {told}; {number(point.x)}, {number(point.y)}"
        marks.append(Dot(x(point.x), y(point.y), look.ink, 4, look.shape, 0.85, title))
    alt = f"{len(info.points)} trials by {short(label(info.x_path), 40)} and "
    return Drawing(
        WIDTH, HEIGHT, tuple(marks), f"{alt}{short(label(info.y_path), 40)}, marked by verdict"
    )


def rates_figure(path: str, parts: Sequence[tuple[str, int, dict[str, int]]]) -> Drawing:
    """How often each verdict falls on the parts of a parameter's domain.

    Args:
        path: The parameter.
        parts: (name, trials, count by verdict) of each part.
    """
    step, left = 27, 138
    width, height = WIDTH, 30 + step * len(parts)
    x = Scale(0, 1, left, width - 58)
    marks: list[Mark] = [Label(4, 15, short(label(path), 50), 11.5, ink="text", bold=True)]
    for place, (name, trials, counts) in enumerate(parts):
        top, at = 28 + step * place, 0.0
        marks.append(Label(left - 8, top + 14, short(name, 22), 11.5, "end", "text"))
        for verdict, count in counts.items():
            share = count / trials if trials else 0.0
            if share:
                title = f"{in_words(verdict)}: {count} of {trials}"
                box = Box(
                    x(at), top, x(at + share) - x(at) - 1, 19, look_of(verdict).ink, 0.9, title
                )
                marks.append(box)
                at += share
        marks.append(
            Label(width - 52, top + 14, counted(trials, "trial") if trials else "none", 11)
        )
    alt = "; ".join(
        f"{short(name, 30)}: "
        + (", ".join(f"{c} {in_words(v)}" for v, c in counts.items() if c) or "none")
        for name, _, counts in parts
    )
    alt = f"verdicts over the range of {short(label(path), 50)}: {alt}"
    return Drawing(width, height, tuple(marks), alt)


EXAMPLE_PANELS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("D accuracy", (("d_acc", "blue"),)),
    ("losses", (("g_loss", "orange"), ("d_loss", "blue"))),
    ("gradient norms", (("g_grad_norm", "orange"), ("d_grad_norm", "blue"))),
)


def example_figure(info: Example, panel: int) -> Drawing:
    """One of a verdict's small multiples: D's accuracy, losses, gradient norms."""
    name, lines = EXAMPLE_PANELS[panel]
    known = [v for column, _ in lines for v in info.curves[column] if v is not None]
    x = scale_of(info.epochs, 44, SMALL_WIDTH - 10)
    is_log = panel == 2 and wants_log(known)
    y = scale_of(known, SMALL_HEIGHT - 30, 26, is_log=is_log)
    if panel == 0:
        y = Scale(0, 1.03, SMALL_HEIGHT - 30, 26)
    marks = [m for m in frame(x, y, "epoch", name, whole=True)]
    if panel == 0:
        marks.append(Line(((x.start, y(0.5)), (x.end, y(0.5))), "muted", 1, dashed=True))
    began = None if info.began is None else x(info.began)
    if began is not None:
        upright = ((began, y.start), (began, y.end))
        marks.append(Line(upright, look_of(info.verdict).ink, 1.5, 0.9, True))
    at = SMALL_WIDTH - 10.0
    for column, ink in lines:
        points = [
            (x(e), y(v))
            for e, v in zip(info.epochs, info.curves[column], strict=True)
            if v is not None
        ]
        if len(points) == 1:
            marks.append(Dot(*points[0], ink, 2.5))
        elif points:
            marks.append(Line(tuple(points), ink, 1.6, dashed=False))
        if len(lines) > 1:
            marks.append(Label(at, 17, "G" if column[0] == "g" else "D", 11, "end", ink, bold=True))
            at -= 18
    ends = [v for v in info.curves[lines[0][0]] if is_known(v)]
    alt = f"{name} of trial {info.number} over {len(info.epochs)} epochs"
    alt += f"; {lines[0][0]} ends at {number(ends[-1])}" if ends else "; no values"
    return Drawing(SMALL_WIDTH, SMALL_HEIGHT, tuple(marks), alt)
