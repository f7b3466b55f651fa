"""Shows a running study: a live table on a terminal, plain lines in a log."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from gantune.goals import Ranking, Standing
from gantune.study import Study
from gantune.terminal import Terminal
from gantune.trial import Record, TrialSpec, costly_evaluation

LINE_EVERY_S = 15.0

ENOUGH_S = 2.0
"""Seconds of training and evaluation after which their shares say something."""


@dataclass
class Board:
    """The state of a study as people want to see it; hears what happens."""

    study: Study
    tell: Callable[[str], None]
    started: float = field(default_factory=time.monotonic)
    running: dict[int, TrialSpec] = field(default_factory=dict)
    waiting: set[int] = field(default_factory=set)
    latest: dict[int, Record] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    best: tuple[Standing, float, int] | None = None
    confirming: int = 0
    ended_epochs: int = 0
    share_before: float = 0.0
    train_s: float = 0.0
    eval_s: float = 0.0
    has_told: bool = False

    @cached_property
    def ranking(self) -> Ranking:
        """What makes an epoch the best."""
        return self.study.ranking

    @property
    def total(self) -> int:
        """Trials in all, with those that confirm the best, at most."""
        confirm = self.study.confirm
        return self.study.budget.trials + ((confirm.top + 1) * confirm.seeds if confirm else 0)

    def began(self, spec: TrialSpec) -> None:
        """Takes in a trial's beginning."""
        self.running[spec.number] = spec
        self.waiting.discard(spec.number)

    def recorded(self, number: int, records: Sequence[Record], steps: Sequence[Record]) -> None:
        """Takes in a trial's new records."""
        if not records:
            return
        self.latest[number] = records[-1]
        best = self.ranking.best(records)
        if best and self.running[number].confirms is None:
            self._note_best(self.ranking.standing(best), best["objective"], number)
        self._note_cost(records)

    def _note_cost(self, records: Sequence[Record]) -> None:
        self.train_s += sum(record.get("train_s") or 0.0 for record in records)
        self.eval_s += sum(record.get("eval_s") or 0.0 for record in records)
        if self.has_told or self.train_s + self.eval_s < ENOUGH_S:
            return
        notice = costly_evaluation(self.train_s, self.eval_s, self.study.trial)
        if notice:
            self.has_told = True
            self.tell(notice)

    def resumed(self, rows: Sequence[dict[str, Any]]) -> None:
        """Takes in the trials that had ended before this session."""
        for row in rows:
            if row["objective"] is not None and row["confirms"] is None:
                standing = self.ranking.of_trial(row)
                self._note_best(standing, row["objective"], row["number"])
            self.ended(row["number"], row)
        self.share_before = self.share_done

    def _note_best(self, standing: Standing, value: float, number: int) -> None:
        if self.best is None or standing < self.best[0]:
            self.best = (standing, value, number)

    def paused(self, number: int, row: dict[str, Any]) -> None:
        """Takes in that a trial waits at a rung."""
        self.running.pop(number, None)
        self.waiting.add(number)
        if row["objective"] is not None:
            self._note_best(self.ranking.of_trial(row), row["objective"], number)

    def ended(self, number: int, row: dict[str, Any]) -> None:
        """Takes in a trial's end."""
        self.running.pop(number, None)
        self.waiting.discard(number)
        self.latest.pop(number, None)
        self.counts[row["status"]] += 1
        self.confirming += row["confirms"] is not None
        self.ended_epochs += row["epochs"] or 0

    @property
    def total_ended(self) -> int:
        """Trials that have ended."""
        return sum(self.counts.values())

    @property
    def share_done(self) -> float:
        """Share of the work that is done, taking running trials for average ones."""
        typical = (
            self.ended_epochs / self.total_ended
            if self.total_ended
            else self.study.trial.train.epochs
        )
        partial = sum(
            min(int(r["epoch"]) / max(typical, 1), 0.95) for r in list(self.latest.values())
        )
        return min((self.total_ended + partial) / self.total, 1.0)

    @property
    def seconds_left(self) -> float | None:
        """An estimate; None before there is anything to go by."""
        elapsed = time.monotonic() - self.started
        done = self.share_done - self.share_before
        return elapsed * (1 - self.share_done) / done if done > 0.02 else None

    def headline(self) -> str:
        """One line: how far, what has become of the trials, the best so far."""
        parts = [f"{self.total_ended - self.confirming} of {self.study.budget.trials} trials"]
        parts += [f"{self.confirming} to confirm the best"] if self.confirming else []
        parts += [f"{count} {status}" for status, count in sorted(self.counts.items())]
        parts += [f"{len(self.waiting)} waiting at a rung"] if self.waiting else []
        if self.best:
            metric = self.study.objective.metric
            parts.append(f"best {metric} {self.best[1]:.4g} (trial {self.best[2]})")
        return ", ".join(parts)


