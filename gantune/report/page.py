"""One run as a page."""

import shlex
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from gantune.report.answer import Answer
from gantune.report.confirmed import Confirmed, confirmed_lead
from gantune.report.figures import Figure
from gantune.report.figures_stability import EXAMPLE_PANELS, example_figure
from gantune.report.gather import Material
from gantune.report.grids import Grid, data_url, shrink
from gantune.report.optuna_plots import MAX_TRIALS, OptunaPlot
from gantune.report.rendering import render
from gantune.report.svg import to_svg
from gantune.report.trials import TrialRow, trial_curves
from gantune.report.verdicts import VERDICTS, WHAT_HELPS, look_of
from gantune.report.words import Fact, Sentence, duration, in_words, short, value_text
from gantune.visible import visible

GROUPS = (
    "seeds",
    *("shares", "rates", "maps"),
    *("curves", "histograms", "scatters", "pr"),
    *("search", "wide"),
)


def page(material: Material, drawn: Sequence[Figure], plots: Sequence[OptunaPlot]) -> str:
    """The whole page as HTML.

    Args:
        material: The records.
        drawn: The figures.
        plots: Optuna's plots.
    """
    run, answer, table = material.run, material.answer, material.table
    groups: dict[str, list[dict[str, Any]]] = {name: [] for name in GROUPS}
    for figure in drawn:
        groups[figure.group].append(
            {"svg": Markup(to_svg(figure.drawing)), "caption": figure.caption}
        )
    return render(
        "page.html",
        ("page.js", "trials.js", "plots.js"),
        bool(plots),
        title=run.name,
        run=run,
        a=answer,
        p=material.provenance,
        status=status_line(material),
        lead=lead(answer, material.seeds),
        own_settings="Greyed: as in the base trial." if answer.base else "",
        command=lambda number: visible(command(material, number)),
        best_picture=_best_picture(material),
        real_picture=_real_picture(material),
        seeds=material.seeds,
        groups=groups,
        shares=material.shares,
        multiples=_multiples(material),
        missing_modes=missing_modes(material),
        search_intro=search_intro(material),
        plots=plots,
        plots_thinned=_plots_thinned(material),
        table=table,
        table_intro=table_intro(material),
        verdicts=[name for name in VERDICTS if any(r.verdict == name for r in table.rows)],
        statuses=sorted({row.status for row in table.rows}),
        severity=lambda verdict: list(VERDICTS).index(verdict) if verdict in VERDICTS else "",
        times=time_split(material),
        data=_data(material),
        plot_data={plot.name: plot.figure for plot in plots},
    )


def command(material: Material, number: int) -> str:
    """What trains a trial again."""
    return f"gantune train {shlex.quote(str(material.run.root))} --trial {number}"


def lead(answer: Answer, seeds: Confirmed | None) -> Sentence:
    """The answer in one sentence."""
    metric, best = in_words(answer.metric), answer.best
    if seeds is not None:
        return confirmed_lead(seeds, answer.metric, answer.goal)
    if best is None:
        why = answer.why_none.partition(": ")[2].replace(answer.metric, metric)
        return (f"There is no answer: {short(why, 300)}.",)
    better = "lower" if answer.goal == "minimize" else "higher"
    value = Fact("best.objective", best.objective)
    parts: list[str | Fact] = ["The best is trial ", Fact("best.number", best.number)]
    parts += [f": {metric} ", value, f" ({better} is better)"]
    base = answer.base
    if base is None:
        return (*parts, ".")
    if base.number == best.number:
        return (*parts, ". It is the base trial: the search found nothing better.")
    if base.objective is None:
        return (*parts, f". The base trial has no {metric}: it is {in_words(base.status)}.")
    told = Fact("base.objective", base.objective)
    gain = (
        [", ", Fact("gain", answer.gain, "%"), f" {better} than "] if answer.gain else [" against "]
    )
    return (*parts, *gain, "the base trial’s ", told, ".")


def status_line(material: Material) -> Sentence:
    """How the run ended and how large it is."""
    run = material.run
    counts = run.trials["status"].astype("string").value_counts()
    trials, epochs = len(run.trials), len(run.epochs)
    parts: list[str | Fact] = [f"{run.status}: ", Fact("trials.count", trials)]
    parts.append(" trial" if trials == 1 else " trials")
    told: list[str | Fact] = []
    for status, count in counts.items():
        told += [", " if told else " (", Fact(f"status.{status}", int(count)), f" {status}"]
    parts += [*told, ")"] if told else []
    return (*parts, ", ", Fact("epochs.count", epochs), " epoch" if epochs == 1 else " epochs")


def missing_modes(material: Material) -> list[str]:
    """Why figures of modes are not there."""
    drawn = {curves.column for curves in material.curves if curves.drawn}
    found = []
    if "modes" not in drawn:
        found.append(
            "No trial has a count of modes: the data have no labels or known modes, or "
            "eval.metrics leaves them out. Coverage, precision and recall stand in."
        )
    if "coverage" not in drawn:
        found.append(
            "No trial has a coverage: eval.metrics leaves it out, or nothing was evaluated."
        )
    return found


