"""Chromium without a window, driven by Selenium: what a person's browser makes of a page."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

WIDTHS = (390, 768, 1440)


@contextmanager
def open_browser() -> Iterator[Any]:
    """Starts Chromium; fails in CI where there is none, and skips elsewhere."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    steering = shutil.which("chromedriver")
    if not browser or not steering:
        reason = "needs chromium and chromedriver: apt-get install chromium chromium-driver"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(steering))
    try:
        driver.set_script_timeout(60)
        yield driver
    finally:
        driver.quit()


def resize(driver: Any, width: int, height: int = 900) -> None:
    """Sets the size of the view; a window cannot be as narrow as a telephone."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def visit(driver: Any, page: Path) -> None:
    """Opens a page from disk, with the logs of the one before thrown away."""
    driver.get_log("browser")
    driver.get_log("performance")
    driver.get(page.resolve().as_uri())


def complaints(driver: Any) -> list[str]:
    """What the console has said: errors, warnings, violations of the policy."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] != "INFO"]


def requests(driver: Any) -> list[str]:
    """Addresses that were asked for, but for the page itself and what is within it."""
    asked = []
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            asked.append(message["params"]["request"]["url"])
    return [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]


def overflow(driver: Any) -> int:
    """Pixels by which the page is wider than the view."""
    script = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    return int(driver.execute_script(script))


def draw_all(driver: Any) -> None:
    """Opens every plot, scrolls to it and waits until it is drawn."""
    script = """
        const done = arguments[arguments.length - 1];
        const all = [...document.querySelectorAll("details[data-plot]")];
        const next = () => {
            const waiting = all.find((details) => !details.dataset.drawn);
            if (!waiting) { scrollTo(0, 0); done(all.length); return; }
            waiting.open = true;
            waiting.scrollIntoView({behavior: "instant"});
            setTimeout(next, 50);
        };
        next();
    """
    driver.execute_async_script(script)


def open_trials(driver: Any, most: int = 20) -> int:
    """Opens rows of the table; returns how many."""
    script = """
        const buttons = [...document.querySelectorAll("button.open")].slice(0, arguments[0]);
        buttons.forEach((button) => button.click());
        return buttons.length;
    """
    return int(driver.execute_script(script, most))
