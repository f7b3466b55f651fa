"""The texts of a page, and the rules for those that a summary does not have."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

from account import NUMBER, QUOTED, Values, has_numbers, rule, unaccounted
from account_drawings import COUNTS, in_drawing, wrong_counts
from account_figures import pictured
from recount import Tables

INLINE = {"data", "bdi", "em", "code", "span", "wbr", "b", "strong"}
"""Elements that do not end a text."""
SILENT = {"script", "style", "template", "title"}


@dataclass(frozen=True)
class Text:
    """A text of a page.

    Attributes:
        whole: As it is read.
        rest: Without the numbers that are marked with what they count.
        place: Its element or attribute: ``text`` is a label of a drawing.
        at: The attributes of its element.
    """

    whole: str
    rest: str
    place: str
    at: dict[str, str] = field(hash=False)


class Texts(HTMLParser):
    """Collects every text of a page, those of its attributes included."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[Text] = []
        self.drawings: list[list[Text]] = []
        self._stack: list[str] = []
        self._whole = self._rest = ""
        self._at: dict[str, str] = {}
        self._is_marked = False
        self._row = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        if tag not in INLINE:
            self._end()
        if tag == "svg":
            self.drawings.append([])
        self._row = known.get("id", self._row) if tag == "tr" else self._row
        for name in ("aria-label", "alt", "title"):
            if known.get(name):
                self._add(Text(known[name], known[name], name, known))
        if tag not in ("meta", "link", "img", "br", "wbr", "input"):
            self._stack.append(tag)
        self._at = {**known, "row": self._row}
        self._is_marked = tag == "data"

    def handle_endtag(self, tag: str) -> None:
        if tag not in INLINE:
            self._end(tag)
        if tag in self._stack:
            while self._stack.pop() != tag:
                pass
        self._is_marked = False
        if tag == "svg":
            self.drawings.append([])

    def handle_data(self, data: str) -> None:
        inside = self._stack[-1] if self._stack else ""
        if inside in SILENT and "svg" not in self._stack:
            return
        self._whole += data
        self._rest += "•" if self._is_marked else data

    def _end(self, tag: str = "") -> None:
        if self._whole.strip():
            place = tag or (self._stack[-1] if self._stack else "")
            self._add(Text(_line(self._whole), _line(self._rest), place, self._at))
        self._whole = self._rest = ""

    def _add(self, text: Text) -> None:
        if "svg" in self._stack or (text.at.get("role") == "img" and "viewbox" in text.at):
            self.drawings[-1].append(text)
        else:
            self.found.append(text)


def _line(text: str) -> str:
    return " ".join(text.split())


def wrong_in_page(folder: Path) -> Iterator[str]:
    """Yields texts of a page whose numbers are neither marked nor accounted for."""
    t = Tables(folder)
    texts = Texts((folder / "index.html").read_text(encoding="utf-8"))
    study = _line((folder / "study.yaml").read_text(encoding="utf-8"))
    # The study file stands there as it is.
    yield from (p for text in texts.found if text.whole != study and (p := problem(text, t)))
    for drawing in texts.drawings:
        yield from wrong_in_drawing(drawing, t)


def problem(text: Text, t: Tables) -> str | None:
    """What is wrong with the numbers of a text that are not marked."""
    if not has_numbers(text.rest, t):
        return None
    if text.at.get("class") == "open":
        is_own = text.at["row"] == f"trial-{text.whole}" and int(text.whole) in t.trials
        return None if is_own else f"{text.whole} opens {text.at['row']}"
    return unaccounted(text.whole, t)


def wrong_in_drawing(texts: list[Text], t: Tables) -> Iterator[str]:
    """Its labels and titles have rules, repeat its alternative text, or stand on an axis."""
    if not texts:
        return
    alt = texts[0].whole
    on_axis = set(axes([text for text in texts if text.place == "text"]))
    # At rungs a trial stands as often as it came to one.
    titles = [text.whole for text in texts if text.place == "title" and alt[:4] != "rung"]
    marks = [found[0] for title in titles if (found := re.match(r"(trial|mode) \d+", title))]
    marks += [
        text.whole for text in texts if re.fullmatch(r"(epoch|images|seconds) \d+", text.whole)
    ]
    yield from (f"{mark} twice in {alt!r}" for mark in set(marks) if marks.count(mark) > 1)
    if alt.startswith(("verdicts over", "trials by verdict")):
        if wrong_counts([text.whole for text in texts], alt):
            yield f"bars of {alt!r}"
        texts = [text for text in texts if not COUNTS.fullmatch(text.whole)]
    for text in texts:
        repeats = re.search(rf"(?<![\w.]){re.escape(text.whole)}(?![\w.])", alt)
        if text.place == "text" and (text in on_axis or repeats):
            continue
        wrong = in_drawing(text.whole, alt, t)
        if wrong:
            yield f"{wrong} in a drawing of {alt[:60]!r}"


