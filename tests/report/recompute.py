"""Every number that a page marks, with its exact value and what it counts, against its tables."""

import json
import math
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from account import NUMBER
from account_rules import part
from recount import (
    Row,
    Tables,
    at_first_rung,
    importances,
    seconds,
    shows,
    verdicts,
)
from recount_seeds import interval_of, told_apart


class Page(HTMLParser):
    """What a page says: marked numbers, its text, its blocks of data."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.numbers: list[tuple[str, float, str]] = []
        self.data: dict[str, Any] = {}
        self._key: tuple[str, float] | None = None
        self._block = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        if tag == "data":
            self._key = known["data-key"], float(known["value"])
        self._block = known.get("id", "") if known.get("type") == "application/json" else ""

    def handle_data(self, data: str) -> None:
        if self._key is not None:
            self.numbers.append((*self._key, data))
            self._key = None
        if self._block:
            self.data[self._block] = json.loads(data)
            self._block = ""


def wrong_numbers(folder: Path) -> Iterator[str]:
    """Yields what a report says and its tables do not."""
    page, tables = Page((folder / "index.html").read_text(encoding="utf-8")), Tables(folder)
    for key, value, shown in page.numbers:
        expected = recomputed(key, tables)
        if expected is None:
            yield f"{key}: nobody recomputes it"
        elif isinstance(expected, tuple):
            if not expected[0] <= value <= expected[1]:
                yield f"{key}: {value}, not in {expected}"
        elif not math.isclose(value, expected, rel_tol=1e-6 if "importance" in key else 1e-9):
            yield f"{key}: {value}, not {expected}"
        if not shows(shown, value):
            yield f"{key}: {shown!r} is not {value}"
    yield from _wrong_curves(page, tables)
    yield from _wrong_details(page, tables)


def recomputed(key: str, t: Tables) -> float | tuple[float, float] | None:
    """A number by what it is called, or the range it is in; None where nobody knows it."""
    kind, _, rest = key.partition(".")
    number, _, path = rest.partition(".")
    if number.isdecimal() and kind in OF_TRIALS:
        return OF_TRIALS[kind](t, int(number), path)
    return OF_RUNS[kind](t, rest) if kind in OF_RUNS else None


def _objective(t: Tables, number: int, path: str) -> float | None:
    return t.value(number)


def _epochs(t: Tables, number: int, path: str) -> float:
    return float(t.trials[number]["epochs"])


def _configured(t: Tables, number: int, path: str) -> float:
    return float(t.parameters(number)[path])


def _began(t: Tables, number: int, path: str) -> float:
    return float(t.trials[number]["verdict_epoch"])


def _confirmation(t: Tables, number: int, what: str) -> float:
    return float(t.over_seeds[number][what])


def _pair(t: Tables, a: int, rest: str) -> float | tuple[float, float]:
    other, _, what = rest.partition(".")
    rows, b = t.over_seeds, int(other)
    if what == "difference":
        return float(rows[a]["median"] - rows[b]["median"])
    low, high = interval_of(t, a, b)
    ends = (low, high) if t.sign > 0 else (_turned(high), _turned(low))
    return ends[what == "high"]


def _turned(end: tuple[float, float]) -> tuple[float, float]:
    return -end[1], -end[0]


OF_TRIALS: dict[str, Callable[[Tables, int, str], float | tuple[float, float] | None]] = {
    "objective": _objective,
    "epochs": _epochs,
    "config": _configured,
    "began": _began,
    "seeds": _confirmation,
    "pair": _pair,
}


def _of_best(t: Tables, rest: str) -> float | None:
    if rest in ("number", "configuration"):
        return t.best
    return t.value(t.best) if rest == "objective" else float(t.parameters(t.best)[rest])


def _of_base(t: Tables, rest: str) -> float | None:
    assert t.base is not None
    if rest == "number":
        return t.base
    return t.value(t.base) if rest == "objective" else float(t.parameters(t.base)[rest])


def _gain(t: Tables, rest: str) -> float | None:
    best, base = t.value(t.best), _of_base(t, "objective")
    return None if best is None or not base else t.sign * (base - best) / abs(base)


def _counted(t: Tables, rest: str) -> float | None:
    counts, best = verdicts(t), t.value(t.best)
    values = [v for n in t.search if (v := t.value(n)) is not None]
    found = {
        "count": len(t.trials),
        "judged": counts.total(),
        "unhealthy": counts.total() - counts["healthy"],
        "without_objective": len(t.search) - len(values),
        "near": sum(abs(v - (best or 0)) <= 0.1 * abs(best or 0) for v in values) - 1,
    }
    return found.get(rest)


def _in_region(t: Tables, rest: str) -> float | None:
    """``<path>.<part>.<failed|trials>``."""
    region, _, what = rest.rpartition(".")
    path = next(path for path in t.space if region.startswith(f"{path}."))
    _, inside = part(t, path, region.removeprefix(f"{path}."))
    return inside.total() if what == "trials" else inside.total() - inside["healthy"]


def _share_of_seconds(t: Tables, rest: str) -> float:
    spent = seconds(t)
    return spent[rest] / sum(spent.values())


def _importance(t: Tables, rest: str) -> float | None:
    if rest == "trials":
        return len(at_first_rung(t))
    path = rest.removesuffix(".trials")
    return importances(t)[path][1 if rest.endswith(".trials") else 0]


def _over_seeds(t: Tables, rest: str) -> float | tuple[float, float]:
    """The answer's own numbers over seeds."""
    who, _, what = rest.partition(".")
    rows = t.over_seeds
    if who in ("best", "base"):
        return float(rows[t.best if who == "best" else t.base or 0][what])
    if who == "told_apart":
        apart = [told_apart(t, t.best, other) for other in rows if other != t.best]
        return apart.count(True), apart.count(True) + apart.count(None)
    return len(rows) - 1 if who == "others" else min(row["seeds"] for row in rows.values())


