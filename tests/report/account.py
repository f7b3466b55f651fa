"""Accounts for every number in the text of a report: it is recomputed, or quoted from a file.

A text is a sentence, a caption, a row of a table, an alternative text. A rule knows a kind of text
and says which values its numbers have, in their order. A number that no rule expects is wrong.
"""

import html
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from recount import Tables, shows

NUMBER = re.compile(
    r"(?<![\w.−‑-])[<>]?[−-]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[−‑-]?\d+)?(?:%| (?:s|min|h)\b)?(?!\w)"
)
"""A number with its unit. Digits within a word, as in ``beta1`` and ``r1``, are a name's."""


class Rounded(float):
    """An end of a part of a domain, which is shown to two digits or more."""


Values = list[float | None]
QUOTED: Values = [None]
"""Of a text of versions or dates, which its rule has compared letter for letter."""

Rule = tuple[re.Pattern[str], Callable[[re.Match[str], Tables], Values]]
RULES: list[Rule] = []


def rule(pattern: str) -> Callable[[Callable[[re.Match[str], Tables], Values]], None]:
    """Enters what the numbers of a kind of text are."""

    def enter(count: Callable[[re.Match[str], Tables], Values]) -> None:
        RULES.append((re.compile(pattern), count))

    return enter


def unaccounted(text: str, t: Tables) -> str | None:
    """What is wrong with the numbers of a text; None where each is what it should be."""
    if not has_numbers(text, t):
        return None
    for pattern, count in RULES:
        found = pattern.fullmatch(text)
        if found:
            return compared(text, t, partial(count, found, t))
    return None if is_quoted(text, t) else f"{text!r}: no rule for it"


def is_quoted(text: str, t: Tables) -> bool:
    """Whether a text is of the study or of run.json, letter for letter, or of nothing."""
    quotes = {t.study["description"]}
    for session in t.info["sessions"]:
        versions = ", ".join(f"{name} {version}" for name, version in session["versions"].items())
        times = (session.get(name) or "–" for name in ("started_at", "ended_at"))
        quotes |= {versions, session["python"], (session.get("git_commit") or "–")[:12]}
        quotes |= {str(session["slots"]), *(time[:19].replace("T", " ") for time in times)}
        quotes |= {str(seed) for seed in session["seeds"].values()}
    for rows in t.by_trial.values():
        quotes |= {row["evidence"] for row in rows[-1:]}
    return text in quotes | {row["worker"] for row in t.trials.values()}


def compared(text: str, t: Tables, count: Callable[[], Values]) -> str | None:
    """How the numbers of a text differ from what they should be; None where they do not."""
    try:
        expected = count()
    except (AssertionError, KeyError, StopIteration, ValueError) as error:
        return f"{text!r}: {error!r}"
    if expected is QUOTED:
        return None
    return _differs(NUMBER.findall(without_names(text, t)), expected, text)


def _differs(shown: list[str], expected: Values, text: str) -> str | None:
    if len(shown) != len(expected):
        return f"{text!r}: numbers {shown}, expected {expected}"
    for token, value in zip(shown, expected, strict=True):
        token = token.replace("‑", "-")
        if isinstance(value, Rounded):
            is_right = abs(float(token) - value) <= 0.0501 * abs(value)
        else:
            is_right = value is not None and shows(token, float(value))
        if not is_right:
            return f"{text!r}: {token}, not {value}"
    return None


def has_numbers(text: str, t: Tables) -> bool:
    """Whether a digit stands in the text outside of a word."""
    return bool(re.search(r"\d", re.sub(r"[A-Za-z_]\w*", "", without_names(text, t))))


def without_names(text: str, t: Tables) -> str:
    """The text without names of parameters and choices that have digits in them."""
    names = [*t.space, *map(label, t.space), str(t.study["name"])]
    names += [v for s in t.space.values() for v in s.get("choice", ()) if isinstance(v, str)]
    for name in sorted((n for n in names if re.search(r"\d", n)), key=len, reverse=True):
        text = text.replace(name, "¶")
    return text


def label(path: str) -> str:
    """A path as figures and tables call it."""
    path = path.removeprefix("optimizer.")
    return re.sub(r"^generator\.", "G ", re.sub(r"^discriminator\.", "D ", path))


def path_of(name: str, t: Tables) -> str:
    """The path that is called so."""
    return next(path for path in t.space if name in (path, label(path)))


def summary_texts(folder: Path) -> Iterator[str]:
    """The texts of a summary: its lines, of pictures what stands for them."""
    for line in (folder / "summary.md").read_text(encoding="utf-8").splitlines():
        picture = re.fullmatch(r"!\[(.*)\]\(\w+\.png\) ?", line)
        text = picture[1] if picture else line.removeprefix("- ")
        text = html.unescape(re.sub(r"\\(.)", r"\1", text))
        yield text.removeprefix("# ").removeprefix("**").removesuffix("**")


def wrong_in_summary(folder: Path) -> list[str]:
    """What is not accounted for in a summary."""
    tables = Tables(folder)
    found = (unaccounted(text, tables) for text in summary_texts(folder))
    return [problem for problem in found if problem]
