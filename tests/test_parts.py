"""No test is lost or run twice between the parts of `make test`, nor of `make test-long`."""

import shlex
import subprocess
import tomllib
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent

HARMLESS = {"-n", "2", "--dist", "loadfile", "worksteal", "-v", "--junitxml"}
"""Words after which as many tests are run as without; what they leave is a file of XML."""

Marks = dict[str, bool]


class Part(NamedTuple):
    """One call of pytest.

    Attributes:
        expression: Of markers: which tests it runs.
        is_alone: One test at a time.
    """

    expression: str
    is_alone: bool

    def runs(self, marks: Marks) -> bool:
        """As pytest decides it: names, `not`, `and` and `or` are Python's."""
        return bool(eval(self.expression, {"__builtins__": {}}, marks))


def parts(target: str) -> list[Part]:
    """What a target of the Makefile runs."""
    command = ["make", "--dry-run", target]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = []
    for line in shown.splitlines():
        _, is_pytest, rest = line.partition(" -m pytest ")
        if is_pytest:
            words = shlex.split(rest)
            words.remove("-m")
            (expression,) = (w for w in words if w not in HARMLESS and not w.endswith(".xml"))
            found.append(Part(expression, is_alone="-n" not in words))
    return found


def kinds_of_tests() -> list[Marks]:
    """Every combination of markers."""
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    names = [line.partition(":")[0] for line in options["markers"]]
    return [dict(zip(names, has, strict=True)) for has in product([True, False], repeat=len(names))]


@pytest.mark.parametrize("target", ["test-fast", "test", "test-long"])
def test_each_test_is_in_exactly_one_part(target: str) -> None:
    found = parts(target)
    for marks in kinds_of_tests():
        wanted = {
            "test-fast": not any(marks.values()),
            "test": not marks["long"] and not marks["gpu"],
            "test-long": marks["long"],
        }
        ways = [part.is_alone for part in found if part.runs(marks)]
        assert ways == [marks["alone"]] * wanted[target], marks
