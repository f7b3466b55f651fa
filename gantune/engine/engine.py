"""Trains trials epoch by epoch: open a lane, run epochs, get records.

This is the engine for trials on their own. One that trains several stacked ones differs in
``epoch``: group by the hash of the static fields, stack, run, unstack.
"""

import json
import math
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gantune.config import TrialConfig
from gantune.engine.batches import Batches, InMemory, Streamed
from gantune.engine.data import to_images
from gantune.engine.datasets.base import Samples
from gantune.engine.draws import draw_epoch, draw_latents, keyed_generator
from gantune.engine.epoch import run_epoch
from gantune.engine.forms import Nets, Static
from gantune.engine.judge import JUDGED, Judge
from gantune.engine.materials import Materials
from gantune.engine.memory import keep_to_share
from gantune.engine.networks import build_discriminator, build_generator
from gantune.engine.networks.base import Network
from gantune.engine.setup import (
    hyper_part,
    initial_state,
    rate_factors,
    solo_nets,
    solo_updates,
    static_part,
)
from gantune.engine.state import State, Tensors, all_finite, map_state
from gantune.engine.summary import Summary, summarise
from gantune.errors import UsageError
from gantune.metrics.evaluator import Evaluator
from gantune.parts.foreign import EXTRA_METRICS
from gantune.sources.folder import ImageFiles
from gantune.trial import MAX_TRACE, Record, TrialSpec

IMAGE_SAMPLES = 1000
POINT_SAMPLES = 2500


class EpochResult(NamedTuple):
    """What an epoch of a lane yields.

    Attributes:
        record: Its row of the ``epochs`` table, without what depends on other epochs.
        steps: Its rows of the ``steps`` table.
        diverged: What is not a finite number, in words; None if all is well.
    """

    record: Record
    steps: list[Record]
    diverged: str | None


@dataclass
class Lane:
    """A trial in training."""

    spec: TrialSpec
    static: Static
    nets: Nets
    generator: Network
    discriminator: Network
    latents: Tensor
    state: State
    epoch: int

    @property
    def images_seen(self) -> int:
        """Real samples that the discriminator was updated on."""
        updates = int(self.state.discriminator.counters["step"])
        return updates * self.spec.config.train.batch_size


def choose_device(wanted: str, *, has_gpu: bool) -> torch.device:
    """The device that a trial trains on.

    Args:
        wanted: ``auto``, ``cpu``, ``cuda`` or ``mps``; auto is a GPU where the trial was given one.
        has_gpu: Whether the trial's resources include (a share of) a GPU.

    Raises:
        UsageError: The device that was asked for is not there.
    """
    is_there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return torch.device("cuda" if has_gpu and is_there["cuda"] else "cpu")
    if not is_there.get(wanted, True):
        message = f"device: {wanted} was asked for and this process sees no such device"
        raise UsageError(message)
    return torch.device(wanted)


