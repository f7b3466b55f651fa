"""Large runs: the page is made, and stays quick."""

import time
from pathlib import Path

import pytest
from browser import complaints, open_browser, open_trials, resize, visit
from made import make_run

import gantune
from gantune.report.write import write_report

pytestmark = pytest.mark.long


def test_a_thousand_trials_of_a_hundred_epochs(tmp_path: Path) -> None:
    root = make_run(tmp_path / "run", trials=1000, epochs=100, pictures=20)
    begun = time.process_time()
    page = write_report([gantune.load(root)], tmp_path / "report")
    # Of this process alone: tests run beside others.
    assert time.process_time() - begun < 20
    assert page.stat().st_size < 15e6
    with open_browser() as driver:
        resize(driver, 1440)
        visit(driver, page)
        timing = "const t = performance.getEntriesByType('navigation')[0]; return t.loadEventEnd"
        assert driver.execute_script(timing) < 3000
        begun = time.perf_counter()
        assert open_trials(driver, 1) == 1
        driver.find_element("css selector", "#table thead th:first-child button").click()
        assert time.perf_counter() - begun < 3
        assert complaints(driver) == []


def test_ten_thousand_trials_of_a_hundred_epochs(tmp_path: Path) -> None:
    root = make_run(tmp_path / "run", trials=10_000, epochs=100)
    begun = time.process_time()
    run = gantune.load(root)
    assert len(run.epochs) > 500_000 and len(run.trials) == 10_000
    assert time.process_time() - begun < 5
    page = write_report([run], tmp_path / "report")
    assert page.stat().st_size < 15e6
    text = page.read_text()
    assert "The best " in text and "trials.csv has all." in text
    assert "150 of 10,000 trials are drawn" in text
    with open_browser() as driver:
        resize(driver, 1440)
        visit(driver, page)
        assert open_trials(driver, 1) == 1
        assert complaints(driver) == []
