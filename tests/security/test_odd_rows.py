"""Tables of values that no run has, with checksums that fit, as whoever wrote them would.

Their share of the cases of test_fuzz.
"""

import io
import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from damage import damaged_tree, rewritten
from hypothesis import strategies as st
from made import HOSTILE, make_run
from test_fuzz import answered, fuzz, shares

import gantune
from gantune.columns import Column
from gantune.comparison import show_comparison
from gantune.display import show_run, show_runs, show_trial
from gantune.records import read_table
from gantune.report.write import write_report
from gantune.rows import COLUMNS
from gantune.terminal import Terminal

Rows = dict[str, list[dict[str, Any]]]

FIXTURE = Path(__file__).parent.parent / "fixtures" / "run-0.1-seals"

INTEGERS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([-1, 0, 1, 2, 3, 1000, 2**31, 2**53, 2**62]),
    st.integers(0, 10),
)
FLOATS = st.one_of(st.floats(), st.sampled_from([0.0, -1.0, 1e308, -1e308, 5e-324, 1e30]))
TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(list(HOSTILE.values())),
    st.sampled_from(
        "running waiting completed stopped diverged failed interrupted asha verdict user healthy "
        "mode_collapse yes no [/x] never 2026-01-01 0001-01-01T00:00:00+23:00 "
        "9999-12-31T23:59:59Z".split()
    ),
)
OF_KIND: dict[str, st.SearchStrategy[Any]] = {
    "int": INTEGERS,
    "float": FLOATS,
    "floats": st.lists(FLOATS, max_size=4),
    "text": TEXTS,
    "category": TEXTS,
}
METRICS = st.dictionaries(
    st.sampled_from(["mine", "objective", "number", "x y"]),
    st.one_of(FLOATS, st.none(), st.text(max_size=3), st.just(10**20)),
    max_size=2,
)


@st.composite
def values(draw: st.DrawFn, column: Column, old: Any) -> Any:
    """Another value of a column's type, most of them odd."""
    if column.name == "extra_metrics":
        return draw(st.one_of(METRICS.map(json.dumps), TEXTS))
    if column.name == "parameters" and draw(st.booleans()):
        return json.dumps(draw(damaged_tree(json.loads(old or "{}"))))
    return draw(st.one_of(st.none(), OF_KIND[column.kind], OF_KIND[column.kind]))


@st.composite
def odd_rows(draw: st.DrawFn, tables: Rows) -> Rows:
    """One to three cells or whole columns of other values, rows that are gone or stand twice."""
    found = {name: [dict(row) for row in rows] for name, rows in tables.items()}
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from([*found, "trials"]))
        rows = found[name]
        if not rows:
            continue
        at = draw(st.integers(0, len(rows) - 1))
        edit = draw(st.sampled_from(["cell", "cell", "cell", "column", "gone", "twice"]))
        if edit == "gone":
            del rows[at]
            continue
        if edit == "twice":
            rows.insert(draw(st.integers(at, len(rows))), dict(rows[at]))
        column = draw(st.sampled_from(COLUMNS[name]))
        value = draw(values(column, rows[at][column.name]))
        for row in rows if edit == "column" else [rows[at]]:
            row[column.name] = value
    return found


def repeated(root: Path) -> Path:
    """A run with repeats and two objectives."""
    objective = [{"metric": "frechet_distance"}, {"metric": "coverage"}]
    return make_run(root, trials=6, epochs=4, repeats=2, error="Error: x", objective=objective)


def quick(root: Path) -> list[Callable[[], object]]:
    """What looks at a run in a moment."""
    run, console = gantune.load(root), Terminal(file=io.StringIO(), width=160)
    return [
        lambda: show_runs(root.parent, console),
        lambda: show_run(run, console),
        lambda: show_trial(run, 0, console),
        lambda: show_comparison(gantune.compare([run, run]), console),
        lambda: (run.steps, run._repr_html_()),
        lambda: [run.curve(per) for per in ("epochs", "images", "seconds")],
        run.pareto,
        run.seeds,
    ]


def slow(root: Path, out: Path) -> list[Callable[[], object]]:
    """What takes longer."""
    run = gantune.load(root)
    return [
        run.importance,
        lambda: [run.failures(path) for path in (None, *run.study.search)],
        lambda: write_report([run], out),
    ]


@shares(50)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["trained", "repeated"])
def test_odd_rows(cases: int, kind: str, tmp_path: Path) -> None:
    """All that looks at a run; every tenth also by what takes longer."""
    root = tmp_path / "runs" / "run"
    if kind == "trained":
        shutil.copytree(FIXTURE, root)
    else:
        repeated(root)
    tables = {name: read_table(root / name).to_pylist() for name in COLUMNS}
    count = itertools.count()

    def check(changed: Rows) -> None:
        for name, rows in changed.items():
            rewritten(root / name, rows)
        uses = quick(root) + (slow(root, tmp_path / "report") if next(count) % 10 == 0 else [])
        for use in uses:
            answered(use)

    fuzz(cases, check, odd_rows(tables))


def test_repeats_without_seeds_and_epochs_without_a_trial(tmp_path: Path) -> None:
    """What the fuzz has found: values that a run can have, together as no run has them."""
    root = repeated(tmp_path / "run")
    trials = read_table(root / "trials").to_pylist()
    rewritten(root / "trials", [{**row, "seed": None} for row in trials])
    run = gantune.load(root)
    assert set(run.seeds().summary["seeds"]) == {1}
    best = run.best_number()
    rewritten(root / "trials", [{**row, "confirms": None} for row in trials if row["number"]])
    rewritten(root / "epochs", [{"number": 0, "epoch": 1, "objective": -9.0}])
    run = gantune.load(root)
    assert run.best_number() == 0 != best and ">trial 0<" in run._repr_html_()
