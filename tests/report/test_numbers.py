"""Every number of a report, recomputed from its tables."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from account import NUMBER, has_numbers, summary_texts, unaccounted, wrong_in_summary
from account_page import Texts, problem, wrong_in_drawing, wrong_in_page
from made import make_run
from recompute import Page, wrong_numbers
from recount import Tables, shows

import gantune
from gantune.report.words import Fact, duration, number, percent
from gantune.report.write import write_report

SHIPPED = sorted((Path(__file__).parent.parent.parent / "reports").glob("*/summary.md"))


@pytest.mark.slow
@pytest.mark.parametrize("summary", SHIPPED, ids=lambda path: path.parent.name)
def test_a_shipped_summary_says_what_its_tables_say(summary: Path) -> None:
    assert wrong_in_summary(summary.parent) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [path.parent for path in SHIPPED if path.with_name("index.html").exists()], ids=str
)
def test_a_shipped_page_says_what_its_tables_say(page: Path) -> None:
    assert list(wrong_numbers(page)) == []
    assert list(wrong_in_page(page)) == []


@pytest.fixture(scope="module", params=["searched", "confirmed"])
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    repeats = 6 if request.param == "confirmed" else 0
    root = tmp_path_factory.mktemp("runs") / "made"
    make_run(root, trials=25, epochs=7, repeats=repeats, pictures=2)
    return write_report([gantune.load(root)], tmp_path_factory.mktemp("report")).parent


@pytest.mark.slow
def test_a_report_says_what_its_tables_say(report: Path) -> None:
    assert list(wrong_numbers(report)) == []
    assert wrong_in_summary(report) == []
    assert list(wrong_in_page(report)) == []
    keys = {key.split(".")[0] for key, _, _ in Page((report / "index.html").read_text()).numbers}
    assert {"best", "objective", "config", "status", "seconds", "importance"} <= keys


def altered(text: str) -> list[str]:
    """The text with one of its numbers changed in a digit, for each of them."""
    found = []
    for token in NUMBER.finditer(text):
        place = token.start() + len(token[0]) - len(token[0].lstrip("<>−-"))
        digit = str((int(text[place]) + 3) % 9 + 1)
        found.append(text[:place] + digit + text[place + 1 :])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("summary", SHIPPED, ids=lambda path: path.parent.name)
def test_a_wrong_number_anywhere_in_a_summary_is_found(summary: Path) -> None:
    tables = Tables(summary.parent)
    texts = [text for text in summary_texts(summary.parent) if has_numbers(text, tables)]
    planted = [wrong for text in texts for wrong in altered(text)]
    assert len(planted) > 150
    assert [wrong for wrong in planted if unaccounted(wrong, tables) is None] == []


@pytest.mark.slow
def test_a_wrong_marked_number_is_found(report: Path, tmp_path: Path) -> None:
    folder = tmp_path / "report"
    shutil.copytree(report, folder)
    html = (report / "index.html").read_text()
    keys = {key.split(".")[0]: key for key, _, _ in Page(html).numbers}
    for key in keys.values():
        planted = re.sub(
            rf'value="[^"]+" data-key="{re.escape(key)}"', f'value="9876.5" data-key="{key}"', html
        )
        assert planted != html, key
        (folder / "index.html").write_text(planted)
        assert any(line.startswith(key) for line in wrong_numbers(folder)), key


@pytest.mark.slow
def test_a_wrong_number_in_any_text_of_a_page_is_found() -> None:
    folder = next(path.parent for path in SHIPPED if path.parent.name == "lr_beta")
    tables, texts = Tables(folder), Texts((folder / "index.html").read_text())
    unmarked = [text for text in texts.found if text.rest == text.whole]
    study = (folder / "study.yaml").read_text().split()
    # The page's own version and date, and the study file, are in no table.
    own = [x for x in unmarked if not x.whole.startswith("Made by") and x.whole.split() != study]
    found = [text for text in own if has_numbers(text.whole, tables)]
    plain = [replace(text, whole=w, rest=w) for text in found for w in altered(text.whole)]
    assert len(plain) > 100
    assert [text.whole for text in plain if not problem(text, tables)] == []
    for drawing in texts.drawings:
        for place, text in enumerate(drawing):
            for wrong in altered(text.whole):
                changed = replace(text, whole=wrong, rest=wrong)
                planted = [*drawing[:place], changed, *drawing[place + 1 :]]
                assert any(wrong_in_drawing(planted, tables)), (wrong, drawing[0].whole)


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
