"""One run as Markdown, for where no page opens: code hosting, mail, a terminal."""

import re
from collections.abc import Sequence

from gantune.report.answer import Setting
from gantune.report.figures import Figure
from gantune.report.gather import Material
from gantune.report.page import command, lead, search_intro, status_line, time_split
from gantune.report.words import in_words, label, plain, short, value_text
from gantune.visible import visible

TOP = 10
CELL = 60


def markdown(material: Material, drawn: Sequence[Figure]) -> str:
    """The summary of a run; pictures lie beside it.

    Args:
        material: The records.
        drawn: The figures, each beside the file as ``<name>.png``.
    """
    run, answer = material.run, material.answer
    lines = [f"# {text(run.name, 200)}", "", text(run.study.description, 2000), ""]
    lines += [
        f"**{text(plain(lead(answer, material.seeds)), 600)}**",
        "",
        text(plain(status_line(material)), 600),
        "",
    ]
    lines += [f"- {text(plain(sentence), 1000)}" for sentence in (answer.mattered, answer.failed)]
    lines += [f"- {text(plain(sentence), 1000)}" for sentence in answer.sure]
    lines += ["", *_settings(answer.settings, material), *_samples(material)]
    for title, groups in SECTIONS.items():
        chosen = [figure for figure in drawn if figure.group in groups]
        if groups == ("seeds",) and not chosen:
            continue
        lines += [f"## {title}", ""]
        lines += [text(plain(search_intro(material)), 600), ""] if title == "The search" else []
        for figure in chosen:
            lines += [
                f"![{text(figure.drawing.alt, 400)}]({figure.name}.png)",
                "",
                text(figure.caption, 600),
                "",
            ]
        lines += [] if chosen else ["Nothing to draw: no trial has the numbers for it.", ""]
    lines += [*_best_trials(material), *_provenance(material)]
    return "\n".join(lines) + "\n"


SECTIONS = {
    "Over seeds": ("seeds",),
    "Stability": ("shares", "rates", "maps"),
    "Mode collapse": ("curves", "histograms", "scatters", "pr"),
    "The search": ("search", "wide"),
}


def text(foreign: str, length: int = CELL) -> str:
    """Foreign text that Markdown shows as it is, in one line."""
    line = short(foreign, length)
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    escaped = re.sub(r"([\\`*_\[\]{}|!~#$])", r"\\\1", line)
    return re.sub(r"^(\s*)([-+]|\d+\.)(\s)", r"\1\\\2\3", escaped)


def code(foreign: str) -> str:
    """A command as a block of its own, whatever backticks it holds."""
    line = visible(foreign).replace("\n", " ")
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}sh\n{line}\n{fence}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _settings(settings: Sequence[Setting], material: Material) -> list[str]:
    best, base = material.answer.best, material.answer.base
    if best is None:
        return []
    lines = []
    if settings:
        heads = ["parameter", f"trial {best.number}", *(["base trial"] if base else [])]
        lines += [_row(*heads), _row(*["---"] * len(heads))]
        for setting in settings:
            values = [setting.best, *([setting.base] if base else [])]
            lines.append(_row(text(setting.path), *(text(value_text(v)) for v in values)))
        lines.append("")
    return [*lines, code(command(material, best.number)), ""]


def _samples(material: Material) -> list[str]:
    lines = []
    if material.best is not None and material.best in material.grids:
        lines += [f"![Samples of trial {material.best}](samples_best.png) "]
    if material.real is not None:
        lines += ["![Real data](samples_real.png)"]
    if lines:
        lines += [
            "",
            "Left: samples of the best trial. Right: real data." if len(lines) == 2 else "",
            "",
        ]
    return lines


def _best_trials(material: Material) -> list[str]:
    table, metric = material.table, material.answer.metric
    if not table.rows:
        return []
    paths = table.paths
    heads = ["trial", "verdict", "status", in_words(metric), "epochs", *(label(p) for p in paths)]
    lines = ["## The best trials", "", _row(*map(text, heads)), _row(*["---"] * len(heads))]
    for row in table.rows[:TOP]:
        again = "" if row.confirms is None else f", repeats {row.confirms}"
        cells = [str(row.number), in_words(row.verdict or "not judged"), row.status + again]
        cells += [value_text(row.objective), value_text(row.epochs)]
        cells += [value_text(row.parameters.get(path)) for path in paths]
        lines.append(_row(*map(text, cells)))
    rest = f"The best {min(TOP, len(table.rows))} of {table.total}; `trials.csv` has all of them, "
    return [*lines, "", f"{rest}`epochs.parquet` every epoch.", ""]


def _provenance(material: Material) -> list[str]:
    p = material.provenance
    lines = ["## Provenance", "", f"- features: {text(p.features or 'not noted', 200)}"]
    lines += [f"- {name}: {fact.text}" for name, fact in p.counts]
    lines += [f"- {name}: {plain(told)}" for name, told in time_split(material)]
    lines += [f"- seed of the {text(name)}: {text(value)}" for name, value in p.seeds]
    lines += [f"- extension {text(name, 200)}: {text(value)}" for name, value in p.extensions]
    for session in p.sessions[-1:]:
        versions = ", ".join(f"{name} {value}" for name, value in session.versions)
        slots = "1 slot" if session.slots == "1" else f"{session.slots} slots"
        where = f"python {session.python}, {versions}; {slots}"
        lines.append(f"- {text(where, 400)}; commit {text(session.git_commit)}")
    return lines
