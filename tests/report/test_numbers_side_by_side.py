"""Every number of runs side by side, recomputed from the tables beside the report."""

import csv
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from account import NUMBER
from account_page import Texts, axes
from made import make_run
from recompute import Page
from recount import shows

import gantune
from gantune.report.write import write_report

Row = dict[str, Any]


class Both:
    """Two runs as their report's tables have them, repeats of a confirmation left out."""

    def __init__(self, report: Path, roots: dict[str, Path]) -> None:
        with open(report / "trials.csv", newline="", encoding="utf-8") as file:
            self.trials: list[Row] = [r for r in csv.DictReader(file) if not r["confirms"]]
        epochs = pq.read_table(report / "epochs.parquet").to_pylist()
        own = {(r["run"], int(r["number"])) for r in self.trials}
        self.epochs: list[Row] = [r for r in epochs if (r["run"], r["number"]) in own]
        for row in self.epochs:
            if row["objective"] is None:
                row["objective"] = math.nan
        self.studies = {n: yaml.safe_load((p / "study.yaml").read_text()) for n, p in roots.items()}
        self.names = list(roots)

    def best(self, run: str) -> Row:
        scored = [r for r in self.epochs if r["run"] == run and not math.isnan(r["objective"])]
        return min(scored, key=lambda r: r["objective"])

    def so_far(self, run: str) -> list[float]:
        """The best until each epoch, in order of arrival."""
        rows = sorted((r for r in self.epochs if r["run"] == run), key=lambda r: r["seq"])
        best, found = math.inf, []
        for row in rows:
            best = min(best, math.inf if math.isnan(row["objective"]) else row["objective"])
            found.append(best)
        return found

    def verdicts(self, run: str) -> Counter[str]:
        rows = (r for r in self.trials if r["run"] == run)
        return Counter(r["verdict"].replace("_", " ") or "not judged" for r in rows)

    def expected(self, key: str) -> float:
        kind, _, rest = key.partition(".")
        if kind == "budget":
            level, _, run = rest.partition(".")
            return self.so_far(run)[int(level) - 1]
        if kind == "difference":
            path, _, run = rest.rpartition(".")
            node: Any = self.studies[run]
            for word in path.split("."):
                node = node[word]
            return float(node)
        run, _, what = rest.partition(".")
        best = self.best(run)
        return {
            "best": best["objective"],
            "best value": best["objective"],
            "trial": best["number"],
            "its trial": best["number"],
            "its epoch": best["epoch"],
            "trials": sum(r["run"] == run for r in self.trials),
            "epochs": sum(r["run"] == run for r in self.epochs),
        }[what]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Both]:
    folder = tmp_path_factory.mktemp("both")
    roots = {
        "short": make_run(folder / "short", trials=6, epochs=5, pictures=6),
        "long": make_run(folder / "long", trials=17, epochs=9),
    }
    runs = [gantune.load(root) for root in roots.values()]
    report = write_report(runs, folder / "report").parent
    return report, Both(report, roots)


@pytest.mark.slow
def test_marked_numbers(both: tuple[Path, Both]) -> None:
    report, tables = both
    numbers = Page((report / "index.html").read_text()).numbers
    for key, value, shown in numbers:
        assert math.isclose(value, tables.expected(key), rel_tol=1e-9), key
        assert shows(shown, value), key
    levels = {int(key.split(".")[1]) for key, _, _ in numbers if key.startswith("budget")}
    least = min(len(tables.so_far(name)) for name in tables.names)
    assert levels == {max(1, round(least * share)) for share in (0.125, 0.25, 0.5, 1)}


