"""Everything that hears what happens in a run: what shows it, and what writes it elsewhere."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from gantune.disk import EndRow, thin, thin_waiting, worth_keeping
from gantune.errors import UsageError
from gantune.paths import RunPaths
from gantune.pictures import pngs_to_animation, read_png
from gantune.storage import write_atomically
from gantune.study import Study
from gantune.trial import Record, TrialSpec
from gantune.tuning.lifecycle import MakeProgress
from gantune.tuning.observer import Observer


class Animations:
    """Makes an animation of a trial's pictures when the trial has ended, however it did."""

    def __init__(self, paths: RunPaths) -> None:
        self._paths = paths

    def resumed(self, rows: Sequence[dict[str, Any]]) -> None:
        """Makes up for those that a crash has prevented."""
        for row in rows:
            number = row["number"]
            # Without weights it was thinned: one picture is left, and no animation, on purpose.
            if self._paths.best(number).is_dir() and not self._paths.animation(number).exists():
                self._make(number)

    def began(self, spec: TrialSpec) -> None: ...

    def recorded(self, number: int, records: Sequence[Record], steps: Sequence[Record]) -> None: ...

    def paused(self, number: int, row: dict[str, Any]) -> None: ...

    def ended(self, number: int, row: dict[str, Any]) -> None:
        """Makes the trial's animation, if it left pictures."""
        self._make(number)

    def _make(self, number: int) -> None:
        pictures = sorted(self._paths.samples(number).glob("epoch-*.png"))
        # A damaged picture costs a frame, not the run.
        animation = pngs_to_animation(read_png(path) for path in pictures)
        if animation is not None:
            write_atomically(self._paths.animation(number), animation)


class Keeper:
    """Keeps the disk small: removes what ended trials that are not among the best have left."""

    def __init__(self, paths: RunPaths, study: Study) -> None:
        self._paths, self._study = paths, study
        self._best: list[EndRow] = []
        self._waiting: dict[int, EndRow] = {}

    def resumed(self, rows: Sequence[dict[str, Any]]) -> None:
        """Makes up for what a crash has prevented."""
        self._thin(rows)

    def began(self, spec: TrialSpec) -> None:
        """From now on the trial's worker writes into its folder."""
        self._waiting.pop(spec.number, None)

    def recorded(self, number: int, records: Sequence[Record], steps: Sequence[Record]) -> None: ...

    def paused(self, number: int, row: dict[str, Any]) -> None:
        """Makes room where many wait at a rung."""
        self._waiting[number] = row
        thin_waiting(self._paths, list(self._waiting.values()), self._best, self._study)

    def ended(self, number: int, row: dict[str, Any]) -> None:
        """Only the best of those before can have to make room."""
        self._waiting.pop(number, None)
        self._thin([*self._best, row])

    def _thin(self, rows: Sequence[EndRow]) -> None:
        keep = self._study.checkpoint
        thin(self._paths, rows, self._study, keep)
        if keep.keep_top is not None:
            self._best = worth_keeping(rows, self._study, keep.keep_top)


class All:
    """Passes everything on to several observers, in order."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    def resumed(self, rows: Sequence[dict[str, Any]]) -> None:
        """See :class:`Observer`."""
        for observer in self._observers:
            observer.resumed(rows)

    def began(self, spec: TrialSpec) -> None:
        """See :class:`Observer`."""
        for observer in self._observers:
            observer.began(spec)

    def recorded(self, number: int, records: Sequence[Record], steps: Sequence[Record]) -> None:
        """See :class:`Observer`."""
        for observer in self._observers:
            observer.recorded(number, records, steps)

    def paused(self, number: int, row: dict[str, Any]) -> None:
        """See :class:`Observer`."""
        for observer in self._observers:
            observer.paused(number, row)

    def ended(self, number: int, row: dict[str, Any]) -> None:
        """See :class:`Observer`."""
        for observer in self._observers:
            observer.ended(number, row)


def check_loggers(study: Study) -> None:
    """Raises UsageError where a logger that the study names is not installed."""
    for name in study.loggers:
        if find_spec(name) is None:
            raise UsageError(
                f"loggers: {name} is not installed; install it with: pip install 'gantune[{name}]'"
            )


@contextmanager
def observed(
    paths: RunPaths, study: Study, progress: MakeProgress, *others: Observer
) -> Iterator[Observer]:
    """Everything that a session of a run is to be heard by."""
    with progress(study) as shown:
        observers: list[Observer] = [shown, *others]
        if study.samples.every:
            observers.append(Animations(paths))
        if "tensorboard" in study.loggers:
            from gantune.tuning.tensorboard import TensorBoard  # an extra: maybe not installed

            observers.append(TensorBoard(paths))
        # Last: the others may still want what it removes.
        observers.append(Keeper(paths, study))
        yield All(observers)
