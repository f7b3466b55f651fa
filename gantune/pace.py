"""How long a trial is and where its rungs stand: in epochs, images or seconds."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from gantune.config import TrialConfig, rounds_per_epoch
from gantune.strategy import Halving
from gantune.study import Study


class Pace(NamedTuple):
    """The scheduler's levels on one trial's way.

    Attributes:
        epochs: The trial's full length.
        at_epoch: The epoch at which each level is reached; empty where levels are seconds.
        at_second: Levels in seconds of the trial's own time.
        longest: Seconds after which it has run to its end; None: its epochs alone count.
        scale: Epochs of the base trial that are as much work as one of this trial.
    """

    epochs: int
    at_epoch: Mapping[float, int] = {}
    at_second: tuple[float, ...] = ()
    longest: float | None = None
    scale: float = 1.0

    def reached(self, record: Mapping[str, Any], before: Mapping[str, Any] | None) -> list[float]:
        """The levels that a record of the ``epochs`` table reaches, after the one before it."""
        if not self.at_second:
            return [level for level, epoch in self.at_epoch.items() if epoch == record["epoch"]]
        past = before["wall_s"] if before else 0.0
        return [level for level in self.at_second if past < level <= record["wall_s"]]

    def position(self, record: Mapping[str, Any]) -> int:
        """Where a record is on a scale on which trials compare: epochs of the base, or seconds."""
        return int(record["wall_s"] if self.at_second else round(record["epoch"] * self.scale))

    def is_over(self, record: Mapping[str, Any]) -> bool:
        """Whether a record is the trial's last."""
        is_late = self.longest is not None and record["wall_s"] >= self.longest
        return bool(is_late or record["epoch"] >= self.epochs)


def pace_of(study: Study, config: TrialConfig) -> Pace:
    """The pace of a trial with a configuration.

    Raises:
        DataError: The size of the data is needed and not known.
    """
    scheduler, epochs = study.scheduler, config.train.epochs
    if not isinstance(scheduler, Halving):
        return Pace(epochs)
    if scheduler.unit == "seconds":
        return Pace(epochs, at_second=study.rungs, longest=scheduler.max_seconds)
    factor = 1.0
    if scheduler.unit == "images":
        factor = images_per_epoch(study.trial) / images_per_epoch(config)
    at_epoch = {level: _at_least(level * factor) for level in study.rungs}
    return Pace(epochs, at_epoch, scale=1 / factor)


def equal_length(study: Study, config: TrialConfig) -> int | None:
    """Epochs in which a trial sees as many images as the base trial; None where it need not."""
    scheduler = study.scheduler
    if not isinstance(scheduler, Halving) or scheduler.unit != "images":
        return None
    total = study.trial.train.epochs * images_per_epoch(study.trial)
    return _at_least(total / images_per_epoch(config))


def images_per_epoch(config: TrialConfig) -> int:
    """Real images that D sees in an epoch when it is updated as often as configured."""
    return rounds_per_epoch(config) * config.train.batch_size * config.train.d_steps


def _at_least(epochs: float) -> int:
    # 3.0000000001 is a quotient's rounding, not a fourth epoch.
    return max(1, -int(-(epochs - 1e-9) // 1))
