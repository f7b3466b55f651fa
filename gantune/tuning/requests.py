"""What other terminals ask of a run that goes on: files in its ``control`` folder."""

import re
from collections.abc import Iterable

from gantune.paths import RunPaths

MAX_DIGITS = 6

_COUNT = re.compile(rb"[1-9][0-9]{0,%d}" % (MAX_DIGITS - 1))


class Requests:
    """Reads them, whenever somebody asks."""

    def __init__(self, paths: RunPaths) -> None:
        """Looks in a run's folder."""
        self._paths = paths

    @property
    def end_all(self) -> bool:
        """Whether the whole run is to end."""
        return "all" in self._stops()

    def ends(self, number: int) -> bool:
        """Whether a trial is to end."""
        stops = self._stops()
        return "all" in stops or str(number) in stops

    def among(self, numbers: Iterable[int]) -> list[int]:
        """Which of these trials are to end by themselves, not with the whole run."""
        stops = self._stops()
        return [number for number in numbers if str(number) in stops]

    @property
    def concurrency(self) -> int | None:
        """Trials at once, as asked for from another terminal; None: as many as fit."""
        if not self._paths.concurrency.is_file():
            return None  # one would wait for ever for what comes through a pipe
        try:
            with open(self._paths.concurrency, "rb") as file:
                text = file.read(MAX_DIGITS + 1)
        except OSError:
            return None
        return int(text) if _COUNT.fullmatch(text) else None

    def _stops(self) -> set[str]:
        if not self._paths.control.is_dir():
            return set()
        return {path.name.removeprefix("stop-") for path in self._paths.control.glob("stop-*")}
