"""What figures are made of: marks in a plane, whoever draws them."""

from dataclasses import dataclass
from typing import Literal

Point = tuple[float, float]
Anchor = Literal["start", "middle", "end"]
Shape = Literal["circle", "square", "diamond", "triangle", "cross", "ring"]

# Okabe and Ito's colours, which people with any kind of colour vision tell apart; yellow is
# darkened to be seen on white. Light, then dark.
INKS: dict[str, tuple[str, str]] = {
    "text": ("#1f2933", "#e6e9ee"),
    "muted": ("#5b6672", "#a3adba"),
    "faint": ("#d5dae1", "#3a424d"),
    "paper": ("#ffffff", "#171b21"),
    "blue": ("#0067a8", "#5fb4f0"),
    "sky": ("#4aa3d9", "#8fd0ff"),
    "green": ("#00805c", "#3fc79a"),
    "orange": ("#d98a00", "#f0ae3c"),
    "vermilion": ("#c8500a", "#ff8a52"),
    "purple": ("#b3578f", "#e39ac6"),
    "yellow": ("#9b8700", "#e3d34d"),
    "black": ("#222222", "#f2f2f2"),
    "grey": ("#808a96", "#8a94a1"),
}


@dataclass(frozen=True)
class Line:
    """A line through points."""

    points: tuple[Point, ...]
    ink: str
    width: float = 1.5
    opacity: float = 1.0
    dashed: bool = False
    title: str = ""


@dataclass(frozen=True)
class Dot:
    """A marker; its shape says what its colour says."""

    x: float
    y: float
    ink: str
    radius: float = 3.5
    shape: Shape = "circle"
    opacity: float = 1.0
    title: str = ""


@dataclass(frozen=True)
class Box:
    """A filled rectangle; (x, y) is its upper left corner."""

    x: float
    y: float
    width: float
    height: float
    ink: str
    opacity: float = 1.0
    title: str = ""


@dataclass(frozen=True)
class Label:
    """Text on a baseline."""

    x: float
    y: float
    text: str
    size: float = 11
    anchor: Anchor = "start"
    ink: str = "muted"
    bold: bool = False


@dataclass(frozen=True)
class Raster:
    """A picture in a rectangle."""

    x: float
    y: float
    width: float
    height: float
    png: bytes


Mark = Line | Dot | Box | Label | Raster


@dataclass(frozen=True)
class Drawing:
    """A figure.

    Attributes:
        width: In pixels at its natural size.
        height: The same.
        marks: Drawn in this order.
        alt: What it shows, for those who do not see it.
    """

    width: float
    height: float
    marks: tuple[Mark, ...]
    alt: str
