"""Large runs: the page is made, and stays quick."""

import time
from pathlib import Path
from typing import Any

import pytest
from browser import complaints, open_browser, open_trials, resize, visit
from made import make_run

import gantune
from gantune.report.write import write_report


def busy(driver: Any) -> float:
    """Seconds of processor time that the page's own thread has used; other work does not count."""
    found = driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    return float({metric["name"]: metric["value"] for metric in found}["TaskDuration"])


@pytest.mark.long
def test_a_thousand_trials_of_a_hundred_epochs(tmp_path: Path) -> None:
    root = make_run(tmp_path / "run", trials=1000, epochs=100, pictures=20)
    gantune.load(make_run(tmp_path / "first", trials=1))  # imports
    # Processor time of this process alone: tests run beside others.
    begun = time.process_time()
    run = gantune.load(root)
    assert len(run.trials) == 1000 and len(run.epochs) > 50_000
    assert time.process_time() - begun < 1
    page = write_report([run], tmp_path / "report")
    assert time.process_time() - begun < 20
    assert page.stat().st_size < 15e6
    with open_browser() as driver:
        resize(driver, 1440)
        driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
        visit(driver, page)
        assert busy(driver) < 3
        assert open_trials(driver, 1) == 1
        driver.execute_script("document.querySelector('#table thead button').click()")
        assert driver.execute_script("return document.querySelector('#table tbody tr').id")
        assert busy(driver) < 6
        assert complaints(driver) == []


@pytest.mark.long
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
