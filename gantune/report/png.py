"""Drawings as PNG, for Markdown: the light palette, painted by Pillow."""

import io
import unicodedata
from functools import lru_cache
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from gantune.report.drawing import INKS, Box, Dot, Drawing, Label, Line, Mark, Point
from gantune.report.svg import polygon

SCALE = 2
"""Pixels of the file for one of the drawing."""
_FINE = 2
"""Painted larger by this and reduced, which smooths the edges."""

COLOURS = 128

DASH = (4.0, 3.0)


def to_png(drawing: Drawing) -> bytes:
    """A PNG of twice the drawing's size."""
    by = SCALE * _FINE
    size = (round(drawing.width * by), round(drawing.height * by))
    image = Image.new("RGB", size, INKS["paper"][0])
    brush = ImageDraw.Draw(image, "RGBA")
    for mark in drawing.marks:
        _paint(image, brush, mark, by)
    small = image.resize((size[0] // _FINE, size[1] // _FINE), Image.Resampling.BOX)
    few = small.quantize(COLOURS, Image.Quantize.FASTOCTREE)
    buffer = io.BytesIO()
    few.save(buffer, "PNG")
    return buffer.getvalue()


def _paint(image: Image.Image, brush: ImageDraw.ImageDraw, mark: Mark, by: int) -> None:
    if isinstance(mark, Line):
        colour, width = _colour(mark.ink, mark.opacity), max(1, round(mark.width * by))
        for start, end in _strokes(mark):
            brush.line([_at(start, by), _at(end, by)], fill=colour, width=width)
    elif isinstance(mark, Dot):
        _paint_dot(brush, mark, by)
    elif isinstance(mark, Box):
        corners = [mark.x, mark.y, mark.x + mark.width, mark.y + mark.height]
        brush.rectangle([c * by for c in corners], fill=_colour(mark.ink, mark.opacity))
    elif isinstance(mark, Label):
        anchor = {"start": "ls", "middle": "ms", "end": "rs"}[mark.anchor]
        font = _font(round(mark.size * by))
        stroke = by // 4 if mark.bold else 0
        at, colour = (mark.x * by, mark.y * by), _colour(mark.ink, 1)
        brush.text(
            at, drawable(mark.text), font=font, anchor=anchor, fill=colour, stroke_width=stroke
        )
    else:
        picture = Image.open(io.BytesIO(mark.png), formats=("PNG",)).convert("RGB")
        size = (round(mark.width * by), round(mark.height * by))
        place = (round(mark.x * by), round(mark.y * by))
        image.paste(picture.resize(size, Image.Resampling.NEAREST), place)


def _paint_dot(brush: ImageDraw.ImageDraw, dot: Dot, by: int) -> None:
    colour, r = _colour(dot.ink, dot.opacity), dot.radius * by
    x, y = dot.x * by, dot.y * by
    if dot.shape == "circle":
        brush.ellipse([x - r, y - r, x + r, y + r], fill=colour)
    elif dot.shape == "ring":
        brush.ellipse([x - r, y - r, x + r, y + r], outline=colour, width=by)
    elif dot.shape == "cross":
        brush.line([x - r, y - r, x + r, y + r], fill=colour, width=2 * by)
        brush.line([x - r, y + r, x + r, y - r], fill=colour, width=2 * by)
    else:
        brush.polygon([_at(corner, by) for corner in polygon(dot)], fill=colour)


def _strokes(line: Line) -> list[tuple[Point, Point]]:
    pairs = list(zip(line.points, line.points[1:], strict=False))
    return [part for pair in pairs for part in _dashes(*pair)] if line.dashed else pairs


def _dashes(start: Point, end: Point) -> list[tuple[Point, Point]]:
    (x0, y0), (x1, y1) = start, end
    length = max(1e-9, ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5)
    parts, at = [], 0.0
    while at < length:
        a, b = at / length, min(at + DASH[0], length) / length
        parts.append(
            (
                (x0 + a * (x1 - x0), y0 + a * (y1 - y0)),
                (x0 + b * (x1 - x0), y0 + b * (y1 - y0)),
            )
        )
        at += sum(DASH)
    return parts


def _at(point: Point, by: int) -> Point:
    return point[0] * by, point[1] * by


def _colour(ink: str, opacity: float) -> tuple[int, int, int, int]:
    code = INKS[ink][0].removeprefix("#")
    red, green, blue = (int(code[i : i + 2], 16) for i in (0, 2, 4))
    return red, green, blue, round(255 * opacity)


def drawable(text: str) -> str:
    """A text in letters that Pillow's own font has: an accent is left out, not drawn as a box."""
    parts = unicodedata.normalize("NFKD", text.translate(_DASHES))
    return "".join(part for part in parts if not unicodedata.combining(part))


_DASHES = str.maketrans("−–", "--")


@lru_cache(maxsize=32)
def _font(size: int) -> Any:
    return ImageFont.load_default(size)
