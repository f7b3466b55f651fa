"""Every number of a report, recomputed from its tables."""

from pathlib import Path

import pytest
from made import make_run
from recompute import Page, shows, unchecked, wrong_numbers

import gantune
from gantune.report.words import Fact, duration, number, percent
from gantune.report.write import write_report

SHIPPED = sorted((Path(__file__).parent.parent.parent / "reports").glob("*/index.html"))

BEYOND_TABLES = {"importance", "features", "failures", "seeds", "pair", "best", "runs"}
"""Counted by the analysis, whose tests recompute them, or noted in run.json."""


@pytest.mark.parametrize("page", SHIPPED, ids=lambda page: page.parent.name)
def test_a_shipped_report_says_what_its_tables_say(page: Path) -> None:
    assert list(wrong_numbers(page.parent)) == []
    assert unchecked(page.parent) <= BEYOND_TABLES


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_run(tmp_path_factory.mktemp("runs") / "made", trials=25, epochs=7)
    return write_report([gantune.load(root)], tmp_path_factory.mktemp("report")).parent


def test_a_report_says_what_its_tables_say(report: Path) -> None:
    assert list(wrong_numbers(report)) == []
    assert unchecked(report) <= BEYOND_TABLES
    keys = {key.split(".")[0] for key, _, _ in Page((report / "index.html").read_text()).numbers}
    assert {"best", "objective", "config", "status", "seconds", "importance"} <= keys


def test_a_wrong_number_is_found(report: Path, tmp_path: Path) -> None:
    for name in ("trials.csv", "epochs.parquet"):
        (tmp_path / name).write_bytes((report / name).read_bytes())
    html = (report / "index.html").read_text()
    key, value, _ = next(n for n in Page(html).numbers if n[0].startswith("objective."))
    planted = html.replace(f'value="{value!r}" data-key="{key}"', f'value="9.5" data-key="{key}"')
    assert planted != html
    (tmp_path / "index.html").write_text(planted)
    assert any(key in line for line in wrong_numbers(tmp_path))


def test_the_summary_says_the_same_answer(report: Path) -> None:
    page = Page((report / "index.html").read_text())
    shown = {key: text for key, _, text in page.numbers}
    summary = (report / "summary.md").read_text()
    head = next(line for line in summary.splitlines() if line.startswith("**The best is"))
    assert f"trial {shown['best.number']}:" in head and shown["best.objective"] in head


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (3, "3"),
        (12345, "12,345"),
        (-1.5, "−1.5"),
        (0.00012346, "0.0001235"),
        (123456.7, "123,457"),
        (1.0, "1"),
        (99.999, "100"),
        (5e-9, "5e-9"),
        (2.34567e12, "2.346e12"),
        (float("nan"), "–"),
        (None, "–"),
    ],
)
def test_numbers_are_rounded_to_four_digits(value: float | None, text: str) -> None:
    assert number(value) == text
    if text != "–":
        assert value is not None and (shows(text, value) or abs(value) >= 1e6)


def test_shares_and_times() -> None:
    assert [percent(s) for s in (0, 0.001, 0.5, 0.999, 1)] == ["0%", "<1%", "50%", ">99%", "100%"]
    assert [duration(s) for s in (1.5, 89, 100, 7200)] == ["1.5 s", "89 s", "1.7 min", "2.0 h"]
    assert Fact("x", None, "%").text == "–" and Fact("x", 0.25, "%").text == "25%"
