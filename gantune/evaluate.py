"""Scores a checkpoint again: more samples, fresh latents, several times, with an interval."""

from typing import Any, NamedTuple

import numpy as np
import torch

from gantune.analysis.best import BestTrial
from gantune.engine.draws import draw_latents, keyed_generator
from gantune.engine.engine import choose_device
from gantune.engine.materials import make_materials
from gantune.errors import UsageError
from gantune.generator import BATCH, Generator
from gantune.metrics.evaluator import Evaluator, Scores

RESAMPLES = 10_000
LEVEL = 0.95


class Estimate(NamedTuple):
    """A metric over repeats.

    Attributes:
        mean: Their mean.
        low: Lower end of its 95 % bootstrap interval.
        high: Upper end.
        values: The repeats.
    """

    mean: float
    low: float
    high: float
    values: list[float]


class Evaluation(NamedTuple):
    """What a trial's checkpoint scored.

    Attributes:
        trial: Its number.
        epoch: The checkpoint's epoch.
        samples: Samples in each repeat.
        repeats: Number of repeats, each with latents of its own.
        features: What images were measured in.
        metrics: By column name, those that are finite in every repeat.
    """

    trial: int
    epoch: int
    samples: int
    repeats: int
    features: dict[str, Any]
    metrics: dict[str, Estimate]

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        metrics = {name: estimate._asdict() for name, estimate in self.metrics.items()}
        return {**self._asdict(), "level": LEVEL, "metrics": metrics}


def evaluate(trial: BestTrial, samples: int = 10_000, repeats: int = 5) -> Evaluation:
    """Scores a trial's checkpoint on latents that it was not selected by.

    Args:
        trial: From :meth:`Run.best` or :meth:`Run.trial`.
        samples: In each repeat, 2 or more.
        repeats: 2 or more: the interval is of their mean and says how much latents matter.

    Raises:
        UsageError: A count is too small, or the generator is of an extension that is not loaded.
        CheckpointError: The checkpoint is damaged.
        DataError: The data cannot be read.
    """
    if samples < 2 or repeats < 2:
        raise UsageError(f"2 samples and 2 repeats at least, has {samples} and {repeats}")
    device = choose_device("auto", has_gpu=True)
    generator = trial.stored_generator().to(device)
    reference = make_materials(trial.config).reference
    evaluator = Evaluator(reference, device)
    scores = [_score(generator, evaluator, samples, repeat, device) for repeat in range(repeats)]
    return Evaluation(
        trial=trial.number,
        epoch=trial.epoch,
        samples=samples,
        repeats=repeats,
        features=reference.info._asdict(),
        metrics=scores_to_estimates(scores),
    )


@torch.no_grad()
def _score(
    generator: Generator, evaluator: Evaluator, samples: int, repeat: int, device: torch.device
) -> Scores:
    options = generator.config.generator
    # Drawn on the CPU: the same for every device, and no latents of the training's own scores.
    rng = keyed_generator(torch.device("cpu"), "evaluate", generator.config.seed, repeat)
    latents = draw_latents((samples, options.latent_dim), options.latent, rng).to(device)
    made = torch.cat([generator(batch) for batch in latents.split(BATCH)])
    if not bool(torch.isfinite(made).all()):
        raise UsageError("a generated sample is not finite: there is nothing to score")
    return evaluator.score(made)


def scores_to_estimates(scores: list[Scores]) -> dict[str, Estimate]:
    """Means over repeats with percentile bootstrap intervals, of the metrics that are numbers."""
    rng = np.random.default_rng(0)
    rows = rng.integers(len(scores), size=(RESAMPLES, len(scores)))
    tail = 100 * (1 - LEVEL) / 2
    estimates = {}
    for name in scores[0]:
        found = [score[name] for score in scores]
        if not all(isinstance(value, int | float) and np.isfinite(value) for value in found):
            continue
        values = np.asarray(found, dtype=np.float64)
        low, high = np.percentile(values[rows].mean(axis=1), [tail, 100 - tail])
        estimates[name] = Estimate(float(values.mean()), float(low), float(high), values.tolist())
    return estimates