def search_intro(material: Material) -> Sentence:
    """Who searched, and who stopped."""
    study = material.run.study
    parts: list[str | Fact] = [f"Proposed by {study.sampler.name}"]
    parts += [
        f", stopped early by {study.scheduler.name}" if study.rungs else ", nothing stopped early"
    ]
    if material.history.without:
        count = Fact("trials.without_objective", material.history.without)
        parts += [
            "; ",
            count,
            f" trials have no {in_words(study.objective.metric)} and are not drawn",
        ]
    return (*parts, ".")


def table_intro(material: Material) -> Sentence:
    """What the table holds, and what it leaves out."""
    table = material.table
    total = Fact("trials.count", table.total)
    if len(table.rows) < table.total:
        shown = Fact("table.rows", len(table.rows))
        first: Sentence = ("The best ", shown, " of ", total, " trials; trials.csv has all.")
    else:
        first = ("All ", total, " trials.") if table.total > 1 else ("The trial.",)
    if table.is_thinned and len(table.paths) < len(material.found.ranked):
        first = (*first, " Columns are the most important parameters; a row’s details have all.")
    return first


def time_split(material: Material) -> list[tuple[str, Sentence]]:
    """Time of training, of evaluation and of the rest."""
    p = material.provenance
    total = p.train_s + p.eval_s + p.overhead_s
    rows = {"training": p.train_s, "evaluation": p.eval_s, "overhead": p.overhead_s}
    found: list[tuple[str, Sentence]] = []
    for name, seconds in rows.items():
        told = Fact(f"seconds.{name}", seconds, "s")
        share = Fact(f"share.{name}", seconds / total if total else None, "%")
        found.append((name, (told, " (", share, ")")))
    return found


def _plots_thinned(material: Material) -> str:
    count = len(material.run.trials)
    return f"{MAX_TRIALS} of {count:,} trials are drawn." if count > MAX_TRIALS else ""


def _best_picture(material: Material) -> dict[str, Any] | None:
    grid = material.grids.get(material.best) if material.best is not None else None
    if grid is None or material.answer.best is None:
        return None
    wanted = material.answer.best.epoch or grid.epochs[-1]
    index = min(range(len(grid.epochs)), key=lambda i: abs(grid.epochs[i] - wanted))
    return {"epoch": grid.epochs[index], **_picture(grid.webps[index], grid.sizes[index])}


def _real_picture(material: Material) -> dict[str, Any] | None:
    small = shrink(material.real.picture) if material.real else None
    return _picture(*small) if small else None


def _picture(webp: bytes, size: tuple[int, int]) -> dict[str, Any]:
    return {"url": data_url(webp), "width": size[0], "height": size[1]}


def _multiples(material: Material) -> list[dict[str, Any]]:
    return [
        {
            "example": example,
            "look": look_of(example.verdict),
            "helps": WHAT_HELPS.get(example.verdict),
            "svgs": [
                Markup(to_svg(example_figure(example, panel)))
                for panel in range(len(EXAMPLE_PANELS))
            ],
        }
        for example in material.examples
    ]


def _data(material: Material) -> dict[str, Any]:
    """What the table's rows open."""
    rows = material.table.rows
    return {
        "command": visible(f"gantune train {shlex.quote(str(material.run.root))} --trial {{}}"),
        "trials": {str(row.number): _details(row) for row in rows},
        "curves": trial_curves(material.run.epochs, [row.number for row in rows]),
        "pictures": {str(number): _strip(grid) for number, grid in material.grids.items()},
    }


def _details(row: TrialRow) -> dict[str, Any]:
    facts = [
        ("repeats trial", row.confirms),
        ("verdict", in_words(row.verdict) if row.verdict else None),
        ("in which it began", None if row.verdict_epoch is None else f"epoch {row.verdict_epoch}"),
        ("status", row.status + (f", by {visible(row.stopped_by)}" if row.stopped_by else "")),
        ("best objective", value_text(row.objective)),
        ("at epoch", row.best_epoch),
        ("last objective", value_text(row.last_objective)),
        ("seed", None if row.seed is None else str(row.seed)),
        ("worker", visible(row.worker) if row.worker else None),
        ("started", visible(row.started_at[:19].replace("T", " ")) if row.started_at else None),
        ("ran for", None if row.wall_s is None else duration(row.wall_s)),
        ("checkpoint", row.checkpoint or "removed; the command below makes it again"),
    ]
    return {
        "parameters": [(visible(p), _exact(v)) for p, v in row.parameters.items()],
        "facts": [(name, value) for name, value in facts if value is not None],
        "error": visible(row.error) if row.error else None,
        "evidence": visible(row.evidence) if row.evidence else None,
    }


def _exact(value: Any) -> str:
    """A value to be copied: with all its digits."""
    return repr(value) if isinstance(value, float) else value_text(value)


def _strip(grid: Grid) -> dict[str, Any]:
    return {
        "epochs": grid.epochs,
        "images": [data_url(webp) for webp in grid.webps],
        "sizes": grid.sizes,
    }
