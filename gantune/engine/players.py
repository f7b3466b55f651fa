"""The two networks at play: what the generator makes, what the discriminator sees and says."""

from collections.abc import Mapping

import torch
from torch import Tensor

from gantune.engine.augment import augment, numbers_needed
from gantune.engine.draws import Noise
from gantune.engine.forms import Hyper, Nets, NoiseShapes, Static
from gantune.engine.state import Player, Tensors

NOTHING: Mapping[str, Tensor] = {}


class Players:
    """Applies both networks as a trial asks, with the noise of an epoch."""

    def __init__(self, static: Static, hyper: Hyper, noise: Noise, nets: Nets, axis: int) -> None:
        """Joins what an application needs.

        Args:
            static: Shape of the computation.
            hyper: What may differ between stacked trials.
            noise: Random tensors.
            nets: The networks.
            axis: Number of axes in front of a batch: 1 for stacked trials, 0 for one.
        """
        self._static, self._hyper, self._draws, self._nets = static, hyper, noise, nets
        self._axis = axis

    def generate(
        self, g: Player, z: Tensor, *, with_graph: bool, is_idle: bool
    ) -> tuple[Player, Tensor]:
        """The generator with its new buffers, and its (..., B, *sample) samples of latents."""
        nets = self._nets
        with torch.set_grad_enabled(with_graph):
            if is_idle and self._static.switch_eval:
                fake, _ = nets.idle_generator(g.params, g.buffers, z, NOTHING)
                return g, fake
            noise = self._noise("g.", self._static.g_noise, z.shape[self._axis])
            fake, buffers = nets.generator(g.params, g.buffers, z, noise)
        return g._replace(buffers=buffers), fake

    def seen(self, samples: Tensor, number: int) -> Tensor:
        """What the discriminator sees of samples in a round: with instance noise, augmented."""
        static, draws, shape = self._static, self._draws, samples.shape[self._axis :]
        if static.adds_noise:
            level = self._hyper.instance_noise.select(-1, number)
            level = level.view(level.shape + (1,) * (samples.dim() - level.dim()))
            samples = samples + level * draws.normal("instance", shape)
        if static.policy:
            numbers = draws.uniform("augment", (shape[0], numbers_needed(static.policy)))
            samples = augment(samples, numbers, static.policy)
        return samples

    def judge(self, d: Player, samples: Tensor) -> tuple[Tensor, Tensors]:
        """(..., B) logits of what the discriminator sees, and its new buffers."""
        noise = self._noise("d.", self._static.d_noise, samples.shape[self._axis])
        return self._nets.discriminator(d.params, d.buffers, samples, noise)

    def judge_both(self, d: Player, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor, Tensors]:
        """Logits of a real and of a generated batch: together, or one after the other."""
        if self._static.joint_batch:
            logits, buffers = self.judge(d, torch.cat([real, fake], self._axis))
            half = logits.shape[-1] // 2
            return logits[..., :half], logits[..., half:], buffers
        real_logits, buffers = self.judge(d, real)
        fake_logits, buffers = self.judge(d._replace(buffers=buffers), fake)
        return real_logits, fake_logits, buffers

    def opinion(self, d: Player, samples: Tensor) -> tuple[Tensor, Tensors]:
        """The discriminator's logits when it is the generator's turn."""
        if self._static.switch_eval:
            return self._nets.idle_discriminator(d.params, d.buffers, samples, NOTHING)
        return self.judge(d, samples)

    def _noise(self, prefix: str, shapes: NoiseShapes, batch: int) -> Tensors:
        draws = self._draws
        return {name: draws.uniform(prefix + name, s) for name, s in shapes(batch).items()}
