"""Throughput of one trial against the tutorials' own loop, on one CPU thread.

    python benchmarks/against_tutorials.py --out benchmarks/results/against_tutorials.md

Ratios are of two loops timed in turn in one process; the median of the rounds counts. The
tutorials' loop (PyTorch-GAN, torchbearer) runs twice: with the data as the tutorials load them
(torchvision's MNIST through PIL and transforms), and with a tensor in memory (TensorDataset), which
is kinder to it. Both keep its DataLoader and its two ``.item()`` a step.
"""

import argparse
import statistics
import sys
import time
from functools import partial
from pathlib import Path

import torch
from torch.utils.data import TensorDataset

sys.path.insert(0, str(Path(__file__).parent))

from baselines.tutorial_loop import TutorialImages, train_tutorial
from machine import describe

from gantune.config import TrialConfig
from gantune.engine.data import load_dataset
from gantune.engine.draws import draw_epoch
from gantune.engine.engine import hyper_part, initial_state, static_part, trainable
from gantune.engine.epoch import Nets, Updates, run_epoch
from gantune.engine.networks import build_discriminator, build_generator
from gantune.engine.optim import fused_adam
from gantune.engine.summary import summarise
from gantune.parts import Digits, MlpDiscriminator, MlpGenerator, Train

CPU = torch.device("cpu")


def gantune_speed(images: torch.Tensor, config: TrialConfig, steps: int) -> float:
    """Images per second of one epoch of a trial, from its draws to its numbers."""
    shape = tuple(images.shape[1:])
    generator, discriminator = build_generator(config, shape), build_discriminator(config, shape)
    options = config.optimizer
    state = initial_state(generator, discriminator, 0)
    began = time.perf_counter()
    draws = draw_epoch(config, steps, len(images), 0, 1, CPU)
    static = static_part(config)
    _, trace = run_epoch(
        static,
        trainable(state),
        hyper_part(config, CPU),
        draws,
        images,
        Nets(partial(generator, train=True), partial(discriminator, train=True)),
        Updates(fused_adam(options.generator), fused_adam(options.discriminator)),
    )
    summarise(trace, static.loss, steps)
    return steps * config.train.batch_size / (time.perf_counter() - began)


def compare(
    images: torch.Tensor,
    latent: int,
    g: list[int],
    d: list[int],
    norm: str,
    steps: int,
    rounds: int,
) -> tuple[float, float, float]:
    """Median images per second: gantune, the tutorials' loop, the same on a tensor in memory."""
    config = TrialConfig(
        generator=MlpGenerator(
            latent_dim=latent, hidden=tuple(g), norm="batch" if norm == "batch" else "none"
        ),
        discriminator=MlpDiscriminator(hidden=tuple(d)),
        train=Train(batch_size=64, steps_per_epoch=steps),
    )
    tutorial = partial(
        train_tutorial,
        image_shape=images.shape[1:],
        steps=steps,
        batch_size=64,
        latent_dim=latent,
        g_hidden=g,
        d_hidden=d,
        batch_norm=norm == "batch",
    )
    loaded, in_memory = TutorialImages(images), TensorDataset(images)
    speeds: list[tuple[float, float, float]] = []
    for _ in range(rounds + 1):
        speeds.append((gantune_speed(images, config, steps), tutorial(loaded), tutorial(in_memory)))
    measured = list(zip(*speeds[1:], strict=True))  # the first round warms up
    return tuple(statistics.median(column) for column in measured)  # type: ignore[return-value]


def main() -> None:
    """Prints the table and writes it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    mnist = torch.rand(10_000, 1, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1
    digits = torch.from_numpy(load_dataset(Digits()).train)
    cases = {
        "the tutorials' MLP, 28x28, batch norm": (
            mnist,
            100,
            [128, 256, 512, 1024],
            [512, 256],
            "batch",
            100,
        ),
        "lr_beta's MLP, digits 8x8": (digits, 64, [128, 256], [256, 128], "none", 500),
    }
    lines = [
        "# One trial against the tutorials' loop",
        "",
        f"`python benchmarks/against_tutorials.py`, one CPU thread, batch 64, median of "
        f"{options.rounds} rounds. {describe()}.",
        "",
        "| networks | gantune, images/s | tutorials' loop | ratio | same on a tensor | ratio |",
        "|---|---|---|---|---|---|",
    ]
    for name, case in cases.items():
        ours, loop, memory = compare(*case, rounds=options.rounds)
        lines.append(
            f"| {name} | {ours:,.0f} | {loop:,.0f} | **{ours / loop:.2f}** "
            f"| {memory:,.0f} | {ours / memory:.2f} |"
        )
    table = "\n".join(lines) + "\n"
    print(table)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(table)


if __name__ == "__main__":
    main()
