"""The page in a real browser: quiet, alone, and it does what it offers."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import (
    WIDTHS,
    complaints,
    draw_all,
    open_browser,
    open_trials,
    overflow,
    requests,
    resize,
    visit,
)
from made import HOSTILE, make_run

import gantune
from gantune.paths import RunPaths
from gantune.report.write import write_report
from gantune.runinfo import begin_session
from gantune.study import Study

pytestmark = pytest.mark.slow

ROWS = "return [...document.querySelectorAll('#table tbody tr')].map(r => {})"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with open_browser() as driver:
        yield driver


@pytest.fixture(scope="module")
def real_run(tmp_path_factory: pytest.TempPathFactory) -> gantune.Run:
    """A search that has really trained, on the digits, with early stopping."""
    from conftest import make_study

    study = make_study(
        trial={
            "data": {"name": "digits"},
            "train": {"epochs": 4, "steps_per_epoch": 10, "batch_size": 32},
        },
        samples={"every": 1, "count": 16},
        budget={"trials": 5},
    )
    root = tmp_path_factory.mktemp("runs") / "real"
    return gantune.load(run_alone(study, root))


def run_alone(study: Study, root: Path) -> Path:
    """A search to its end in this process."""
    from gantune.api import Silent
    from gantune.engine.materials import make_materials
    from gantune.host import Host
    from gantune.tuning.conductor import Conductor
    from gantune.tuning.lifecycle import create_run, finish_run, session_facts
    from gantune.tuning.local import drive

    paths, materials = RunPaths(root), make_materials(study.trial)
    create_run(paths, study)
    begin_session(paths.info, None, session_facts(study, materials, 1))
    conductor = Conductor(paths, study, Silent())
    drive(conductor, Host(materials))
    return finish_run(conductor, root).root


@pytest.fixture(scope="module")
def page(real_run: gantune.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report([real_run], tmp_path_factory.mktemp("report"))


def test_a_real_report_is_quiet_and_asks_no_host(chromium: Any, page: Path) -> None:
    resize(chromium, 1440)
    visit(chromium, page)
    draw_all(chromium)
    assert open_trials(chromium) == 5
    chromium.find_element("id", "theme").click()
    time.sleep(0.5)
    assert complaints(chromium) == []
    assert requests(chromium) == []
    # Each row shows what it has: curves, and pictures on fixed latents.
    assert len(chromium.find_elements("css selector", ".detail .panels svg")) >= 5 * 5
    assert len(chromium.find_elements("css selector", ".detail .strip img")) >= 5


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_overflows(chromium: Any, page: Path, width: int) -> None:
    resize(chromium, width)
    visit(chromium, page)
    draw_all(chromium)
    open_trials(chromium)
    assert overflow(chromium) <= 0


def test_rows_sort_by_number_and_nulls_come_last(chromium: Any, page: Path) -> None:
    resize(chromium, 1440)
    visit(chromium, page)
    column = ROWS.format("r.cells[0].innerText.trim()")
    first = chromium.find_element("css selector", "#table thead th:first-child button")
    first.click()
    assert chromium.execute_script(column) == ["0", "1", "2", "3", "4"]
    first.click()
    assert chromium.execute_script(column) == ["4", "3", "2", "1", "0"]
    head = chromium.find_element("css selector", "#table thead th:first-child")
    assert head.get_attribute("aria-sort") == "descending"
    chromium.find_element("css selector", "#table thead th:nth-child(4) button").click()
    values = ROWS.format("r.cells[3].dataset.sort")
    known = [float(v) for v in chromium.execute_script(values) if v]
    assert known == sorted(known)


def test_rows_filter_by_verdict_and_status(chromium: Any, page: Path, real_run: Any) -> None:
    visit(chromium, page)
    script = """
        const select = document.forms.filters.elements[arguments[0]];
        const choose = (value) => {
            select.value = value;
            select.dispatchEvent(new Event('change', {bubbles: true}));
        };
        choose(arguments[1]);
        const left = document.querySelectorAll('#table tbody tr:not([hidden])').length;
        choose('');
        return left;
    """
    for name in ("verdict", "status"):
        for value, count in real_run.trials[name].value_counts().items():
            if count:
                assert chromium.execute_script(script, name, str(value)) == count
    assert chromium.find_element("id", "shown").text == "5 trials"


def test_the_keyboard_reaches_and_opens_everything(chromium: Any, page: Path) -> None:
    from selenium.webdriver import ActionChains, Keys

    resize(chromium, 1440)
    visit(chromium, page)
    script = """
        const wanted = "a[href], button, select, summary, [tabindex='0']";
        const all = [...document.querySelectorAll(wanted)];
        return all.filter(e => e.checkVisibility()).length;
    """
    reachable = chromium.execute_script(script)
    reached = set()
    for _ in range(reachable + 5):
        ActionChains(chromium).send_keys(Keys.TAB).perform()
        reached.add(chromium.switch_to.active_element.id)
    body = chromium.find_element("tag name", "body").id
    assert len(reached - {body}) >= reachable
    button = chromium.find_element("css selector", "button.open")
    chromium.execute_script("arguments[0].focus()", button)
    ActionChains(chromium).send_keys(Keys.ENTER).perform()
    assert button.get_attribute("aria-expanded") == "true"
    assert chromium.find_elements("css selector", "tr.detail")
    ActionChains(chromium).send_keys(Keys.ENTER).perform()
    assert not chromium.find_elements("css selector", "tr.detail")


def test_pictures_have_a_text_alternative_and_text_has_contrast(chromium: Any, page: Path) -> None:
    visit(chromium, page)
    draw_all(chromium)
    open_trials(chromium)
    bare = """
        const said = (e) => e.getAttribute('alt') || e.getAttribute('aria-label') || '';
        const all = [...document.querySelectorAll('img, [role=img]')];
        return all.filter(e => !said(e).trim()).length;
    """
    assert chromium.execute_script(bare) == 0
    for theme in ("light", "dark"):
        chromium.execute_script("document.documentElement.dataset.theme = arguments[0]", theme)
        for name in ("text", "muted", "link"):
            assert contrast(chromium, name, "page") >= 4.5, (theme, name)
        for name in ("blue", "green", "vermilion", "purple", "orange", "grey"):
            assert contrast(chromium, name, "page") >= 2.4, (theme, name)


def contrast(driver: Any, ink: str, ground: str) -> float:
    """The ratio of two colours' luminances, as WCAG 2.2 has it."""
    script = "return getComputedStyle(document.documentElement).getPropertyValue(arguments[0])"

    def luminance(name: str) -> float:
        code = driver.execute_script(script, f"--{name}").strip().removeprefix("#")
        parts = [int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    light, dark = sorted((luminance(ink), luminance(ground)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_a_link_opens_a_trial(chromium: Any, page: Path) -> None:
    chromium.get("about:blank")
    chromium.get(page.resolve().as_uri() + "#trial-3")
    assert chromium.find_element("css selector", "#trial-3 + tr.detail")


def test_hostile_text_stands_as_text(chromium: Any, tmp_path: Path) -> None:
    search = {
        "loss.name": {"choice": list(HOSTILE.values())},
        "x" + HOSTILE["script"]: {"log_uniform": [1, 10]},
        HOSTILE["long"]: {"uniform": [0, 1]},
        "optimizer.generator.lr": {"log_uniform": [1e-5, 1e-2]},
    }
    session = {
        "extensions": {HOSTILE["script"]: HOSTILE["quotes"]},
        "host": HOSTILE["end"],
        "device": HOSTILE["turned"],
        "seeds": {HOSTILE["table"]: HOSTILE["long"]},
        "versions": {HOSTILE["quotes"]: HOSTILE["end"]},
    }
    root = make_run(
        tmp_path / "<img src=x onerror=window.hacked=1>'\"",
        search=search,
        description="\n".join(HOSTILE.values())[:9900],
        error=HOSTILE["end"] + HOSTILE["turned"] + HOSTILE["long"],
        session=session,
        status=HOSTILE["script"],
        pictures=2,
    )
    page = write_report([gantune.load(root)], tmp_path / "report")
    for width in WIDTHS:
        resize(chromium, width)
        visit(chromium, page)
        draw_all(chromium)
        assert open_trials(chromium) == 12
        assert overflow(chromium) <= 0
        assert complaints(chromium) == []
        assert chromium.execute_script("return window.hacked") is None
    text = chromium.execute_script("return document.body.textContent")
    for name in ("script", "end", "quotes"):
        assert HOSTILE[name] in text
    # What turns text around, or hides, has a name instead of an effect.
    assert "\u202e" not in text and "⟨U+202E⟩" in text and "\x1b" not in text
    assert not chromium.find_elements("css selector", "main img[src=x], main svg[onload]")
    markdown = (page.parent / "summary.md").read_text()
    assert "<script" not in markdown and "\u202e" not in markdown


KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "empty": ({"trials": 0}, "There is no answer"),
    "one": ({"trials": 1}, "One trial alone says nothing of chance"),
    "diverged": ({"fault": "diverged"}, "All 12 trials ended as diverged"),
    "null": ({"null": "coverage"}, "No trial has a coverage"),
    "no value": ({"null": "objective"}, "There is no answer"),
    "no labels": ({"labels": False}, "No trial has a count of modes"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_of_little_has_a_page_that_says_so(chromium: Any, tmp_path: Path, kind: str) -> None:
    options, said = KINDS[kind]
    root = make_run(tmp_path / "run", **options)
    page = write_report([gantune.load(root)], tmp_path / "report")
    resize(chromium, 390)
    visit(chromium, page)
    draw_all(chromium)
    open_trials(chromium)
    assert said in chromium.execute_script("return document.body.innerText")
    assert complaints(chromium) == [] and overflow(chromium) <= 0


def test_two_hundred_parameters(chromium: Any, tmp_path: Path) -> None:
    search = {f"made.parameter_{i}": {"uniform": [0, 1]} for i in range(200)}
    page = write_report([gantune.load(make_run(tmp_path / "run", search=search))], tmp_path / "out")
    resize(chromium, 768)
    visit(chromium, page)
    draw_all(chromium)
    open_trials(chromium, 2)
    text = chromium.execute_script("return document.body.textContent")
    assert "Columns are the most important parameters" in text
    assert text.count("made.parameter_199") >= 3  # the best's configuration, and two rows
    assert complaints(chromium) == [] and overflow(chromium) <= 0
