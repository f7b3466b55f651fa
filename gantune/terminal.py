"""What people read on a terminal: runs, studies and errors quote strangers."""

import re
import warnings
from typing import Any

import typer
from rich.console import Console  # noqa: TID251
from rich.text import Text

from gantune.visible import visible

_format = warnings.formatwarning
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Terminal(Console):
    """A console on which every string, also one in a table, is text: no markup, no escapes."""

    def render_str(
        self, text: str, *, style: Any = "", justify: Any = None, overflow: Any = None, **_: Any
    ) -> Text:
        """Makes text of a string, as Rich asks for each that it is given."""
        return Text(visible(text), style, justify=justify, overflow=overflow)


def say(text: str, *, err: bool = False) -> None:
    """Prints a line, on stderr if asked to."""
    typer.echo(visible(text), err=err)  # noqa: TID251


def visible_warning(*warning: Any, **line: Any) -> str:
    """Formats a warning, which can quote a file of a run: for ``warnings.formatwarning``."""
    return visible(_format(*warning, **line))


def say_log(text: str) -> None:
    """Prints a part of another process's log, without its colours."""
    typer.echo(visible(_COLOURS.sub("", text)), nl=False)  # noqa: TID251
