"""Draws several runs side by side: figures, page and Markdown."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from gantune.analysis.compare import Comparison
from gantune.analysis.recorded import epochs_of_search, of_search
from gantune.report.axes import frame, scale_of, wants_log
from gantune.report.drawing import Box, Drawing, Label, Line, Mark
from gantune.report.grids import data_url
from gantune.report.markdown import text
from gantune.report.rendering import render
from gantune.report.several import Several, Side, several_lead
from gantune.report.svg import to_svg
from gantune.report.thinning import thin_indices
from gantune.report.verdicts import look_of
from gantune.report.words import in_words, number, percent, plain, short, value_text

WIDTH, HEIGHT = 560, 330
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 34, 40
INKS = ("blue", "orange", "green", "purple", "vermilion", "sky", "yellow", "black")
STEPS = 300


def curves_figure(comparison: Comparison) -> Drawing:
    """The best so far of each run against epochs spent."""
    lines = []
    for label in comparison.runs.index:
        rows = comparison.curves[comparison.curves["run"] == label].dropna(subset=["best"])
        rows = rows.iloc[thin_indices(len(rows), STEPS)]
        lines.append((str(label), list(zip(rows["epochs"], rows["best"], strict=True))))
    values = [float(value) for _, points in lines for _, value in points]
    spent = [float(at) for _, points in lines for at, _ in points]
    x = scale_of([1, *spent], LEFT, WIDTH - RIGHT)
    bottom = HEIGHT - BOTTOM - 18 * len(lines)
    y = scale_of(values, bottom, TOP, is_log=wants_log(values))
    name = f"best {in_words(comparison.metric)} so far"
    marks = frame(x, y, "epochs spent in all trials", name)
    for place, (label, points) in enumerate(lines):
        ink, dashed = INKS[place % len(INKS)], place % 2 == 1
        path = tuple((x(float(at)), y(float(value))) for at, value in points)
        if len(path) > 1:
            marks.append(Line(path, ink, 2, dashed=dashed, title=short(label, 60)))
        at = bottom + BOTTOM + 4 + 18 * place
        marks.append(Line(((LEFT, at), (LEFT + 26, at)), ink, 2.4, dashed=dashed))
        end = f": {number(float(points[-1][1]))}" if points else ": no value"
        marks.append(Label(LEFT + 34, at + 4, short(label, 50) + end, 11.5, ink="text"))
    alt = ", ".join(f"{short(label, 40)}" for label, _ in lines)
    return Drawing(WIDTH, HEIGHT, tuple(marks), f"{name} of {alt}")


def shares_figure(sides: Sequence[Side]) -> Drawing:
    """A stacked bar of verdicts per run."""
    step, left = 30.0, 150.0
    used = [share.verdict for side in sides for share in side.shares]
    marks: list[Mark] = []
    for place, side in enumerate(sides):
        at, top = left, 4 + step * place
        marks.append(Label(left - 8, top + 15, short(side.label, 22), 11.5, "end", "text"))
        for share in side.shares:
            width = share.share * (WIDTH - left - 10)
            name = in_words(share.verdict or "not judged")
            title = f"{name}: {share.trials} ({percent(share.share)})"
            box = Box(at, top, max(0.5, width - 1), 22, look_of(share.verdict).ink, 0.9, title)
            marks.append(box)
            at += width
    top, at = 22 + step * len(sides), left
    for verdict in dict.fromkeys(used):
        name = in_words(verdict or "not judged")
        if at + 30 + 6.4 * len(name) > WIDTH:
            at, top = left, top + 20
        marks.append(Box(at, top - 10, 11, 11, look_of(verdict).ink, 0.9))
        marks.append(Label(at + 16, top, name, 11.5))
        at += 34 + 6.4 * len(name)
    alt = "; ".join(
        f"{short(side.label, 40)}: "
        + ", ".join(f"{s.trials} {in_words(s.verdict or 'not judged')}" for s in side.shares)
        for side in sides
    )
    return Drawing(WIDTH, top + 10, tuple(marks), f"verdicts by run: {alt}")


def several_figures(info: Several) -> list[tuple[str, str, Drawing]]:
    """(file, caption, figure)."""
    found = []
    if info.comparison is not None:
        caption = (
            "The best value of each run after equally many epochs. A run is better where its line "
            "lies better at the budget that you have, not at its own end."
        )
        found.append(("curves", caption, curves_figure(info.comparison)))
    caption = "How the trials of each run ended up. Runs with less blue waste more of their budget."
    found.append(("verdicts", caption, shares_figure(info.sides)))
    return found


def several_page(info: Several, drawn: Sequence[tuple[str, str, Drawing]]) -> str:
    """The page as HTML."""
    return render(
        "several.html",
        ("page.js",),
        False,
        title=", ".join(side.label for side in info.sides),
        info=info,
        lead=several_lead(info),
        figures=[
            {"svg": Markup(to_svg(drawing)), "caption": caption} for _, caption, drawing in drawn
        ],
        tables=tables(info),
        pictures=[_picture(side) for side in info.sides],
    )


def _picture(side: Side) -> dict[str, Any] | None:
    if side.grid is None:
        return None
    epochs = side.grid.epochs
    wanted = (side.best and side.best.epoch) or epochs[-1]
    index = min(range(len(epochs)), key=lambda i: abs(epochs[i] - wanted))
    width, height = side.grid.sizes[index]
    url = data_url(side.grid.webps[index])
    return {"url": url, "width": width, "height": height, "epoch": epochs[index]}


def tables(info: Several) -> list[dict[str, Any]]:
    """Title, head and rows of (key, value) of each table."""
    heads = [side.label for side in info.sides]
    found = [_overview(info)]
    if info.comparison is None:
        return found
    budgets = [
        (
            f"{int(str(level)):,} epochs",
            [(f"budget.{level}.{h}", v) for h, v in zip(heads, row, strict=True)],
        )
        for level, row in zip(
            info.comparison.budgets.index, info.comparison.budgets.to_numpy().tolist(), strict=True
        )
    ]
    metric = in_words(info.comparison.metric)
    found.append({"title": f"Best {metric} so far", "heads": heads, "rows": budgets})
    differences = [
        (str(path), [(f"difference.{path}.{h}", v) for h, v in zip(heads, row, strict=True)])
        for path, row in zip(
            info.comparison.differences.index,
            info.comparison.differences.to_numpy().tolist(),
            strict=True,
        )
    ]
    found.append({"title": "What differs in their studies", "heads": heads, "rows": differences})
    return found


def _overview(info: Several) -> dict[str, Any]:
    def row(name: str, values: list[Any]) -> tuple[str, list[tuple[str, Any]]]:
        keyed = [(f"runs.{s.label}.{name}", v) for s, v in zip(info.sides, values, strict=True)]
        return name, keyed

    runs = [side.run for side in info.sides]
    winners = [
        next((r for r in s.seeds.rows if r.number == s.seeds.winner), None) if s.seeds else None
        for s in info.sides
    ]
    over_seeds = [
        row("median over seeds", [winner and winner.median for winner in winners]),
        row("of the trial", [winner and winner.number for winner in winners]),
    ]
    rows = [
        row("status", [run.status for run in runs]),
        row("metric", [in_words(run.study.objective.metric) for run in runs]),
        row("best value", [side.best.objective if side.best else None for side in info.sides]),
        row("its trial", [side.best.number if side.best else None for side in info.sides]),
        row("its epoch", [side.best.epoch if side.best else None for side in info.sides]),
        row(
            "its verdict", [side.best and in_words(side.best.verdict or "–") for side in info.sides]
        ),
        *(over_seeds if any(winners) else []),
        row("trials", [len(of_search(run)) for run in runs]),
        row("epochs", [len(epochs_of_search(run)) for run in runs]),
        row("measured in", [run.measured_in.features if run.measured_in else None for run in runs]),
    ]
    return {"title": "The runs", "heads": [side.label for side in info.sides], "rows": rows}


def several_markdown(info: Several, drawn: Sequence[tuple[str, str, Drawing]]) -> str:
    """The summary as Markdown; pictures lie beside it."""
    lines = [f"# {text(', '.join(side.label for side in info.sides), 200)}", ""]
    lines += [f"**{text(plain(several_lead(info)), 800)}**", ""]
    for name, caption, drawing in drawn:
        lines += [f"![{text(drawing.alt, 400)}]({name}.png)", "", text(caption, 400), ""]
    for table in tables(info):
        lines += [f"## {text(table['title'], 100)}", ""]
        if not table["rows"]:
            lines += ["Nothing.", ""]
            continue
        lines.append(f"| | {' | '.join(text(head) for head in table['heads'])} |")
        lines.append(f"|{' --- |' * (len(table['heads']) + 1)}")
        for name, cells in table["rows"]:
            lines.append(
                f"| {text(name)} | {' | '.join(text(value_text(v), 120) for _, v in cells)} |"
            )
        lines.append("")
    return "\n".join(lines)
