"""A hand-written Ray Tune search of an MLP GAN on scikit-learn's digits.

What a competent user writes today without gantune: a function trainable with ``tune.report``,
``OptunaSearch``, and Tune's defaults otherwise (a new actor for every trial). The reported seconds
run from the first statement of this file, before Ray and PyTorch are imported, until Ray has been
shut down.
"""

# ruff: noqa: E402
import time

STARTED = time.perf_counter()

import argparse
import json
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch
from scipy.linalg import sqrtm
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

LATENT_DIM = 64
BATCH_SIZE = 64
STEPS_PER_EPOCH = 125
CLASSIFIER_EPOCHS = 10
EVAL_SAMPLES = 1000
WORST_FID = 1e6

Moments = tuple[np.ndarray, np.ndarray]


def build_generator() -> nn.Sequential:
    """Returns the 64-128-256-64 generator."""
    return nn.Sequential(
        nn.Linear(LATENT_DIM, 128),
        nn.LeakyReLU(0.2),
        nn.Linear(128, 256),
        nn.LeakyReLU(0.2),
        nn.Linear(256, 64),
        nn.Tanh(),
    )


def build_discriminator() -> nn.Sequential:
    """Returns the 64-256-128-1 discriminator, which outputs logits."""
    return nn.Sequential(
        nn.Linear(64, 256),
        nn.LeakyReLU(0.2),
        nn.Linear(256, 128),
        nn.LeakyReLU(0.2),
        nn.Linear(128, 1),
    )


def train_features(images: torch.Tensor, labels: torch.Tensor) -> nn.Sequential:
    """Trains a 64-128-64-10 classifier and returns it without its last layer."""
    features = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU())
    classifier = nn.Sequential(features, nn.Linear(64, 10))
    optimizer = torch.optim.Adam(classifier.parameters(), lr=1e-3)
    criterion = nn.CrossEntropyLoss()
    loader = DataLoader(TensorDataset(images, labels), batch_size=BATCH_SIZE, shuffle=True)
    for _ in range(CLASSIFIER_EPOCHS):
        for batch, target in loader:
            optimizer.zero_grad()
            criterion(classifier(batch), target).backward()
            optimizer.step()
    return features.eval()


@torch.no_grad()
def moments(features: nn.Module, images: torch.Tensor) -> Moments:
    """Returns the mean and the covariance of the images' features."""
    values = features(images).double().numpy()
    return values.mean(axis=0), np.cov(values, rowvar=False)


def frechet_distance(real: Moments, fake: Moments, eps: float = 1e-6) -> float:
    """Returns the Fréchet distance of two Gaussians, or WORST_FID if it is not finite."""
    if not (np.isfinite(fake[0]).all() and np.isfinite(fake[1]).all()):
        return WORST_FID
    ridge = eps * np.eye(len(real[0]))
    root = sqrtm((real[1] + ridge) @ (fake[1] + ridge))
    difference = real[0] - fake[0]
    distance = difference @ difference + np.trace(real[1] + fake[1] - 2 * np.real(root))
    return float(distance) if np.isfinite(distance) else WORST_FID


def cycle(loader: DataLoader[Any]) -> Iterator[torch.Tensor]:
    """Yields the loader's images for ever, reshuffled on every pass."""
    while True:
        for (images,) in loader:
            yield images


def train_epoch(
    generator: nn.Module,
    discriminator: nn.Module,
    g_optimizer: torch.optim.Optimizer,
    d_optimizer: torch.optim.Optimizer,
    batches: Iterator[torch.Tensor],
) -> dict[str, float]:
    """Trains for one epoch and returns the mean losses."""
    criterion = nn.BCEWithLogitsLoss()
    ones, zeros = torch.ones(BATCH_SIZE, 1), torch.zeros(BATCH_SIZE, 1)
    d_total = g_total = 0.0
    for real in islice(batches, STEPS_PER_EPOCH):
        fake = generator(torch.randn(BATCH_SIZE, LATENT_DIM))

        d_optimizer.zero_grad()
        d_real = criterion(discriminator(real), ones)
        d_fake = criterion(discriminator(fake.detach()), zeros)
        d_loss = d_real + d_fake
        d_loss.backward()
        d_optimizer.step()

        g_optimizer.zero_grad()
        g_loss = criterion(discriminator(fake), ones)
        g_loss.backward()
        g_optimizer.step()

        d_total += d_loss.item()
        g_total += g_loss.item()
    return {"d_loss": d_total / STEPS_PER_EPOCH, "g_loss": g_total / STEPS_PER_EPOCH}


