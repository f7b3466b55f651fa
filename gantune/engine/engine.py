"""Trains trials epoch by epoch: open a lane, run epochs, get records.

This is the engine for trials on their own. One that trains several stacked ones differs in
``epoch``: group by the hash of the static fields, stack, run, unstack.
"""

import math
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from gantune.config import TrialConfig, rounds_per_epoch
from gantune.engine.draws import draw_epoch, draw_latents, keyed_generator
from gantune.engine.epoch import Hyper, Nets, Static, Updates, run_epoch
from gantune.engine.losses import LOSSES
from gantune.engine.materials import Materials
from gantune.engine.networks import build_discriminator, build_generator
from gantune.engine.networks.base import Network
from gantune.engine.optim import adam_rates, fused_adam, new_player
from gantune.engine.penalties import PENALTIES
from gantune.engine.state import State, Tensors, all_finite, map_state
from gantune.engine.summary import ROUND_COLUMNS, Summary, summarise
from gantune.errors import UsageError
from gantune.metrics.discriminator import accuracy
from gantune.metrics.evaluator import Evaluator
from gantune.parts import PenaltyTerm, WeightClip
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
    hyper: Hyper
    updates: Updates
    generator: Network
    discriminator: Network
    latents: Tensor
    state: State
    epoch: int


def choose_device(wanted: str, *, has_gpu: bool) -> torch.device:
    """The device that a trial trains on.

    Args:
        wanted: ``auto``, ``cpu`` or ``cuda``; auto is a GPU where the trial was given one.
        has_gpu: Whether the trial's resources include (a share of) a GPU.

    Raises:
        UsageError: CUDA was asked for and there is none.
    """
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise UsageError("device: cuda was asked for and this process sees no CUDA device")
    use_gpu = wanted == "cuda" or (wanted == "auto" and has_gpu and available)
    return torch.device("cuda" if use_gpu else "cpu")


class Engine:
    """Trains trials that share materials, each on its own."""

    def __init__(self, materials: Materials, device: torch.device) -> None:
        self.device = device
        self._data = torch.tensor(materials.dataset.train, device=device)
        self._holdout = torch.tensor(materials.dataset.holdout, device=device)
        self._evaluator = Evaluator(materials.reference, device)

    def open(self, spec: TrialSpec, state: State | None, epoch: int) -> Lane:
        """Makes a lane.

        Args:
            spec: The trial.
            state: Where it goes on; None to begin.
            epoch: Epochs behind it.
        """
        config = spec.config
        shape = tuple(self._data.shape[1:])
        generator, discriminator = (
            build_generator(config, shape),
            build_discriminator(config, shape),
        )
        optimizer = config.optimizer
        return Lane(
            spec=spec,
            static=static_part(config),
            hyper=hyper_part(config, self.device),
            updates=Updates(fused_adam(optimizer.generator), fused_adam(optimizer.discriminator)),
            generator=generator,
            discriminator=discriminator,
            latents=self._evaluation_latents(spec),
            state=self._to_device(state or initial_state(generator, discriminator, spec.seed)),
            epoch=epoch,
        )

    def epoch(self, lanes: Sequence[Lane]) -> list[EpochResult]:
        """Trains each lane for an epoch and scores it where that is due."""
        return [self._epoch(lane) for lane in lanes]

    def _epoch(self, lane: Lane) -> EpochResult:
        spec, config, epoch = lane.spec, lane.spec.config, lane.epoch + 1
        began = time.perf_counter()
        rounds = lane.static.rounds
        draws = draw_epoch(config, rounds, len(self._data), spec.seed, epoch, self.device)
        nets = Nets(partial(lane.generator, train=True), partial(lane.discriminator, train=True))
        state, trace = run_epoch(
            lane.static, trainable(lane.state), lane.hyper, draws, self._data, nets, lane.updates
        )
        summary = summarise(trace, lane.static.loss, rounds)
        trained = time.perf_counter()
        lane.state, lane.epoch = map_state(torch.Tensor.detach, state), epoch
        bad = _what_diverged(summary, lane.state)
        scores: Record = {}
        if bad is None and spec.is_evaluated(epoch):
            scores, bad = self._score(lane)
        train_s, eval_s = trained - began, time.perf_counter() - trained
        step, seen = epoch * rounds, epoch * rounds * lane.static.d_steps * config.train.batch_size
        record = {
            "epoch": epoch,
            "step": step,
            "images_seen": seen,
            "train_s": train_s,
            "eval_s": eval_s,
            "images_per_s": seen / epoch / train_s,
            "peak_memory_mb": self._peak_memory_mb(),
            "g_lr": config.optimizer.generator.lr,
            "d_lr": config.optimizer.discriminator.lr,
            **summary.values,
            **scores,
        }
        return EpochResult(record, _thinned(summary, spec, epoch, rounds), bad)

    @torch.no_grad()
    def _score(self, lane: Lane) -> tuple[Record, str | None]:
        samples = generate(lane.generator, lane.state, lane.latents)
        if not bool(torch.isfinite(samples).all()):
            return {}, "a generated sample is not finite"
        scores = self._evaluator.score(samples)
        if len(self._holdout):
            d = lane.state.discriminator
            held, _ = lane.discriminator(d.params, d.buffers, self._holdout, train=False)
            fake, _ = lane.discriminator(d.params, d.buffers, samples, train=False)
            right = accuracy(held, fake, lane.static.loss.threshold)
            scores["d_acc_holdout"] = float(right.real)
        return scores, None

    def _evaluation_latents(self, spec: TrialSpec) -> Tensor:
        # Keyed on the study's seed: the same latents score every trial.
        config = spec.config
        default = IMAGE_SAMPLES if self._data.dim() == 4 else POINT_SAMPLES
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


