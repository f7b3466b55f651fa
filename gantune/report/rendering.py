"""What every page is rendered with: filters that escape, the style, the security policy."""

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from gantune.report.drawing import INKS, Dot, Drawing
from gantune.report.svg import to_svg
from gantune.report.verdicts import look_of
from gantune.report.words import (
    Fact,
    Sentence,
    in_words,
    is_known,
    label,
    short,
    value_text,
)
from gantune.runinfo import now
from gantune.visible import visible

_THEMES = {
    "page": ("#fcfcfb", "#14171c"),
    "line": ("#c3c9d1", "#4a535f"),
    "link": ("#0b5fa5", "#7cc0f5"),
    "hover": ("#f1f4f7", "#1e242c"),
}

EMPTY_STYLE = ""
"""plotly adds an empty style element and fills it by rules, which no policy forbids."""


def environment() -> Environment:
    """Jinja with everything escaped that is not ours."""
    found = Environment(
        loader=PackageLoader("gantune.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(
        visible=visible,
        cut=short,
        cut_block=_cut_block,
        breakable=_breakable,
        words=in_words,
        label=label,
        fact=fact_markup,
        sentence=sentence_markup,
        value=value_markup,
        share=lambda value, key: fact_markup(Fact(key, value, "%")),
        sortable=_sortable,
        marker=marker,
        json=json_markup,
    )
    return found


def fact_markup(fact: Fact) -> Markup:
    """A number with its exact value, by which a test finds it."""
    if fact.value is None:
        return Markup(escape(fact.text))
    return Markup('<data value="{}" data-key="{}">{}</data>').format(
        repr(fact.value), visible(fact.key), fact.text
    )


def sentence_markup(sentence: Sentence) -> Markup:
    """A sentence with its numbers marked."""
    parts = [
        Markup("<bdi>{}</bdi>").format(part) if isinstance(part, str) else fact_markup(part)
        for part in sentence
    ]
    return Markup("").join(parts)


def value_markup(value: Any, key: str) -> Markup:
    """A value of a configuration; of a number with its exact value."""
    if isinstance(value, int | float) and not isinstance(value, bool) and is_known(value):
        return fact_markup(Fact(key, value))
    text = value_text(value)
    if len(text) <= 40:
        return Markup("<bdi>{}</bdi>").format(text)
    return Markup('<span class="cell" title="{}"><bdi>{}</bdi></span>').format(
        short(text, 400), short(text, 160)
    )


def _sortable(value: Any) -> str:
    return short(str(value), 60) if is_known(value) else ""


def _breakable(path: str) -> Markup:
    """A dotted path that may go on in the next line behind a dot."""
    return Markup("<wbr>").join(escape(f"{word}.") for word in path.split("."))[:-1]


def _cut_block(text: str, length: int) -> str:
    return (
        text if len(text) <= length else f"{text[:length]}\n… {len(text) - length:,} more letters"
    )


@cache
def marker(verdict: str | None) -> Markup:
    """A verdict's marker at the size of text."""
    look = look_of(verdict)
    svg = to_svg(Drawing(12, 12, (Dot(6, 6, look.ink, 4.4, look.shape),), ""))
    return Markup(svg.replace('role="img" aria-label="" class="drawing"', 'aria-hidden="true"'))


def json_markup(value: Any) -> Markup:
    """JSON that no text in it can end."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)


def stylesheet() -> str:
    """The style of every page, in both themes."""
    inks = {**INKS, **_THEMES}
    light = "".join(f"--{name}:{codes[0]};" for name, codes in inks.items())
    dark = "".join(f"--{name}:{codes[1]};" for name, codes in inks.items())
    classes = "".join(
        f".f-{name}{{fill:var(--{name})}}svg .s-{name}{{stroke:var(--{name})}}" for name in INKS
    )
    return (
        f":root{{color-scheme:light;{light}}}\n"
        f"@media (prefers-color-scheme:dark){{:root{{color-scheme:dark;{dark}}}}}\n"
        f":root[data-theme=light]{{color-scheme:light;{light}}}\n"
        f":root[data-theme=dark]{{color-scheme:dark;{dark}}}\n{classes}\n{_template('style.css')}"
    )


def script(*names: str) -> str:
    """The page's own scripts."""
    return "\n".join(_template(name) for name in names)


def _template(name: str) -> str:
    return (files("gantune.report") / "templates" / name).read_text(encoding="utf-8")


class Library(NamedTuple):
    """plotly.js, to be unpacked by the page when its first plot comes into view.

    Attributes:
        packed: gzip, base64.
        hash: By which the policy lets it run.
        guarded: Ids of elements that keep parts that no report uses from adding a style.
    """

    packed: str
    hash: str
    guarded: tuple[str, ...]


@cache
def plotly_library() -> Library:
    """The library as plotly's package has it."""
    data = (files("plotly") / "package_data" / "plotly.min.js").read_bytes()
    packed = base64.b64encode(gzip.compress(data, 6, mtime=0)).decode()
    # An extension for maps adds its style at once, unless an element of this id is there.
    ids = re.findall(rb'getElementById\("([0-9a-f]{64})"\)', data)
    guarded = tuple(dict.fromkeys(found.decode() for found in ids))
    return Library(packed, source_hash(data.decode()), guarded)


def source_hash(text: str) -> str:
    """What a Content-Security-Policy calls an inline script or style."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def policy(style: str, scripts: Sequence[str], *, has_plots: bool) -> str:
    """Nothing but this page's own scripts, styles and pictures; no network at all."""
    styles = [source_hash(style), *([source_hash(EMPTY_STYLE)] if has_plots else [])]
    rules = [
        "default-src 'none'",
        f"script-src {' '.join(scripts)}",
        f"style-src-elem {' '.join(styles)}",
        # plotly places its parts by style attributes; they can load nothing.
        "style-src-attr 'unsafe-inline'" if has_plots else "style-src-attr 'none'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return "; ".join(rules)


def render(template: str, scripts: Sequence[str], has_plots: bool, **values: Any) -> str:
    """A page.

    Args:
        template: Its file.
        scripts: Files of scripts, in order.
        has_plots: Whether it has plots of plotly's.
        values: What the template needs.
    """
    style, code = stylesheet(), script(*scripts)
    assert "</script" not in code and "</style" not in style
    library = plotly_library() if has_plots else None
    hashes = [source_hash(code), *([library.hash] if library else [])]
    page = environment().get_template(template)
    return page.render(
        policy=Markup(policy(style, hashes, has_plots=has_plots)),
        style=Markup(style),
        script=Markup(code),
        plotly=Markup(library.packed) if library else "",
        guarded=library.guarded if library else (),
        version=version("gantune"),
        made=now()[:16].replace("T", " ") + " UTC",
        **values,
    )