def axes(labels: list[Text]) -> Iterator[Text]:
    """Labels that are the ticks of an axis: as far apart as their values, or their logarithms."""
    ticks = [text for text in labels if NUMBER.fullmatch(text.whole)]
    for along, across in (("x", "y"), ("y", "x")):
        lines: dict[str, list[Text]] = {}
        for text in ticks:
            lines.setdefault(text.at[across] + text.at.get("text-anchor", ""), []).append(text)
        for line in lines.values():
            places = [float(text.at[along]) for text in line]
            values = [_value(text.whole) for text in line]
            logs = [math.log(v) for v in values] if min(values) > 0 else values
            is_linear = _is_straight(places, values) and _is_even(values)
            if len(line) > 1 and (is_linear or _is_straight(places, logs)):
                yield from line


def _value(token: str) -> float:
    number = float(token.replace(",", "").replace("−", "-").rstrip("%"))
    return number


def _is_straight(places: list[float], values: list[float]) -> bool:
    """Whether places, which have a digit after the point, are a linear function of values."""
    if values[-1] == values[0]:
        return False
    slope = (places[-1] - places[0]) / (values[-1] - values[0])
    ends = ((p, places[0] + slope * (v - values[0])) for p, v in zip(places, values, strict=True))
    return all(abs(place - expected) <= 0.12 for place, expected in ends)


def _is_even(values: list[float]) -> bool:
    """Whether they are equally far apart: places tell large values apart by their first digits."""
    steps = [later - earlier for earlier, later in pairwise(values)]
    return all(abs(step - steps[0]) <= 1e-4 * abs(steps[0]) for step in steps)


# Texts that only a page has


@rule(r"[\w ]+ of trial (\d+) over \d+ epochs; (\w+) ends at .*")
def _example(found: re.Match[str], t: Tables) -> Values:
    rows = t.by_trial[int(found[1])]
    known = [row[found[2]] for row in rows if row[found[2]] is not None]
    return [int(found[1]), len(rows), known[-1]]


@rule(r"([a-z ]+) trial (\d+), since epoch \d+")
def _verdict(found: re.Match[str], t: Tables) -> Values:
    row = t.trials[int(found[2])]
    assert row["verdict"].replace("_", " ") == found[1]
    return [int(found[2]), float(row["verdict_epoch"])]


@rule(r"trial (\d+)(?: \(base\))?")
def _configuration(found: re.Match[str], t: Tables) -> Values:
    assert ("base" in found[0]) <= (int(found[1]) == t.base)
    assert int(found[1]) == t.best or int(found[1]) in t.over_seeds
    return [int(found[1])]


@rule(r"base: trial \d+")
def _base(found: re.Match[str], t: Tables) -> Values:
    return [t.base]


@rule(r"evenness of modes \(1: even\)")
def _even(found: re.Match[str], t: Tables) -> Values:
    return [1]


@rule(r"(\d+) − (\d+)")
def _pair(found: re.Match[str], t: Tables) -> Values:
    assert {int(found[1]), int(found[2])} <= t.over_seeds.keys()
    return [int(found[1]), int(found[2])]


@rule(r"To train it again: gantune train \S+ --trial \d+")
def _command(found: re.Match[str], t: Tables) -> Values:
    return [t.best]


@rule(r"Samples of trial \d+'s generator at epoch \d+|Trial \d+ at epoch \d+, on latents .*")
def _pictured(found: re.Match[str], t: Tables) -> Values:
    return [t.best, pictured(t.best, int(float(t.trials[t.best]["best_epoch"])), t)]


@rule(r"Difference of the medians .* with its 95% interval: one that holds 0 does not .*")
def _level(found: re.Match[str], t: Tables) -> Values:
    return [0.95, 0]


@rule(r"One trial for each\. .* the dashed level line is 0\.5, where .*")
def _chance(found: re.Match[str], t: Tables) -> Values:
    return [0.5]


@rule(r"(?:Contour: .*)?Of (?:all|the best) (\d+) trials with a value\. .*")
def _contour(found: re.Match[str], t: Tables) -> Values:
    return [min(80, len(t.best_in_order))]


@rule(r"All \d+ trials\..*|\d+ trials")
def _trials(found: re.Match[str], t: Tables) -> Values:
    return [len(t.trials)]


@rule(r"(\w+)(?: \(\w+\))?, repeats (\d+)")
def _repeats(found: re.Match[str], t: Tables) -> Values:
    assert int(found[2]) in t.over_seeds
    return [int(found[2])]


@rule(r"Made by gantune ([\d.]+) on \d{4}-\d\d-\d\d \d\d:\d\d UTC\. .*")
def _made(found: re.Match[str], t: Tables) -> Values:
    return QUOTED
