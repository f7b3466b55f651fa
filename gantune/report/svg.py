"""Drawings as SVG that takes its colours from the page's style sheet."""

import base64
import math
from html import escape

from gantune.report.drawing import Box, Dot, Drawing, Label, Line, Mark, Raster


def to_svg(drawing: Drawing) -> str:
    """An ``<svg>`` element without any style of its own, so that a strict policy lets it pass."""
    size = f"{drawing.width:g} {drawing.height:g}"
    alt = escape(drawing.alt)
    return (
        f'<svg viewBox="0 0 {size}" role="img" aria-label="{alt}" class="drawing">'
        f"{''.join(map(_mark, drawing.marks))}</svg>"
    )


def _mark(mark: Mark) -> str:
    if isinstance(mark, Line):
        return _line(mark)
    if isinstance(mark, Dot):
        return _dot(mark)
    if isinstance(mark, Box):
        at = f'x="{_n(mark.x)}" y="{_n(mark.y)}"'
        size = f'width="{_n(mark.width)}" height="{_n(mark.height)}"'
        return _with_title("rect", f'class="f-{mark.ink}" {at} {size}{_opacity(mark)}', mark.title)
    if isinstance(mark, Label):
        weight = ' font-weight="600"' if mark.bold else ""
        anchor = "" if mark.anchor == "start" else f' text-anchor="{mark.anchor}"'
        at = f'x="{_n(mark.x)}" y="{_n(mark.y)}" font-size="{mark.size:g}"'
        return f'<text class="f-{mark.ink}" {at}{anchor}{weight}>{escape(mark.text)}</text>'
    assert isinstance(mark, Raster)
    data = base64.b64encode(mark.png).decode()
    place = f'x="{_n(mark.x)}" y="{_n(mark.y)}" width="{_n(mark.width)}"'
    source = f'href="data:image/png;base64,{data}"'
    return f'<image class="pixels" {place} height="{_n(mark.height)}" {source}/>'


def _line(line: Line) -> str:
    points = "L".join(f"{_n(x)} {_n(y)}" for x, y in line.points)
    dash = ' stroke-dasharray="4 3"' if line.dashed else ""
    width = f'stroke-width="{line.width:g}"'
    attributes = f'class="s-{line.ink}" d="M{points}" {width}{dash}{_opacity(line)}'
    return _with_title("path", attributes, line.title)


def _dot(dot: Dot) -> str:
    r = dot.radius
    opacity = _opacity(dot)
    if dot.shape in ("circle", "ring"):
        kind = "s" if dot.shape == "ring" else "f"
        at = f'cx="{_n(dot.x)}" cy="{_n(dot.y)}" r="{_n(r)}"'
        return _with_title("circle", f'class="{kind}-{dot.ink}" {at}{opacity}', dot.title)
    if dot.shape == "cross":
        arms = ((-r, -r, r, r), (-r, r, r, -r))
        path = "".join(
            f"M{_n(dot.x + a)} {_n(dot.y + b)}L{_n(dot.x + c)} {_n(dot.y + d)}"
            for a, b, c, d in arms
        )
        attributes = f'class="s-{dot.ink}" stroke-width="2" d="{path}"{opacity}'
        return _with_title("path", attributes, dot.title)
    corners = "L".join(f"{_n(x)} {_n(y)}" for x, y in polygon(dot))
    return _with_title("path", f'class="f-{dot.ink}" d="M{corners}Z"{opacity}', dot.title)


def polygon(dot: Dot) -> list[tuple[float, float]]:
    """The corners of a marker that has some."""
    r = dot.radius * 1.15
    shapes = {
        "square": ((-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)),
        "diamond": ((0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)),
        "triangle": ((0, -1.2), (1.1, 0.8), (-1.1, 0.8)),
    }
    return [(dot.x + r * dx, dot.y + r * dy) for dx, dy in shapes[dot.shape]]


def _with_title(tag: str, attributes: str, title: str) -> str:
    if not title:
        return f"<{tag} {attributes}/>"
    return f"<{tag} {attributes}><title>{escape(title)}</title></{tag}>"


def _opacity(mark: Line | Dot | Box) -> str:
    return "" if mark.opacity == 1 else f' opacity="{mark.opacity:g}"'


def _n(value: float) -> str:
    """A coordinate to a tenth of a pixel, short."""
    assert math.isfinite(value)
    return f"{value:.1f}".removesuffix(".0")