def train_gan(config: dict[str, Any]) -> None:
    """Trains one GAN and reports its Fréchet distance after every epoch."""
    torch.set_num_threads(1)
    torch.manual_seed(0)  # Every trial trains the same classifier, so distances are comparable.
    digits = load_digits()
    images = torch.tensor(digits.data / 8 - 1, dtype=torch.float32)
    features = train_features(images, torch.tensor(digits.target))
    real_moments = moments(features, images)

    generator, discriminator = build_generator(), build_discriminator()
    betas = (config["beta1"], 0.999)
    g_optimizer = torch.optim.Adam(generator.parameters(), lr=config["g_lr"], betas=betas)
    d_optimizer = torch.optim.Adam(discriminator.parameters(), lr=config["d_lr"], betas=betas)
    dataset = TensorDataset(images)
    batches = cycle(DataLoader(dataset, batch_size=BATCH_SIZE, shuffle=True, drop_last=True))

    for _ in range(config["epochs"]):
        losses = train_epoch(generator, discriminator, g_optimizer, d_optimizer, batches)
        with torch.no_grad():
            samples = generator(torch.randn(EVAL_SAMPLES, LATENT_DIM))
        tune.report({"fid": frechet_distance(real_moments, moments(features, samples)), **losses})


def search(trials: int, epochs: int, scheduler: str, storage: str) -> tune.ResultGrid:
    """Runs the study and returns its results."""
    space = {
        "g_lr": tune.loguniform(1e-5, 1e-2),
        "d_lr": tune.loguniform(1e-5, 1e-2),
        "beta1": tune.uniform(0.0, 0.9),
        "epochs": epochs,
    }
    asha = ASHAScheduler(max_t=epochs, grace_period=min(4, epochs), reduction_factor=3)
    tuner = tune.Tuner(
        tune.with_resources(train_gan, {"cpu": 1}),
        param_space=space,
        tune_config=tune.TuneConfig(
            metric="fid",
            mode="min",
            num_samples=trials,
            search_alg=OptunaSearch(seed=0),
            scheduler=asha if scheduler == "asha" else None,
        ),
        run_config=tune.RunConfig(storage_path=storage, verbose=0),
    )
    return tuner.fit()


def summarize(results: tune.ResultGrid) -> dict[str, float]:
    """Returns the epochs trained over all trials, the trials, and the best metric.

    Raises:
        RuntimeError: If a trial failed, since its epochs could not be counted.
    """
    if results.errors:
        raise RuntimeError(f"{len(results.errors)} trials failed") from results.errors[0]
    best = results.get_best_result("fid", "min", scope="all").metrics_dataframe
    return {
        "epochs": sum(result.metrics["training_iteration"] for result in results),
        "trials": len(results),
        "best": float(best["fid"].min()),
    }


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, required=True)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--scheduler", choices=("none", "asha"), default="none")
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    """Runs the search and writes what it cost."""
    args = parse_args()
    ray.init(
        num_cpus=args.cpus,
        include_dashboard=False,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
    )
    try:
        with tempfile.TemporaryDirectory() as storage:
            summary = summarize(search(args.trials, args.epochs, args.scheduler, storage))
    finally:
        ray.shutdown()
    report = {"seconds": time.perf_counter() - STARTED, **summary}
    args.out.write_text(json.dumps(report) + "\n", encoding="utf-8")
    print(json.dumps(report))


if __name__ == "__main__":
    main()