def static_part(config: TrialConfig) -> Static:
    """What shapes a trial's computation."""
    train = config.train
    return Static(
        rounds=rounds_per_epoch(config),
        d_steps=train.d_steps,
        g_steps=train.g_steps,
        share_fake=train.share_fake,
        loss=LOSSES[config.loss.name],
        penalty=PENALTIES[config.penalty.name],
        penalty_every=config.penalty.every if isinstance(config.penalty, PenaltyTerm) else 1,
        clips_weights=isinstance(config.penalty, WeightClip),
    )


def hyper_part(config: TrialConfig, device: torch.device) -> Hyper:
    """What may differ between stacked trials, as tensors."""
    penalty, number = config.penalty, 0.0
    if isinstance(penalty, WeightClip):
        number = penalty.bound
    elif isinstance(penalty, PenaltyTerm):
        number = penalty.weight
    return Hyper(
        adam_rates(config.optimizer.generator, device),
        adam_rates(config.optimizer.discriminator, device),
        torch.tensor(number, dtype=torch.float32, device=device),
    )


def initial_state(generator: Network, discriminator: Network, seed: int) -> State:
    """The state before the first step, made on the CPU so that devices start alike."""
    cpu = torch.device("cpu")
    return State(
        new_player(*generator.init(keyed_generator(cpu, seed, "generator"))),
        new_player(*discriminator.init(keyed_generator(cpu, seed, "discriminator"))),
    )


def trainable(state: State) -> State:
    """A copy of a state whose parameters require gradients."""
    copy = map_state(torch.Tensor.clone, state)
    for player in copy:
        for tensor in player.params.values():
            tensor.requires_grad_()
    return copy


@torch.no_grad()
def generate(generator: Network, state: State, latents: Tensor) -> Tensor:
    """Samples (n, *sample) of (n, latent_dim) latents, in eval mode."""
    player = state.generator
    return generator(player.params, player.buffers, latents, train=False)[0]


def generator_weights(state: State) -> Tensors:
    """What a generator needs in order to be used, by name."""
    player = state.generator
    return {
        **{f"params/{name}": tensor for name, tensor in player.params.items()},
        **{f"buffers/{name}": tensor for name, tensor in player.buffers.items()},
    }


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
            values = dict(zip(ROUND_COLUMNS, summary.rounds[index].tolist(), strict=True))
            finite = {k: v if math.isfinite(v) else None for k, v in values.items()}
            rows.append({"epoch": epoch, "step": step, **finite})
    return rows
