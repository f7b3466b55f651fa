"""Throughput and memory of one trial against the tutorials' own loops, on one CPU thread.

    python benchmarks/against_tutorials.py --out benchmarks/results/against_tutorials.md

Real MNIST digits from $GANTUNE_MNIST10K (or ../shared/data/mnist10k). Ratios are of loops timed in
turn in one process; the median of the rounds counts. The tutorials' MLP loop (PyTorch-GAN,
torchbearer) runs twice: with the data as the tutorials load them (torchvision's MNIST through PIL
and transforms), and with a tensor in memory, which is kinder to it; the DCGAN loop is PyTorch's
example, on a tensor in memory. All keep their DataLoader and their ``.item()``. Peak memory is that
of a process of its own for each loop.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import TensorDataset

sys.path.insert(0, str(Path(__file__).parent))

from baselines.dcgan_loop import train_dcgan
from baselines.tutorial_loop import TutorialImages, train_tutorial
from machine import describe

from gantune.config import TrialConfig
from gantune.engine.batches import InMemory
from gantune.engine.data import load_dataset, to_images
from gantune.engine.draws import draw_epoch
from gantune.engine.engine import trainable
from gantune.engine.epoch import run_epoch
from gantune.engine.networks import build_discriminator, build_generator
from gantune.engine.setup import (
    hyper_part,
    initial_state,
    rate_factors,
    solo_nets,
    solo_updates,
    static_part,
)
from gantune.engine.summary import summarise
from gantune.parts.data import Digits, Idx
from gantune.study import with_values

CPU = torch.device("cpu")
MNIST10K = Path(__file__).parent.parent.parent / "shared" / "data" / "mnist10k"

MLP = {
    "generator.latent_dim": 100,
    "generator.hidden": [128, 256, 512, 1024],
    "generator.norm": "batch",
    "discriminator.hidden": [512, 256],
}
DIGITS = {
    "generator.latent_dim": 64,
    "generator.hidden": [128, 256],
    "discriminator.hidden": [256, 128],
}
DCGAN = {
    "generator.name": "dcgan",
    "generator.latent_dim": 100,
    "generator.features": 64,
    "discriminator.name": "dcgan",
    "discriminator.features": 64,
}
BF16 = {"train.precision": "bf16"}


def mnist(size: int) -> torch.Tensor:
    """(10000, 1, size, size) digits as bytes."""
    root = os.environ.get("GANTUNE_MNIST10K", str(MNIST10K))
    return torch.from_numpy(load_dataset(Idx(root=root, image_size=size)).train[:])


def gantune_speed(images: torch.Tensor, changes: dict[str, Any], steps: int) -> float:
    """Images per second of one epoch of a trial, from its draws to its numbers."""
    base = {"train.batch_size": 64, "train.steps_per_epoch": steps, "train.epochs": 1}
    config = with_values(TrialConfig(), base | changes)
    shape = tuple(images.shape[1:])
    generator, discriminator = build_generator(config, shape), build_discriminator(config, shape)
    state = initial_state(config, generator, discriminator, 0)
    static, data = static_part(config, generator, discriminator), InMemory(images)
    nets = solo_nets(config, generator, discriminator, CPU)
    began = time.perf_counter()
    _, trace = run_epoch(
        static,
        trainable(state),
        hyper_part(config, 1, steps, CPU),
        draw_epoch(config, steps, len(images), 0, 1, CPU),
        data,
        nets,
        solo_updates(config, rate_factors(config, 1, steps)),
    )
    summarise(trace, static.loss, steps)
    return steps * config.train.batch_size / (time.perf_counter() - began)


def mlp_loop(images: torch.Tensor, changes: dict[str, Any], steps: int, *, loaded: bool) -> float:
    """Images per second of the tutorials' MLP loop."""
    floats = to_images(images)
    return train_tutorial(
        TutorialImages(floats) if loaded else TensorDataset(floats),
        image_shape=images.shape[1:],
        steps=steps,
        batch_size=64,
        latent_dim=changes["generator.latent_dim"],
        g_hidden=changes["generator.hidden"],
        d_hidden=changes["discriminator.hidden"],
        batch_norm="generator.norm" in changes,
    )


def dcgan_loop(images: torch.Tensor, steps: int) -> float:
    """Images per second of PyTorch's DCGAN example."""
    return train_dcgan(TensorDataset(to_images(images)), 64, steps, 64)


def cases() -> dict[str, tuple[Callable[[], float], list[tuple[str, Callable[[], float]]]]]:
    """By name: the loop that counts as 1, and those that are compared with it."""
    m28, m32 = mnist(28), mnist(32)
    digits = torch.from_numpy(load_dataset(Digits()).train[:])
    fp32, bf16 = "gantune fp32", "gantune bf16"
    memory = "the same on a tensor"
    return {
        "the tutorials' MLP, MNIST 28x28": (
            partial(mlp_loop, m28, MLP, 60, loaded=True),
            [
                (fp32, partial(gantune_speed, m28, MLP, 60)),
                (bf16, partial(gantune_speed, m28, MLP | BF16, 60)),
                (memory, partial(mlp_loop, m28, MLP, 60, loaded=False)),
            ],
        ),
        "DCGAN, 64 features, MNIST 32x32": (
            partial(dcgan_loop, m32, 4),
            [
                (fp32, partial(gantune_speed, m32, DCGAN, 4)),
                (bf16, partial(gantune_speed, m32, DCGAN | BF16, 4)),
            ],
        ),
        "lr_beta's MLP, digits 8x8": (
            partial(mlp_loop, digits, DIGITS, 400, loaded=True),
            [
                (fp32, partial(gantune_speed, digits, DIGITS, 400)),
                (memory, partial(mlp_loop, digits, DIGITS, 400, loaded=False)),
            ],
        ),
    }


def peak_mb(case: str, index: int) -> float:
    """Peak memory of a process that runs one loop of a case."""
    arguments = [sys.executable, __file__, "--memory", case, str(index)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    """Prints the table and writes it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--memory", nargs=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.memory:
        base, others = cases()[options.memory[0]]
        [base, *(loop for _, loop in others)][int(options.memory[1])]()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10)
        return
    lines = [
        "# One trial against the tutorials' loops",
        "",
        f"`python benchmarks/against_tutorials.py`, one CPU thread, batch 64, median of "
        f"{options.rounds} rounds in turn. {describe()}.",
        "",
        "| networks | loop | images/s | ratio | peak memory, MB |",
        "|---|---|---|---|---|",
    ]
    for name, (base, others) in cases().items():
        loops = [("the tutorial's", base), *others]
        speeds = [[loop() for _, loop in loops] for _ in range(options.rounds + 1)]
        medians = [statistics.median(column) for column in zip(*speeds[1:], strict=True)]
        for index, (loop, speed) in enumerate(zip((n for n, _ in loops), medians, strict=True)):
            ratio = f"**{speed / medians[0]:.2f}**" if index else "1"
            peak = peak_mb(name, index)
            lines.append(f"| {name} | {loop} | {speed:,.0f} | {ratio} | {peak:,.0f} |")
    table = "\n".join(lines) + "\n"
    print(table)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(table)


if __name__ == "__main__":
    main()
