"""What scoring 1,000 samples costs, metric by metric, on one CPU thread.

    python benchmarks/metrics_cost.py --out benchmarks/results/metrics_cost.md

The real side of each metric is computed once and not counted; the last row is that once. Two cases:
the digits (1,797 images, features of the classifier that is trained on them), and 10,000 random
samples of which the distances between pairs use 1,000.

The first table is what a trial pays: an evaluation of images with every default metric, through the
Evaluator, features included. The images of MNIST are where $GANTUNE_MNIST10K says; without it its
column is left out.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))

from machine import describe

from gantune.config import TrialConfig
from gantune.engine.data import load_dataset
from gantune.engine.materials import make_materials
from gantune.metrics import classifier as classifiers
from gantune.metrics.discriminator import overfitting_gap
from gantune.metrics.distances import (
    classifier_score,
    features_to_moments,
    kernel_between,
    kernel_within,
    matrix_root,
    moments_to_frechet,
)
from gantune.metrics.evaluator import Evaluator
from gantune.metrics.manifold import compare_manifolds, compare_splits, to_manifold, to_splits
from gantune.metrics.manifold import vendi_score as vendi
from gantune.metrics.modes import counts_to_statistics, mean_pair_distance
from gantune.metrics.pixels import to_images
from gantune.parts.data import Digits, Idx

SAMPLES, CLASSES = 1000, 10
GROUPS = ("frechet_distance", "kernel_distance", "classifier_score", "manifold", "vendi", "modes")
CPU = torch.device("cpu")


class Case(NamedTuple):
    """Features in one space.

    Attributes:
        real: (n, d) behind means and covariances.
        pairs: (n', d) of them, behind distances between pairs.
        holdout: (h, d).
        fake: (1000, d).
    """

    real: Tensor
    pairs: Tensor
    holdout: Tensor
    fake: Tensor


Metrics = dict[str, Callable[[], object]]


def digits_case() -> Case:
    """Features of the digits; noisy digits stand for generated ones."""
    found = make_materials(TrialConfig()).reference.classifier
    assert found is not None
    layers = classifiers.to_layers(found, CPU)
    images = torch.from_numpy(load_dataset(Digits()).train)
    rng = torch.Generator().manual_seed(0)
    rows = torch.randperm(len(images), generator=rng)
    noisy = images[rows[:SAMPLES]]
    noisy = noisy + 0.3 * torch.randn(noisy.shape, generator=rng)
    features = classifiers.to_features(layers, images)
    split = int(0.8 * len(images))
    train, holdout = features[rows[:split]], features[rows[split:]]
    return Case(train, train, holdout, classifiers.to_features(layers, noisy))


def random_case() -> Case:
    """10,000 real samples, 64 features; distances between pairs use 1,000 of them."""
    rng = torch.Generator().manual_seed(0)
    real, holdout, fake = (torch.randn(n, 64, generator=rng) for n in (10_000, 1000, SAMPLES))
    return Case(real, real[:1000], holdout, fake)


def metrics_of(case: Case) -> Metrics:
    """Each metric on the case's generated samples, its real side ready."""
    fake = case.fake
    moments = features_to_moments(case.real)
    root = matrix_root(moments.covariance)
    within = kernel_within(case.pairs)
    manifold = to_manifold(case.pairs)
    splits = to_splits(case.pairs, case.holdout)
    spread = mean_pair_distance(case.pairs)
    logits = fake[:, :CLASSES].contiguous()
    even = torch.full((CLASSES,), 1 / CLASSES, dtype=torch.float64)
    return {
        "frechet_distance": lambda: moments_to_frechet(moments, root, features_to_moments(fake)),
        "kernel_distance": lambda: (
            within + kernel_within(fake) - 2 * kernel_between(case.pairs, fake)
        ),
        "precision, recall, density, coverage": lambda: compare_manifolds(manifold, fake),
        "vendi": lambda: vendi(fake),
        "nearest_neighbor_ratio": lambda: compare_splits(splits, fake),
        "pair_distance_ratio": lambda: mean_pair_distance(fake) / spread,
        "classifier_score": lambda: classifier_score(logits),
        "modes": lambda: counts_to_statistics(
            torch.bincount(logits.argmax(1), minlength=CLASSES), even
        ),
        "overfitting_gap": lambda: overfitting_gap(logits[:, 0], logits[:, 1], logits[:, 2]),
    }


def evaluation_of(config: TrialConfig, repeats: int) -> dict[str, float]:
    """Milliseconds of scoring 1,000 noisy images as a trial does, and of the parts of it."""
    made = make_materials(config)
    rng = torch.Generator().manual_seed(0)
    real = to_images(torch.from_numpy(made.dataset.train[:SAMPLES]))
    fake = (real + 0.3 * torch.randn(real.shape, generator=rng)).clamp(-1, 1)
    evaluator = Evaluator(made.reference, CPU)
    features = milliseconds(lambda: evaluator.score(fake, ()), repeats)
    times = {"**an evaluation**": milliseconds(lambda: evaluator.score(fake), repeats)}
    times["features"] = features
    for group in GROUPS:
        whole = milliseconds(lambda group=group: evaluator.score(fake, (group,)), repeats)
        times[group] = max(whole - features, 0.0)
    return times


def milliseconds(call: Callable[[], object], repeats: int) -> float:
    """Median processor time of repeats after one that warms up: what others run is not in it."""
    times = []
    for _ in range(repeats + 1):
        began = time.process_time()
        call()
        times.append(time.process_time() - began)
    return 1000 * statistics.median(times[1:])


def measure(case: Case, repeats: int) -> dict[str, float]:
    """Milliseconds of each metric, of all together, and of the real side."""
    metrics = metrics_of(case)
    times = {name: milliseconds(call, repeats) for name, call in metrics.items()}
    times["**all**"] = milliseconds(lambda: [call() for call in metrics.values()], repeats)
    times["the real side, once"] = milliseconds(lambda: metrics_of(case), max(repeats // 4, 1))
    return times


def rows_of(columns: dict[str, dict[str, float]], corner: str, heads: list[str]) -> list[str]:
    """A Markdown table of columns of times."""
    lines = [f"| {corner} | {' | '.join(heads)} |", f"|---|{'---|' * len(heads)}"]
    for name in next(iter(columns.values())):
        cells = " | ".join(f"{times[name]:.1f}" for times in columns.values())
        lines.append(f"| {name} | {cells} |")
    return lines


def main() -> None:
    """Prints the table and writes it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=41)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cases = {"digits": digits_case(), "10,000 real": random_case()}
    columns = {name: measure(case, options.repeats) for name, case in cases.items()}
    heads = [f"{name} ({len(case.pairs):,} in pairs), ms" for name, case in cases.items()]
    sets = {"digits": TrialConfig()}
    if root := os.environ.get("GANTUNE_MNIST10K"):
        sets["mnist10k (28x28)"] = TrialConfig(data=Idx(root=root))
    wholes = {name: evaluation_of(config, options.repeats) for name, config in sets.items()}
    lines = [
        "# What scoring costs",
        "",
        f"`python benchmarks/metrics_cost.py`: {SAMPLES:,} samples, 64 features, one CPU thread, "
        f"median of {options.repeats}, processor time. {describe()}.",
        "",
        "An evaluation by a trial, with every metric that its data have by default:",
        "",
        *rows_of(wholes, "part", [f"{name}, ms" for name in wholes]),
        "",
        "The functions alone in float64, those of held-out data and of no labels too:",
        "",
        *rows_of(columns, "metric", heads),
    ]
    table = "\n".join(lines) + "\n"
    print(table)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(table)


if __name__ == "__main__":
    main()