def unmarked(report: Path, tables: Both) -> list[str]:
    """Texts with a number that is neither marked nor known."""
    texts = Texts((report / "index.html").read_text())
    known = {f"{level:,} epochs" for level in range(1, 200)}  # their keys say which
    known |= {f"samples of epoch {tables.best(n)['epoch']}" for n in tables.names}
    for name in tables.names:
        counts = tables.verdicts(name)
        known |= {f"{v}: {c} ({c / counts.total():.0%})" for v, c in counts.items()}
    found = [t.rest for t in texts.found if NUMBER.search(t.rest)]
    for drawing in texts.drawings:
        ticks = set(axes([t for t in drawing if t.place == "text"]))
        found += [t.whole for t in drawing if t not in ticks and NUMBER.search(t.whole)]
    ends = {name: tables.so_far(name)[-1] for name in tables.names}
    return [
        text
        for text in found
        if text not in known
        and not any(
            text.endswith(f"; samples of epoch {tables.best(n)['epoch']}") for n in tables.names
        )
        and not text.startswith(("Made by", "classifier features"))
        and not any(
            text.startswith(f"{name}: ") and shows(text.split(": ")[1], end)
            for name, end in ends.items()
            if re.fullmatch(r"\w+: [\d.,]+", text)
        )
        and text != _alt(tables)
    ]


def _alt(tables: Both) -> str:
    order = (
        "healthy undertrained oscillating mode_dropping memorizing generator_dominates "
        "discriminator_dominates mode_collapse diverged"
    )
    said = []
    for name in tables.names:
        counts = tables.verdicts(name)
        names = [word.replace("_", " ") for word in order.split()]
        said.append(f"{name}: " + ", ".join(f"{counts[v]} {v}" for v in names if counts[v]))
    return "verdicts by run: " + "; ".join(said)


def test_numbers_that_are_not_marked(both: tuple[Path, Both]) -> None:
    assert unmarked(*both) == []


def test_the_summary_has_the_numbers_of_the_page(both: tuple[Path, Both]) -> None:
    report, tables = both
    summary = (report / "summary.md").read_text().replace("\\", "")
    rows = dict(re.findall(r"^\| ([^|]+) \| (.*) \|$", summary, re.MULTILINE))
    for name in ("best value", "its trial", "its epoch", "trials", "epochs"):
        for run, cell in zip(tables.names, rows[name].split(" | "), strict=True):
            assert shows(cell, tables.expected(f"runs.{run}.{name}")), (name, run)
    levels = [name for name in rows if re.fullmatch(r"[\d,]+ epochs", name)]
    assert len(levels) == 4
    for level in levels:
        for run, cell in zip(tables.names, rows[level].split(" | "), strict=True):
            assert shows(cell, tables.so_far(run)[int(level.split(" ")[0].replace(",", "")) - 1])
    for path in (name for name in rows if name.startswith(("trial.", "scheduler."))):
        for run, cell in zip(tables.names, rows[path].split(" | "), strict=True):
            assert shows(cell, tables.expected(f"difference.{path}.{run}"))
    lead = next(line for line in summary.splitlines() if line.startswith("**The best"))
    told = re.findall(r"([\d.,]+) in (\w+)", lead)
    assert len(told) == 2
    assert all(shows(value, tables.best(run)["objective"]) for value, run in told)
    assert _alt(tables) in summary


def test_a_wrong_number_is_found(both: tuple[Path, Both], tmp_path: Path) -> None:
    report, tables = both
    html = (report / "index.html").read_text()
    counts = tables.verdicts("long")
    for old, new in ((f"{counts['healthy']} healthy", "99 healthy"), ("of epoch ", "of epoch 7")):
        assert old in html
        (tmp_path / "index.html").write_text(html.replace(old, new))
        assert unmarked(tmp_path, tables)


def test_a_confirmation_is_told_of_apart_from_the_search(tmp_path: Path) -> None:
    roots = [
        make_run(tmp_path / "confirmed", trials=5, repeats=6),
        make_run(tmp_path / "plain", trials=5),
    ]
    runs = [gantune.load(root) for root in roots]
    assert list(gantune.compare(runs).runs["trials"]) == [5, 5]
    report = write_report(runs, tmp_path / "report").parent
    said = {key: value for key, value, _ in Page((report / "index.html").read_text()).numbers}
    found = gantune.load(roots[0]).seeds()
    assert said["runs.confirmed.trials"] == said["runs.plain.trials"] == 5
    assert said["runs.confirmed.best"] == said["runs.plain.best"]
    assert said["runs.confirmed.of the trial"] == found.winner
    assert said["runs.confirmed.median over seeds"] == found.summary["median"].iloc[0]
    assert "median over seeds" in (report / "summary.md").read_text()
