"""What bounds a step of the tutorials' MLPs in bf16 with PyTorch's kernels, on one CPU thread.

    python benchmarks/bf16_floor.py --out benchmarks/results/bf16_floor.md

The tutorials' loop and gantune's in turn with two parts of gantune's step on their own: its matrix
products, and what an update does to every weight matrix (gradient to float32, its norm, Adam,
weight to bfloat16). Both write to tensors that are made once. Processor time, the least of
the rounds, of a long run less that of a short one: what is done once does not count.
"""

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))

from against_tutorials import BF16, MLP, gantune_speed, mlp_loop, mnist
from machine import describe

BATCH = 64
SHORT, LONG = 30, 90
GENERATOR = list(pairwise([MLP["generator.latent_dim"], *MLP["generator.hidden"], 784]))
DISCRIMINATOR = list(pairwise([784, *MLP["discriminator.hidden"], 1]))


class Product:
    """A matrix product in bf16, into a tensor of its own: (m, k) by (k, n)."""

    def __init__(self, m: int, k: int, n: int, *, of_gradient: bool = False) -> None:
        # As a step has them: a gradient is the product of transposed activations.
        left = torch.randn(k, m).T if of_gradient else torch.randn(m, k)
        self._left, self._right = left.bfloat16(), torch.randn(k, n).bfloat16()
        self._out = torch.empty(m, n, dtype=torch.bfloat16)
        self.flops = 2 * m * k * n

    def run(self) -> None:
        """Multiplies."""
        torch.mm(self._left, self._right, out=self._out)


def products() -> list[Product]:
    """Those of a step: both updates, the generated batch shared, no gradient that nobody needs."""

    def forward(layers: list[tuple[int, int]], batch: int) -> list[Product]:
        return [Product(batch, i, o) for i, o in layers]

    def to_inputs(layers: list[tuple[int, int]], batch: int) -> list[Product]:
        return [Product(batch, o, i) for i, o in reversed(layers)]

    def to_weights(layers: list[tuple[int, int]], batch: int) -> list[Product]:
        return [Product(o, batch, i, of_gradient=True) for i, o in reversed(layers)]

    g, d, both = GENERATOR, DISCRIMINATOR, 2 * BATCH
    d_update = forward(d, both) + to_weights(d, both) + to_inputs(d[1:], both)
    through_d = forward(d, BATCH) + to_inputs(d, BATCH)
    return forward(g, BATCH) + d_update + through_d + to_weights(g, BATCH) + to_inputs(g[1:], BATCH)


class Weights:
    """All weights of both networks, with what an update needs."""

    def __init__(self) -> None:
        self._params = [torch.randn(o, i) for i, o in GENERATOR + DISCRIMINATOR]
        self._gradients, self._first, self._second = (
            [torch.zeros_like(param) for param in self._params] for _ in range(3)
        )
        self._arriving = [torch.randn_like(p, dtype=torch.bfloat16) for p in self._params]
        self._copies = [param.bfloat16() for param in self._params]
        self._step = torch.ones(())

    @torch.no_grad()
    def update(self) -> list[Tensor]:
        """From gradients in bf16 to weights in bf16; returns the gradients' norms."""
        for gradient, arriving in zip(self._gradients, self._arriving, strict=True):
            gradient.copy_(arriving)
        norms = [torch.linalg.vector_norm(gradient) for gradient in self._gradients]
        torch._fused_adam_(
            self._params,
            self._gradients,
            self._first,
            self._second,
            [],
            [self._step] * len(self._params),
            lr=2e-4,
            beta1=0.5,
            beta2=0.999,
            eps=1e-8,
            weight_decay=0.0,
            amsgrad=False,
            maximize=False,
        )
        for copy, param in zip(self._copies, self._params, strict=True):
            copy.copy_(param)
        return norms


def costs(parts: dict[str, Callable[[int], object]], rounds: int) -> dict[str, float]:
    """Milliseconds of each part per step."""
    spent: dict[tuple[str, int], list[float]] = defaultdict(list)
    for number in range(rounds + 1):
        for name, part in parts.items():
            for steps in (SHORT, LONG):
                began = time.process_time()
                part(steps)
                if number:
                    spent[name, steps].append(time.process_time() - began)
    return {
        name: (min(spent[name, LONG]) - min(spent[name, SHORT])) / (LONG - SHORT) * 1e3
        for name in parts
    }


def main() -> None:
    """Prints the table and writes it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    images, work, weights = mnist(28), products(), Weights()

    def multiply(steps: int) -> None:
        for _ in range(steps):
            for product in work:
                product.run()

    def update(steps: int) -> None:
        for _ in range(steps):
            weights.update()

    parts: dict[str, Callable[[int], object]] = {
        "the tutorial's loop": partial(mlp_loop, images, MLP, loaded=True),
        "gantune bf16": partial(gantune_speed, images, MLP | BF16),
        "the matrix products alone": multiply,
        "what an update does to the weights alone": update,
    }
    least = costs(parts, options.rounds)
    base, multiplied, updated = (list(least.values())[i] for i in (0, 2, 3))
    flops = sum(product.flops for product in work)
    least["both, and nothing else"] = multiplied + updated
    lines = [
        "# What bounds a step in bf16",
        "",
        f"`python benchmarks/bf16_floor.py`, the tutorials' MLP, MNIST 28x28, one CPU thread, "
        f"batch 64, least processor time of {options.rounds} rounds in turn. {describe()}.",
        "",
        "| | ms per step | the tutorial's loop over it |",
        "|---|---|---|",
        *(f"| {name} | {ms:.1f} | {base / ms:.2f} |" for name, ms in least.items()),
        "",
        f"The products are {flops / 1e9:.2f} GFLOP: {flops / multiplied / 1e6:.0f} GFLOP/s.",
    ]
    table = "\n".join(lines) + "\n"
    print(table)
    if options.out:
        options.out.write_text(table)


if __name__ == "__main__":
    main()
