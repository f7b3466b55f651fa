"""From a trial's configuration to what an epoch needs: shapes, tensors, networks, first state."""

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from gantune.config import TrialConfig, rounds_per_epoch
from gantune.engine.augment import AUGMENTATIONS
from gantune.engine.balance import TURNS, first_turn, make_rule
from gantune.engine.draws import keyed_generator
from gantune.engine.forms import Apply, Hyper, Nets, Static, Updates
from gantune.engine.losses import LOSSES, Loss
from gantune.engine.networks.base import Network
from gantune.engine.optim import in_place_update, new_player
from gantune.engine.penalties import MEMORIES, PENALTIES
from gantune.engine.penalties import PenaltyTerm as Term
from gantune.engine.schedules import noise_levels, schedule_factors
from gantune.engine.state import State, Tensors
from gantune.parts.foreign import EXTRAS
from gantune.parts.losses import LabelledLoss
from gantune.parts.penalties import LeCam, PenaltyTerm, WeightClip
from gantune.parts.training import AccuracyBalance


def static_part(config: TrialConfig, generator: Network, discriminator: Network) -> Static:
    """What shapes a trial's computation."""
    train, loss, penalty = config.train, config.loss, config.penalty
    joint = train.joint_batch
    return Static(
        rounds=rounds_per_epoch(config),
        d_steps=train.d_steps,
        g_steps=train.g_steps,
        generator_first=train.order == "generator_first",
        share_fake=train.share_fake,
        # Where each sample is judged alone the same function at half the calls.
        joint_batch=not discriminator.couples_samples if joint is None else joint,
        switch_eval=train.switch_eval,
        loss=loss_of(config),
        penalty=_penalty_term(config),
        penalty_every=penalty.every if isinstance(penalty, PenaltyTerm) else 1,
        clips_weights=isinstance(penalty, WeightClip),
        clips_gradients=train.grad_clip is not None,
        softens_labels=max(_softening(config)) > 0,
        adds_content=loss.content_weight > 0,
        adds_noise=loss.instance_noise > 0,
        averages=train.ema is not None,
        policy=tuple(name for name in AUGMENTATIONS if getattr(config.augment, name)),
        flips=config.augment.flip,
        rule=make_rule(train.balance),
        watches=isinstance(train.balance, AccuracyBalance),
        g_noise=generator.noise_shapes,
        d_noise=discriminator.noise_shapes,
    )


def loss_of(config: TrialConfig) -> Loss:
    """The losses of a trial, built in or an extension's."""
    options = config.loss
    if options.name in LOSSES:
        return LOSSES[options.name]
    made: Loss = EXTRAS["loss"][options.name].make(options)
    return made


def _penalty_term(config: TrialConfig) -> Term | None:
    options = config.penalty
    if options.name in PENALTIES:
        return PENALTIES[options.name]
    made: Term = EXTRAS["penalty"][options.name].make(options)
    return made


def _softening(config: TrialConfig) -> tuple[float, float]:
    """Label smoothing and label flips, of losses that have labels."""
    loss = config.loss
    return (loss.label_smoothing, loss.label_flip) if isinstance(loss, LabelledLoss) else (0.0, 0.0)


def hyper_part(config: TrialConfig, epoch: int, rounds: int, device: torch.device) -> Hyper:
    """What may differ between stacked trials, as tensors for an epoch (counted from 1)."""
    penalty, loss, train = config.penalty, config.loss, config.train
    over = loss.instance_noise_epochs or train.epochs

    def tensor(value: float | Sequence[float]) -> Tensor:
        return torch.tensor(value, dtype=torch.float32, device=device)

    strength = 0.0
    if isinstance(penalty, WeightClip):
        strength = penalty.bound
    elif isinstance(penalty, PenaltyTerm):
        strength = penalty.weight
    return Hyper(
        penalty=tensor(strength),
        penalty_decay=tensor(penalty.decay if isinstance(penalty, LeCam) else 0.0),
        label_smoothing=tensor(_softening(config)[0]),
        label_flip=tensor(_softening(config)[1]),
        content_weight=tensor(loss.content_weight),
        instance_noise=tensor(noise_levels(loss.instance_noise, over, epoch, rounds)),
        ema=tensor(train.ema or 0.0),
        grad_clip=tensor(train.grad_clip or 0.0),
    )


def rate_factors(config: TrialConfig, epoch: int, rounds: int) -> list[float]:
    """The factor on both learning rates at each round of an epoch."""
    return schedule_factors(config.schedule, epoch, rounds, config.train.epochs)


def solo_updates(config: TrialConfig, factors: Sequence[float]) -> Updates:
    """The optimizer steps of a trial on its own, in place."""
    optimizer = config.optimizer
    return Updates(
        in_place_update(optimizer.generator, factors),
        in_place_update(optimizer.discriminator, factors),
    )


def solo_nets(
    config: TrialConfig, generator: Network, discriminator: Network, device: torch.device
) -> Nets:
    """The networks of a trial on its own, as precise and laid out as it asks."""
    train = config.train

    def applied(network: Network, *, training: bool) -> Apply:
        function: Apply = partial(network, train=training)
        if train.channels_last:
            function = _channels_last(function)
        if train.compile:
            function = torch.compile(function)
        return _bf16(function, device.type) if train.precision == "bf16" else function

    return Nets(
        applied(generator, training=True),
        applied(discriminator, training=True),
        applied(generator, training=False),
        applied(discriminator, training=False),
    )


def _bf16(function: Apply, device_type: str) -> Apply:
    """Matrix products and convolutions in bfloat16, the rest as autocast has it."""

    def apply(
        params: Tensors, buffers: Tensors, x: Tensor, noise: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensors]:
        with torch.autocast(device_type, torch.bfloat16):
            out, buffers = function(params, buffers, x, noise)
        return out.float(), buffers

    return apply


def _channels_last(function: Apply) -> Apply:
    """Convolutions in the layout that their kernels like best."""

    def apply(
        params: Tensors, buffers: Tensors, x: Tensor, noise: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensors]:
        laid = {
            name: param.contiguous(memory_format=torch.channels_last) if param.dim() == 4 else param
            for name, param in params.items()
        }
        if x.dim() == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        out, buffers = function(laid, buffers, x, noise)
        return out.contiguous(), buffers

    return apply


def initial_state(
    config: TrialConfig, generator: Network, discriminator: Network, seed: int
) -> State:
    """The state before the first step, made on the CPU so that devices start alike."""
    cpu, train, optimizer = torch.device("cpu"), config.train, config.optimizer
    g_params, g_buffers = generator.init(keyed_generator(cpu, seed, "generator"))
    d_params, d_buffers = discriminator.init(keyed_generator(cpu, seed, "discriminator"))
    g = new_player(g_params, g_buffers, optimizer.generator.name)
    average = {name: param.clone() for name, param in g.params.items()} if train.ema else {}
    memory = {name: torch.tensor(v) for name, v in MEMORIES.get(config.penalty.name, {}).items()}
    if make_rule(train.balance) is not None:
        turn = TURNS.index(first_turn(train.balance, train.order))
        memory["turn"] = torch.tensor(float(turn))
    return State(g, new_player(d_params, d_buffers, optimizer.discriminator.name), average, memory)
