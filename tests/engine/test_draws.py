"""Draws depend on their keys and on nothing else."""

import torch

from gantune.config import TrialConfig
from gantune.engine.draws import draw_epoch, draw_latents, keyed_generator
from gantune.parts.networks import MlpGenerator
from gantune.parts.training import Train
from gantune.seeds import derive_seed

CPU = torch.device("cpu")


def trial(**options: object) -> TrialConfig:
    return TrialConfig(
        generator=MlpGenerator(latent_dim=3),
        train=Train.model_validate({"batch_size": 8, **options}),
    )


def test_equal_keys_give_equal_draws_whatever_was_drawn_before() -> None:
    first = draw_epoch(trial(), 5, 20, seed=1, epoch=3, device=CPU)
    torch.rand(7)
    draw_epoch(trial(), 5, 20, seed=2, epoch=1, device=CPU)
    again = draw_epoch(trial(), 5, 20, seed=1, epoch=3, device=CPU)
    assert torch.equal(first.indices, again.indices) and torch.equal(first.latents, again.latents)


def test_other_keys_give_other_draws() -> None:
    base = draw_epoch(trial(), 5, 20, seed=1, epoch=1, device=CPU)
    for other in (
        draw_epoch(trial(), 5, 20, seed=1, epoch=2, device=CPU),
        draw_epoch(trial(), 5, 20, seed=2, epoch=1, device=CPU),
    ):
        assert not torch.equal(base.indices, other.indices)
        assert not torch.equal(base.latents, other.latents)


def test_every_sample_is_seen_once_before_any_is_seen_again() -> None:
    draws = draw_epoch(trial(d_steps=2), 5, 20, seed=1, epoch=1, device=CPU)
    rows = draws.indices.flatten()
    assert draws.indices.shape == (10, 8)
    for start in range(0, 80, 20):
        assert sorted(rows[start : start + 20].tolist()) == list(range(20))


def test_latents_are_counted_for_shared_and_separate_fakes() -> None:
    assert draw_epoch(trial(), 5, 20, 1, 1, CPU).latents.shape == (5, 8, 3)
    separate = trial(share_fake=False, g_steps=2)
    assert draw_epoch(separate, 5, 20, 1, 1, CPU).latents.shape == (15, 8, 3)


def test_latent_distributions() -> None:
    rng = keyed_generator(CPU, "test")
    normal = draw_latents((20_000,), "normal", rng)
    uniform = draw_latents((20_000,), "uniform", rng)
    assert abs(normal.mean()) < 0.04 and abs(normal.std() - 1) < 0.03
    assert uniform.min() >= -1 and uniform.max() <= 1 and abs(uniform.mean()) < 0.03


def test_seeds_are_the_same_on_every_machine() -> None:
    # The first eight bytes of sha256("trial/0/7"), big endian, without the last bit.
    assert derive_seed("trial", 0, 7) == 452745664999115019
