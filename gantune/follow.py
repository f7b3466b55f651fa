"""Shows a run that another process drives, again as it changes, until it has ended."""

import io
import time
from collections.abc import Iterator
from pathlib import Path

from rich.live import Live
from rich.text import Text

from gantune.analysis.run import load
from gantune.display import show_run
from gantune.errors import CheckpointError
from gantune.lock import is_held
from gantune.paths import RunPaths
from gantune.records import read_table
from gantune.terminal import Terminal
from gantune.tuning.progress import end_line

POLL_S = 0.5


def follow(root: Path, console: Terminal) -> None:
    """Shows a run until nobody drives it: a live table on a terminal, else lines for what is new.

    Args:
        root: The run's directory.
        console: Where to.
    """
    paths = RunPaths(root)
    if not is_held(paths.lock):
        run = load(root)
        show_run(run, console)
        console.print(f"nobody drives {root} now ({run.status}): there is nothing to follow")
        return
    if console.is_terminal:
        _follow_on_terminal(paths)
    else:
        _follow_in_lines(paths, console)
    console.print(f"\n{paths.root.name} has ended: {load(root).status}")


def _follow_on_terminal(paths: RunPaths) -> None:
    # Without soft wrapping: Live has to know how many lines it has drawn.
    console = Terminal()
    with Live(console=console, auto_refresh=False) as live:
        for _ in _changes(paths):
            view = _view(paths.root, console.width)
            if view is not None:
                live.update(view, refresh=True)


def _view(root: Path, width: int) -> Text | None:
    """The run's table; None where its best trial has changed while it was read."""
    drawn = Terminal(file=io.StringIO(), force_terminal=True, width=width, soft_wrap=True)
    with drawn.capture() as text:
        try:
            show_run(load(root), drawn)
        except CheckpointError:
            return None
    return Text.from_ansi(text.get(), no_wrap=True, overflow="ellipsis")


def _follow_in_lines(paths: RunPaths, console: Terminal) -> None:
    metric = load(paths.root).study.objective.metric
    shown: set[int] = set()
    for _ in _changes(paths):
        for row in read_table(paths.table("trials")).to_pylist():
            if row["status"] != "running" and row["number"] not in shown:
                shown.add(row["number"])
                console.print(end_line(row, metric))
    console.print("")
    show_run(load(paths.root), console)


def _changes(paths: RunPaths) -> Iterator[None]:
    """Comes back at once, after each change of the run, and when it has ended."""
    seen: set[tuple[str, int, int]] | None = None
    while True:
        # Asked before the files are looked at: what a run wrote before its end is not missed.
        is_driven = is_held(paths.lock)
        state = _state(paths)
        if state != seen or not is_driven:
            seen = state
            yield
        if not is_driven:
            return
        time.sleep(POLL_S)


def _state(paths: RunPaths) -> set[tuple[str, int, int]]:
    """Changes whenever the tables do."""
    found = set()
    for table in ("epochs", "trials"):
        for path in paths.table(table).glob("*.arrow"):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue  # compacted meanwhile
            found.add((str(path), status.st_size, status.st_mtime_ns))
    return found
