"""Every number of a report again, from its tables alone: pyarrow and plain Python, no gantune.

A page marks each number with its exact value and with what it counts; here stands how to count.
"""

import csv
import json
import math
import statistics
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

Row = dict[str, Any]


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


class Tables:
    """The tables beside a report."""

    def __init__(self, folder: Path) -> None:
        with open(folder / "trials.csv", newline="", encoding="utf-8") as file:
            self.trials: dict[int, Row] = {int(r["number"]): r for r in csv.DictReader(file)}
        self.epochs: list[Row] = pq.read_table(folder / "epochs.parquet").to_pylist()
        self.search = {n: r for n, r in self.trials.items() if not r["confirms"]}

    def parameters(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.trials[number]["parameters"])
        return found

    def best_value(self, number: int) -> float | None:
        text = self.trials[number]["objective"]
        return float(text) if text else None

    def of(self, number: int) -> list[Row]:
        return [row for row in self.epochs if row["number"] == number]


def wrong_numbers(folder: Path) -> Iterator[str]:
    """Yields what a report says and its tables do not."""
    page, tables = Page((folder / "index.html").read_text(encoding="utf-8")), Tables(folder)
    said = {key: value for key, value, _ in page.numbers}
    for key, value, shown in page.numbers:
        expected = recomputed(key, tables, said)
        if expected is not None and not math.isclose(value, expected, rel_tol=1e-9):
            yield f"{key}: {value}, not {expected}"
        if not shows(shown, value):
            yield f"{key}: {shown!r} is not {value}"
    yield from _wrong_curves(page, tables)


def unchecked(folder: Path) -> set[str]:
    """First words of the keys that :func:`recomputed` does not know."""
    page, tables = Page((folder / "index.html").read_text(encoding="utf-8")), Tables(folder)
    said = {key: value for key, value, _ in page.numbers}
    return {k.split(".")[0] for k, _, _ in page.numbers if recomputed(k, tables, said) is None}


def recomputed(key: str, tables: Tables, said: dict[str, float]) -> float | None:
    """A number by what it is called; None where the tables do not have it."""
    kind, _, rest = key.partition(".")
    counts = {
        "trials.count": len(tables.trials),
        "table.rows": min(1000, len(tables.trials)),
        "epochs.count": len(tables.epochs),
    }
    if key in counts:
        return counts[key]
    number, _, path = rest.partition(".")
    if kind in ("objective", "epochs") and number.isdecimal():
        return float(tables.trials[int(number)][kind])
    if kind == "config":
        return float(tables.parameters(int(number))[path])
    if kind == "began":
        return float(tables.trials[int(number)]["verdict_epoch"])
    if kind in ("best", "base"):
        return _of_trial(kind, rest, tables, said)
    if kind in ("trials", "status", "verdicts", "failures"):
        return _counted(kind, rest, tables, said)
    if kind in ("seconds", "share"):
        return _seconds(kind, rest, tables)
    if kind == "gain":
        best, base = said["best.objective"], said["base.objective"]
        return abs(base - best) / abs(base)
    return _over_seeds(kind, rest, tables)


def _of_trial(kind: str, rest: str, tables: Tables, said: dict[str, float]) -> float | None:
    if rest == "number":
        scored = {n: tables.best_value(n) for n in tables.search}
        known = {n: v for n, v in scored.items() if v is not None}
        value = tables.best_value(int(said[f"{kind}.number"]))
        is_end = value in (min(known.values()), max(known.values()))
        return said[f"{kind}.number"] if kind == "base" or is_end else -1.0
    number = int(said.get(f"{kind}.number", said.get("best.configuration", -1)))
    if rest == "configuration":
        return None
    return tables.best_value(number) if rest == "objective" else tables.parameters(number)[rest]