class Engine:
    """Trains trials that share materials, each on its own."""

    def __init__(self, materials: Materials, device: torch.device) -> None:
        self.device, self.data = device, materials.info
        dataset = materials.dataset
        self._size, self._shape = len(dataset.train), tuple(dataset.train.shape[1:])
        self._batches = _batches(dataset.train, device)
        self._real = to_images(torch.tensor(dataset.train[:JUDGED], device=device))
        self._holdout = to_images(torch.tensor(dataset.holdout[:JUDGED], device=device))
        self._evaluator = Evaluator(materials.reference, device)

    def open(self, spec: TrialSpec) -> Lane:
        """Makes a lane of a trial that begins."""
        keep_to_share(spec, self.device)
        config = spec.config
        generator = build_generator(config, self._shape)
        discriminator = build_discriminator(config, self._shape)
        return Lane(
            spec=spec,
            static=static_part(config, generator, discriminator),
            nets=solo_nets(config, generator, discriminator, self.device),
            generator=generator,
            discriminator=discriminator,
            latents=self._evaluation_latents(spec),
            state=self._to_device(initial_state(config, generator, discriminator, spec.seed)),
            epoch=0,
        )

    def put_back(self, lane: Lane, state: State, epoch: int) -> None:
        """Takes a lane to where its trial was after an epoch."""
        lane.state, lane.epoch = self._to_device(state), epoch

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Of one sample: (C, H, W), or (2,)."""
        return self._shape

    def epoch(self, lanes: Sequence[Lane]) -> list[EpochResult]:
        """Trains each lane for an epoch and scores it where that is due."""
        return [self._epoch(lane) for lane in lanes]

    def _epoch(self, lane: Lane) -> EpochResult:
        spec, config, epoch = lane.spec, lane.spec.config, lane.epoch + 1
        began = time.perf_counter()
        rounds, seen_before = lane.static.rounds, lane.images_seen
        draws = draw_epoch(config, rounds, self._size, spec.seed, epoch, self.device)
        self._batches.begin(draws.indices)
        factors = rate_factors(config, epoch, rounds)
        state, trace = run_epoch(
            lane.static,
            trainable(lane.state),
            hyper_part(config, epoch, rounds, self.device),
            draws,
            self._batches,
            lane.nets,
            solo_updates(config, factors),
        )
        summary = summarise(trace, lane.static.loss, rounds)
        trained = time.perf_counter()
        lane.state, lane.epoch = map_state(torch.Tensor.detach, state), epoch
        bad = _what_diverged(summary, lane.state)
        scores: Record = {}
        if bad is None and spec.is_evaluated(epoch):
            scores, bad = self._score(lane)
        train_s, eval_s = trained - began, time.perf_counter() - trained
        seen = lane.images_seen
        record = {
            "epoch": epoch,
            "step": epoch * rounds,
            "images_seen": seen,
            "train_s": train_s,
            "eval_s": eval_s,
            "images_per_s": (seen - seen_before) / train_s,
            "peak_memory_mb": self._peak_memory_mb(),
            "g_lr": config.optimizer.generator.lr * factors[-1],
            "d_lr": config.optimizer.discriminator.lr * factors[-1],
            **summary.values,
            **scores,
        }
        return EpochResult(record, _thinned(summary, spec, epoch, rounds), bad)

    def _score(self, lane: Lane) -> tuple[Record, str | None]:
        samples = generate(lane.generator, lane.state, lane.latents)
        if not bool(torch.isfinite(samples).all()):
            return {}, "a generated sample is not finite"
        scores = self._evaluator.score(samples, lane.spec.config.eval.metrics)
        sources = {extension.source for extension in lane.spec.extensions}
        extra = {
            name: _known(float(metric.score(samples)))
            for name, metric in EXTRA_METRICS.items()
            if metric.source in sources
        }
        if extra:
            scores["extra_metrics"] = json.dumps(extra)
        judge = Judge(lane.discriminator, lane.state.discriminator, lane.static.loss)
        pack = lane.spec.config.discriminator.pack
        found = scores | judge.score(self._real, self._holdout, samples, pack)
        return {name: _known(value) for name, value in found.items()}, None

    def _evaluation_latents(self, spec: TrialSpec) -> Tensor:
        # Keyed on the study's seed: the same latents score every trial.
        config = spec.config
        default = IMAGE_SAMPLES if len(self._shape) == 3 else POINT_SAMPLES
        rng = keyed_generator(self.device, "evaluation", config.seed)
        shape = (config.eval.samples or default, config.generator.latent_dim)
        return draw_latents(shape, config.generator.latent, rng)

    def _to_device(self, state: State) -> State:
        return map_state(lambda tensor: tensor.to(self.device), state)

    def _peak_memory_mb(self) -> float:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**20
        # Kilobytes on Linux, bytes on macOS.
        unit = 2**20 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _batches(samples: Samples, device: torch.device) -> Batches:
    """Samples on the device where they are in memory, streams of them where they are files."""
    if isinstance(samples, ImageFiles):
        return Streamed(samples, device, samples.workers)
    return InMemory(torch.tensor(samples, device=device))


def trainable(state: State) -> State:
    """A copy of a state whose parameters require gradients."""
    copy = map_state(torch.Tensor.clone, state)
    for player in (copy.generator, copy.discriminator):
        for tensor in player.params.values():
            tensor.requires_grad_()
    return copy


@torch.no_grad()
def generate(generator: Network, state: State, latents: Tensor) -> Tensor:
    """Samples (n, *sample) of (n, latent_dim) latents in eval mode, by the average if there is."""
    player = state.generator
    return generator(state.average or player.params, player.buffers, latents, {}, train=False)[0]


def sample_latents(config: TrialConfig, count: int, seed: int) -> Tensor:
    """(count, latent_dim) latents to look at, drawn on the CPU: the same for every device."""
    rng = keyed_generator(torch.device("cpu"), "samples", seed)
    return draw_latents((count, config.generator.latent_dim), config.generator.latent, rng)


def generator_weights(state: State) -> Tensors:
    """What a generator needs in order to be used, by name."""
    player = state.generator
    params = state.average or player.params
    return {
        **{f"params/{name}": tensor for name, tensor in params.items()},
        **{f"buffers/{name}": tensor for name, tensor in player.buffers.items()},
    }


def _known(value: Any) -> Any:
    """Null for a number that is none: a trial can overflow in a metric before it diverges."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _what_diverged(summary: Summary, state: State) -> str | None:
    if summary.first_bad is not None:
        return f"a loss is not finite from round {summary.first_bad + 1} of the epoch"
    return None if all_finite(state) else "a parameter is not finite"


def _thinned(summary: Summary, spec: TrialSpec, epoch: int, rounds: int) -> list[Record]:
    stride = -(-spec.epochs * rounds // MAX_TRACE)
    before = (epoch - 1) * rounds
    rows = []
    for index in range(rounds):
        step = before + index + 1
        if step % stride == 0:
            rows.append({"epoch": epoch, "step": step, **summary.rounds[index]})
    return rows
