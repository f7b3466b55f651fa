"""What has to be known of a trial before its records can be judged."""

from dataclasses import dataclass

from gantune.config import TrialConfig
from gantune.sources import SourceInfo, source_info

IMAGE_SAMPLES, POINT_SAMPLES = 1000, 2500
"""Generated samples behind the metrics of an epoch, unless the trial says otherwise."""

NO_THRESHOLD = frozenset({"wasserstein", "relativistic"})
"""Losses without a logit at which a sample counts as real: there accuracy says little, AUC more."""


@dataclass(frozen=True)
class Context:
    """A trial, as far as its verdict depends on it.

    A trial that was stopped needs no mark: it has fewer records than planned epochs, and only a
    trial of full length can be undertrained.

    Attributes:
        loss: The loss's name.
        epochs: The planned length.
        modes: Modes or classes of the data; None where they are not known.
        samples: Generated samples behind an epoch's metrics.
        training_size: Training samples.
        has_threshold: Whether the discriminator's accuracy has a threshold of its own.
    """

    loss: str
    epochs: int
    modes: int | None
    samples: int
    training_size: int
    has_threshold: bool = True


def context_of(config: TrialConfig, known: SourceInfo | None = None) -> Context:
    """The context of a trial.

    Args:
        config: The trial's.
        known: Of its data, where they need not be on this machine; None: they are looked at.

    Raises:
        DataError: Its data cannot be used as configured.
    """
    info = known or source_info(config.data)
    default = IMAGE_SAMPLES if len(info.shape) == 3 else POINT_SAMPLES
    return Context(
        loss=config.loss.name,
        epochs=config.train.epochs,
        modes=info.classes,
        samples=config.eval.samples or default,
        training_size=info.training_size(config.data.holdout),
        has_threshold=config.loss.name not in NO_THRESHOLD,
    )