def _counted(kind: str, rest: str, tables: Tables, said: dict[str, float]) -> float | None:
    rows = list(tables.search.values())
    verdicts = Counter(row["verdict"] for row in rows if row["verdict"])
    if kind == "status":
        return sum(row["status"] == rest for row in tables.trials.values())
    if kind == "verdicts":
        return verdicts[rest]
    if kind == "failures":
        return _in_region(rest, tables)
    values = [float(row["objective"]) for row in rows if row["objective"]]
    best = said.get("best.objective", 0.0)
    found = {
        "judged": sum(verdicts.values()),
        "unhealthy": sum(verdicts.values()) - verdicts["healthy"],
        "without_objective": len(rows) - len(values),
        "near": sum(abs(v - best) <= 0.1 * abs(best) for v in values) - 1,
    }
    return found.get(rest)


def _in_region(rest: str, tables: Tables) -> float | None:
    """``<path>.<part>.<failed|trials>``, where a part is a choice or ``low to high``."""
    region, _, what = rest.rpartition(".")
    for path in tables.parameters(next(iter(tables.search))):
        if not region.startswith(f"{path}."):
            continue
        part = region.removeprefix(f"{path}.")
        low, between, high = part.partition(" to ")
        inside = []
        for number, row in tables.search.items():
            value = tables.parameters(number).get(path)
            if between and isinstance(value, int | float):
                # Bounds are rounded to two digits where they are shown.
                if float(low) * 0.97 <= value <= float(high) * 1.03 and row["verdict"]:
                    inside.append(row["verdict"])
            elif str(value) == part and row["verdict"]:
                inside.append(row["verdict"])
        if between:
            return None
        return len(inside) if what == "trials" else sum(v != "healthy" for v in inside)
    return None


def _seconds(kind: str, rest: str, tables: Tables) -> float:
    sums = {
        "training": math.fsum(row["train_s"] or 0.0 for row in tables.epochs),
        "evaluation": math.fsum(row["eval_s"] or 0.0 for row in tables.epochs),
    }
    wall = math.fsum(float(row["wall_s"] or 0.0) for row in tables.trials.values())
    sums["overhead"] = max(0.0, wall - sum(sums.values()))
    return sums[rest] if kind == "seconds" else sums[rest] / sum(sums.values())


def _over_seeds(kind: str, rest: str, tables: Tables) -> float | None:
    if kind != "seeds":
        return None
    number, _, what = rest.partition(".")
    if not number.isdecimal() or what not in ("seeds", "failure_rate", "median"):
        return None
    rows = [
        r for r in tables.trials.values() if r["confirms"] and float(r["confirms"]) == int(number)
    ]
    ended = [row for row in rows if row["status"] in ("completed", "diverged", "failed")]
    good = [float(r["objective"]) for r in ended if r["status"] == "completed" and r["objective"]]
    failed = len(ended) - len(good)
    if what == "seeds":
        return len(ended)
    if what == "failure_rate":
        return failed / len(ended)
    return None if failed else statistics.median(good)


def shows(shown: str, value: float) -> bool:
    """Whether a shown number is its value, rounded as the report says it rounds."""
    text = shown.replace(",", "").replace("−", "-").strip()
    if text.endswith("%"):
        share = text.removesuffix("%")
        if share[0] in "<>":
            return value < 0.01 if share[0] == "<" else value > 0.99
        return abs(float(share) / 100 - value) <= 0.00501
    for unit, seconds in (("min", 60.0), ("s", 1.0), ("h", 3600.0)):
        if text.endswith(f" {unit}"):
            told = float(text.removesuffix(unit)) * seconds
            return math.isclose(told, value, rel_tol=0.006, abs_tol=0.06 * seconds)
    return math.isclose(float(text), value, rel_tol=5.1e-4, abs_tol=1e-12)


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
                expected = None if expected is None or math.isnan(expected) else expected
                if (value is None) != (expected is None):
                    yield f"trial {number}, epoch {epoch}, {name}: {value}, not {expected}"
                elif value is not None and not math.isclose(value, expected, rel_tol=6e-5):
                    yield f"trial {number}, epoch {epoch}, {name}: {value}, not {expected}"