OF_RUNS: dict[str, Callable[[Tables, str], float | tuple[float, float] | None]] = {
    "best": _of_best,
    "base": _of_base,
    "gain": _gain,
    "trials": _counted,
    "epochs": lambda t, rest: len(t.epochs),
    "table": lambda t, rest: min(1000, len(t.trials)),
    "status": lambda t, rest: sum(row["status"] == rest for row in t.trials.values()),
    "verdicts": lambda t, rest: verdicts(t)[rest],
    "failures": _in_region,
    "seconds": lambda t, rest: seconds(t)[rest],
    "share": _share_of_seconds,
    "importance": _importance,
    "features": lambda t, rest: float(t.measured[rest]),
    "seeds": _over_seeds,
}


def _wrong_curves(page: Page, tables: Tables) -> Iterator[str]:
    by_trial: dict[int, dict[int, Row]] = {}
    for row in tables.epochs:
        by_trial.setdefault(row["number"], {})[row["epoch"]] = row
    for number, curves in page.data["data"]["curves"].items():
        for name, values in curves.items():
            if name == "epoch":
                continue
            for epoch, value in zip(curves["epoch"], values, strict=True):
                expected = by_trial[int(number)][epoch][name]
                expected = None if expected is None or math.isnan(expected) else float(expected)
                if (value is None) != (expected is None):
                    yield f"trial {number}, epoch {epoch}, {name}: {value}, not {expected}"
                elif value is not None and not math.isclose(value, expected, rel_tol=6e-5):
                    yield f"trial {number}, epoch {epoch}, {name}: {value}, not {expected}"


def _wrong_details(page: Page, t: Tables) -> Iterator[str]:
    """What a row of the table opens."""
    for number, trial in page.data["data"]["trials"].items():
        row, facts = t.trials[int(number)], dict(trial["facts"])
        for path, text in trial["parameters"]:
            value = t.parameters(int(number))[path]
            if text != ("null" if value is None else value) and not shows_exactly(text, value):
                yield f"trial {number}, {path}: {text}, not {value}"
        known = {
            "best objective": row["objective"],
            "last objective": row["last_objective"],
            "at epoch": row["best_epoch"],
            "repeats trial": row["confirms"],
            "ran for": row["wall_s"],
        }
        for name, cell in known.items():
            if cell and not shows(str(facts.pop(name)), float(cell)):
                yield f"trial {number}, {name}: not {cell}"
        began = f"epoch {row['verdict_epoch'].removesuffix('.0')}"
        quoted = {
            "in which it began": began,
            "seed": row["seed"],
            "worker": row["worker"],
            "started": row["started_at"][:19].replace("T", " "),
        }
        for name, said in quoted.items():
            if said and facts.pop(name, "") != said:
                yield f"trial {number}, {name}: not {said}"
        if rest := [name for name, said in facts.items() if NUMBER.search(said)]:
            if rest != ["checkpoint"]:
                yield f"trial {number}: nobody recomputes {rest}"


def shows_exactly(text: str, value: Any) -> bool:
    """A value to be copied has all its digits."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return text == (str(value).lower() if isinstance(value, bool) else str(value))
    return float(text.replace(",", "")) == value
