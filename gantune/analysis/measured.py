"""What a run's numbers were measured in: a distance without it says nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gantune.objectives import IN_FEATURES, OF_CLASSES
from gantune.study import Study

POINTS = "coordinates"

_DEFAULTS = {POINTS: 2500}
_DEFAULT = 1000


@dataclass(frozen=True)
class MeasuredIn:
    """The features, and the numbers of samples, behind a run's metrics.

    Attributes:
        name: ``classifier``, ``random_conv``, ``pixels``, ``inception``; points: ``coordinates``.
        hash: Names the exact features: distances compare only where it is equal.
        accuracy: The classifier's on images that were kept from it; None without one.
        real: Real samples behind the statistics.
        samples: Generated samples of an evaluation, as in the base trial.
    """

    name: str
    hash: str
    accuracy: float | None
    real: int
    samples: int

    @property
    def features(self) -> str:
        """The features in words."""
        if self.name == POINTS:
            return f"coordinates {self.hash}"
        known = "" if self.accuracy is None else f" (held-out accuracy {self.accuracy:.3f})"
        return f"{self.name} features {self.hash}{known}"

    @property
    def short(self) -> str:
        """Features and samples for a table."""
        return f"{self.name} {self.hash[:8]}, {self.samples:,}"

    def describe(self, metric: str) -> str:
        """What a value of a metric is worth, in a line."""
        if metric in IN_FEATURES or (metric in OF_CLASSES and self.name == "classifier"):
            return f"{metric} in {self.features}, {self.samples:,} samples"
        return f"{metric} of {self.samples:,} samples"


def from_features(features: Mapping[str, Any], samples: int | None) -> MeasuredIn:
    """From what files hold.

    Args:
        features: Name, hash, accuracy and number of real samples.
        samples: Generated ones; None: as many as by default.
    """
    return MeasuredIn(
        name=features["name"],
        hash=features["hash"],
        accuracy=features["accuracy"],
        real=features["samples"],
        samples=samples or _DEFAULTS.get(features["name"], _DEFAULT),
    )


def measured_in(info: Mapping[str, Any], study: Study) -> MeasuredIn | None:
    """What a run was measured in; None where it was killed before that was known.

    Args:
        info: Its ``run.json``.
        study: Its study, for runs of versions that did not note the number of samples.
    """
    # A session in other features than those before it does not begin.
    noted = [session for session in info.get("sessions", []) if session.get("features")]
    if not noted:
        return None
    samples = noted[-1].get("samples") or study.trial.eval.samples
    return from_features(noted[-1]["features"], samples)