class LiveProgress:
    """A table that redraws itself while the study runs."""

    def __init__(self, study: Study, console: Terminal) -> None:
        self._board = Board(study, self._tell)
        self._live = Live(get_renderable=self._draw, console=console, refresh_per_second=4)

    def __enter__(self) -> Board:
        self._live.start()
        return self._board

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def _tell(self, notice: str) -> None:
        # Through the live display's own console, which puts it above the table.
        self._live.console.print(f"note: {notice}")

    def _draw(self) -> RenderableType:
        board = self._board
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for name in ("trial", "epoch", board.study.objective.metric, "best", "d_acc"):
            table.add_column(name, justify="right")
        # Ray's driver thread changes these while the screen is drawn.
        for number, spec in sorted(list(board.running.items())):
            record = board.latest.get(number, {})
            table.add_row(
                str(number) if spec.confirms is None else f"{number} (as {spec.confirms})",
                f"{record.get('epoch', 0)}/{spec.epochs}",
                _number(record.get("objective")),
                _number(record.get("best_objective")),
                _number(record.get("d_acc")),
            )
        bar = Table.grid(padding=(0, 2, 0, 0))
        share = board.share_done
        bar.add_row(
            ProgressBar(total=1.0, completed=share, width=40),
            f"{share:4.0%}",
            f"{_duration(time.monotonic() - board.started)} passed, "
            f"about {_duration(board.seconds_left)} left",
        )
        return Group(board.headline(), bar, table)


class LineProgress:
    """A line for each trial that ends, and one from time to time."""

    def __init__(self, study: Study, console: Terminal) -> None:
        self._board, self._console = Board(study, self._tell), console
        self._shown = time.monotonic()

    def __enter__(self) -> "LineProgress":
        return self

    def __exit__(self, *_: object) -> None: ...

    def resumed(self, rows: Sequence[dict[str, Any]]) -> None:
        self._board.resumed(rows)

    def began(self, spec: TrialSpec) -> None:
        self._board.began(spec)

    def recorded(self, number: int, records: Sequence[Record], steps: Sequence[Record]) -> None:
        self._board.recorded(number, records, steps)
        if time.monotonic() - self._shown > LINE_EVERY_S:
            latest = self._board.latest
            epochs = ", ".join(f"{n} at {latest[n]['epoch']}" for n in self._running(latest))
            self._print(f"{self._board.headline()}; running: trial {epochs}")

    def _running(self, latest: Mapping[int, Record]) -> list[int]:
        return [number for number in self._board.running if number in latest]

    def paused(self, number: int, row: dict[str, Any]) -> None:
        self._board.paused(number, row)

    def ended(self, number: int, row: dict[str, Any]) -> None:
        self._board.ended(number, row)
        self._print(end_line(row, self._board.study.objective.metric))

    def _tell(self, notice: str) -> None:
        self._print(f"note: {notice}")

    def _print(self, line: str) -> None:
        self._shown = time.monotonic()
        elapsed = _duration(self._shown - self._board.started)
        self._console.print(f"[{elapsed}] {line}", soft_wrap=True)


def end_line(row: dict[str, Any], metric: str) -> str:
    """A trial's end row as a line."""
    by = f" by {row['stopped_by']}" if row["stopped_by"] else ""
    why = f": {row['error']}" if row["error"] else ""
    repeats = "" if row["confirms"] is None else f" (as {row['confirms']})"
    return (
        f"trial {row['number']}{repeats} {row['status']}{by} after {row['epochs']} epochs, "
        f"best {metric} {_number(row['objective'])}{why}"
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    whole = round(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{whole % 60:02d}s" if minutes else f"{whole}s"
