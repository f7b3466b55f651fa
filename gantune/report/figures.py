"""Every figure of one run's report, with what to read off it."""

from collections.abc import Iterator
from dataclasses import dataclass

from gantune.parts.data import Grid as MixtureGrid
from gantune.parts.data import Ring
from gantune.paths import RunPaths
from gantune.pictures import half_side, open_png, read_png
from gantune.report.drawing import Drawing
from gantune.report.figures_confirmed import front_figure, seeds_figure
from gantune.report.figures_modes import (
    curves_figure,
    histogram_figure,
    precision_recall_figure,
    scatter_figure,
)
from gantune.report.figures_search import (
    history_figure,
    importance_figure,
    rungs_figure,
    spent_figure,
    time_figure,
)
from gantune.report.figures_stability import map_figure, rates_figure, shares_figure
from gantune.report.gather import Material
from gantune.report.grids import picture_epochs
from gantune.report.search import shares_of
from gantune.report.words import in_words, label, short


@dataclass(frozen=True)
class Figure:
    """A figure in its place.

    Attributes:
        name: Its file, without ending.
        group: Where in the page it stands.
        caption: What to read off it.
        drawing: The figure.
    """

    name: str
    group: str
    caption: str
    drawing: Drawing


def figures(material: Material) -> list[Figure]:
    """All figures for which the run has numbers."""
    return [*_answer(material), *_stability(material), *_modes(material), *_search(material)]


def _answer(material: Material) -> Iterator[Figure]:
    if material.seeds is not None:
        caption = (
            "Each dot is a seed, the bar the middle half, the stroke the median. Where bars "
            "overlap much, the order of the configurations may be chance."
        )
        drawing = seeds_figure(material.seeds, material.answer.metric)
        yield Figure("seeds", "seeds", caption, drawing)


def _stability(material: Material) -> Iterator[Figure]:
    if material.shares:
        caption = (
            "How trials ended up, by the worst that held at their end. Healthy means that nothing "
            "was found, not that the samples are good."
        )
        yield Figure("verdicts", "shares", caption, shares_figure(material.shares))
    for index, rates in enumerate(material.found.rates):
        caption = f"Verdicts over the range of {short(label(rates.path), 60)}."
        if index == 0:
            caption += " Each row is all of its trials: little blue is where training breaks."
        yield Figure(f"rates_{index + 1}", "rates", caption, rates_figure(rates.path, rates.parts))
    for index, plane in enumerate(material.maps):
        if plane.points:
            names = (short(label(path), 60) for path in (plane.x_path, plane.y_path))
            caption = "Trials by {} (along) and {} (upright).".format(*names)
            if index == 0:
                caption += " Failures in one place are a region to leave out of the next search."
            yield Figure(f"failure_map_{index + 1}", "maps", caption, map_figure(plane))


CURVE_CAPTIONS = {
    "modes": "Modes or classes with at least one sample. A line that stays low has collapsed; one "
    "that falls has lost modes that it once served.",
    "mode_entropy": "How evenly samples fall on modes. It falls before modes are lost altogether.",
    "coverage": "Share of real samples with a generated one nearby: low means that much of the "
    "data is never imitated.",
}


HISTOGRAM_CAPTIONS = {
    "best": "Shares of generated samples in each mode: of the best trial, at its best epoch.",
    "median": "Of the trial in the middle of all by the objective.",
    "worst": "Of the trial with the worst objective.",
}


def _modes(material: Material) -> Iterator[Figure]:
    for curves in material.curves:
        if curves.drawn:
            caption = CURVE_CAPTIONS[curves.column] + " The best trial is the thick line."
            if len(curves.drawn) < curves.trials:
                caption += f" {len(curves.drawn)} of {curves.trials:,} trials are drawn."
            yield Figure(curves.column, "curves", caption, curves_figure(curves))
    shares = material.real.shares if material.real else None
    for histogram in material.histograms:
        caption = HISTOGRAM_CAPTIONS[histogram.name]
        caption += " Strokes: the data's own." if shares and histogram.name == "best" else ""
        name = f"histogram_{histogram.name}"
        yield Figure(name, "histograms", caption, histogram_figure(histogram, shares))
    if material.precision_recall:
        caption = (
            "Each trial at its best epoch. Low on the right: variety without quality; high on the "
            "left: few good samples again and again, which is how a collapse looks."
        )
        drawing = precision_recall_figure(material.precision_recall, material.best)
        yield Figure("precision_recall", "pr", caption, drawing)
    yield from _scatters(material)


def _scatters(material: Material) -> Iterator[Figure]:
    data = material.run.study.trial.data
    if not isinstance(data, Ring | MixtureGrid) or not material.real or not material.real.centers:
        return
    caption = "Dots are samples, rings the true modes. A ring without dots is a mode that is lost."
    reach, centers = half_side(data), material.real.centers
    for histogram in material.histograms:
        assert histogram.number is not None
        files = picture_epochs(RunPaths(material.run.root), histogram.number)
        if files:
            epoch, path = min(files, key=lambda f: abs(f[0] - (histogram.epoch or 0)))
            head = f"{histogram.name}: trial {histogram.number}, epoch {epoch}"
            png = read_png(path)
            if open_png(png) is not None:
                drawing = scatter_figure(png, centers, reach, head)
                yield Figure(f"scatter_{histogram.name}", "scatters", caption, drawing)


def _search(material: Material) -> Iterator[Figure]:
    metric, answer = material.answer.metric, material.answer
    if material.history.points:
        caption = (
            f"The best {in_words(metric)} of each trial, in the order in which the search "
            "proposed them; the line is the best so far. Stopped trials had less time."
        )
        yield Figure("history", "search", caption, history_figure(material.history, metric))
    if material.spent.steps:
        base = answer.base.objective if answer.base else None
        caption = (
            "What the search had found after how much training. A line that is long flat says "
            "that more of the same would hardly help."
        )
        yield Figure("spent", "search", caption, spent_figure(material.spent, metric, base))
    if material.rungs:
        unit = getattr(material.run.study.scheduler, "unit", "epochs").removesuffix("s")
        unit = "epoch" if unit == "image" else unit
        caption = (
            "Trials when they came to each rung. If stopped and kept trials lie far apart, the "
            "scheduler decides on more than chance."
        )
        drawing = rungs_figure(material.rungs, metric, unit)
        yield Figure("rungs", "search", caption, drawing)
    if material.front is not None and material.front.points:
        caption = (
            "Each marker is a trial at its best epoch. Filled ones are beaten in both by "
            "no other: choose among them. Crosses miss a constraint."
        )
        yield Figure("front", "search", caption, front_figure(material.front))
    shares = shares_of(material.found.importance)
    if shares:
        caption = (
            "Share of the objective's variance that each parameter explains by itself, over all "
            "trials at the first rung."
        )
        if any(share.is_conditional for share in shares):
            caption += (
                " Pale bars are of parameters that only some trials have: each is a share of what "
                "differs among those, and adds up with no other."
            )
        if material.found.warning:
            caption += f" Note: {material.found.warning}."
        yield Figure("importance", "search", caption, importance_figure(shares))
    if material.time_line:
        caption = "A row per worker, a bar per trial. White gaps are workers that waited."
        yield Figure("time_line", "wide", caption, time_figure(material.time_line))
