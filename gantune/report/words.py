"""Numbers and foreign text as they stand in a report."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gantune.visible import visible

NOTHING = "–"
SIGNIFICANT = 4


@dataclass(frozen=True)
class Fact:
    """A number of a report, with what it is called where it is checked.

    Attributes:
        key: Dotted name, unique for what it counts: ``best.objective``.
        value: The number as the tables have it; None: there is none.
        unit: ``%``: a share, shown in percent; ``s``: seconds, shown in the unit that fits.
    """

    key: str
    value: float | int | None
    unit: str = ""

    @property
    def text(self) -> str:
        """As it is shown."""
        if self.value is None:
            return NOTHING
        if self.unit == "%":
            return percent(self.value)
        if self.unit == "s":
            return duration(self.value)
        return number(self.value) + self.unit


Sentence = tuple["str | Fact", ...]


def plain(sentence: Sentence) -> str:
    """A sentence without its markup."""
    return "".join(part if isinstance(part, str) else part.text for part in sentence)


def is_known(value: Any) -> bool:
    """Whether a cell of a table has a value that is finite, or any text."""
    if value is None or str(value) in ("nan", "<NA>"):
        return False
    return not isinstance(value, float) or math.isfinite(value)


def number(value: Any) -> str:
    """A number for people: four significant digits, thousands apart, a true minus."""
    if not is_known(value):
        return NOTHING
    if isinstance(value, float):
        return _float(value)
    return f"{int(value):,}".replace("-", "−")


def _float(value: float) -> str:
    size = abs(value)
    if value == 0:
        return "0"
    if size >= 1e6 or size < 1e-4:
        mantissa, exponent = f"{value:.{SIGNIFICANT}g}".replace("-", "−", 1), ""
        if "e" in mantissa:
            mantissa, exponent = mantissa.split("e")
            exponent = f"e{int(exponent.replace('−', '-'))}"
        return mantissa + exponent
    digits = max(0, SIGNIFICANT - 1 - math.floor(math.log10(size)))
    text = f"{value:,.{digits}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.replace("-", "−")


def percent(share: float) -> str:
    """A share in percent, never rounded to none or all."""
    if 0 < share < 0.005:
        return "<1%"
    if 0.995 < share < 1:
        return ">99%"
    return f"{share:.0%}"


def duration(seconds: float) -> str:
    """Seconds in the unit that fits."""
    if seconds < 90:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def short(text: str, length: int) -> str:
    """One line of at most so many letters."""
    line = " ".join(visible(text).split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def value_text(value: Any) -> str:
    """A configuration's value: numbers as numbers, the rest as it is written."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return number(value)
    return visible(str(value)) if is_known(value) else NOTHING


def with_nulls(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration in which null is a value to be shown; a path that is not there has none."""
    return {path: "null" if value is None else value for path, value in parameters.items()}


def counted(count: int, noun: str) -> str:
    """A number of things: ``1 trial``, ``2 trials``."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def label(path: str) -> str:
    """A dotted path of a trial without what goes without saying."""
    for long, brief in (("optimizer.", ""), ("generator.", "G "), ("discriminator.", "D ")):
        path = path.replace(long, brief, 1) if path.startswith(long) else path
    return path


METRICS = {
    "frechet_distance": "Fréchet distance",
    "mode_kl": "mode KL",
    "mode_jsd": "mode JSD",
    "d_acc": "D accuracy",
}


def in_words(name: str) -> str:
    """A column's or a verdict's name as words."""
    return METRICS.get(name, name.replace("_", " "))
