"""The same on a CUDA device. Run with ``pytest -m gpu`` where there is one; never run so far."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from data_files import two_classes
from lab import CPU, SIZE, bench, config
from test_host import base, numbers, run, spec
from test_optim import CASES, FACTORS, ROUNDS, gradients, start
from torch import Tensor

from gantune.config import TrialConfig
from gantune.engine.batches import InMemory, Streamed
from gantune.engine.data import load_dataset
from gantune.engine.draws import Draws, Noise, draw_epoch
from gantune.engine.engine import trainable
from gantune.engine.epoch import run_epoch
from gantune.engine.memory import keep_to_share, memory_errors
from gantune.engine.networks import DISCRIMINATORS, GENERATORS
from gantune.engine.optim import functional_update, in_place_update, make_rates, new_player
from gantune.engine.setup import hyper_part, rate_factors, solo_nets, solo_updates
from gantune.engine.state import map_state
from gantune.engine.summary import summarise
from gantune.errors import DeviceMemoryError
from gantune.host import Host
from gantune.parts.data import ImageFolder
from gantune.sources.folder import ImageFiles
from gantune.study import with_values

pytestmark = pytest.mark.gpu

CUDA = torch.device("cuda")
FIRST = 3
"""Rounds in which two devices have not yet drifted apart."""


def test_a_share_of_the_memory_is_all_that_a_trial_gets(tmp_path: Path) -> None:
    sharing = spec(tmp_path, base(), gpu=0.25)
    keep_to_share(sharing, CUDA)
    total = torch.cuda.get_device_properties(0).total_memory
    try:
        with (
            pytest.raises(DeviceMemoryError, match=r"raise resources\.gpu"),
            memory_errors(sharing),
        ):
            torch.empty(total // 3, dtype=torch.uint8, device=CUDA)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


class Moved:
    """The CPU's noise on another device."""

    def __init__(self, noise: Noise, device: torch.device) -> None:
        self._noise, self._device = noise, device

    def uniform(self, purpose: str, shape: Sequence[int]) -> Tensor:
        return self._noise.uniform(purpose, shape).to(self._device)

    def normal(self, purpose: str, shape: Sequence[int]) -> Tensor:
        return self._noise.normal(purpose, shape).to(self._device)


def first_losses(trial: TrialConfig, device: torch.device) -> list[dict[str, Any]]:
    """Losses of a trial's first rounds; random numbers are the CPU's on every device."""
    ready = bench(trial)
    rounds = ready.rounds
    draws = draw_epoch(trial, rounds, SIZE, 0, 1, CPU)
    _, trace = run_epoch(
        ready.static,
        trainable(map_state(lambda tensor: tensor.to(device), ready.start(0))),
        hyper_part(trial, 1, rounds, device),
        Draws(draws.indices.to(device), draws.latents.to(device), Moved(draws.noise, device)),
        ready.data.to(device).__getitem__,
        solo_nets(trial, ready.generator, ready.discriminator, device),
        solo_updates(trial, rate_factors(trial, 1, rounds)),
    )
    found = summarise(trace, ready.static.loss, rounds).rounds[:FIRST]
    return [{name: row[name] for name in ("g_loss", "d_loss")} for row in found]


def pair(generator: str, discriminator: str) -> dict[str, Any]:
    """A small pair of networks, as changes to a trial."""
    changes: dict[str, Any] = {"generator.name": generator, "discriminator.name": discriminator}
    if generator != "mlp":
        changes["generator.features"] = 8
    if discriminator not in ("mlp", "maxout"):
        changes["discriminator.features"] = 8
    return changes


def test_a_trial_on_the_gpu(tmp_path: Path) -> None:
    on_gpu = [
        numbers(run(Host(), spec(tmp_path / name, base(device="cuda")))) for name in ("a", "b")
    ]
    assert on_gpu[0] == on_gpu[1]
    assert torch.cuda.max_memory_allocated() > 0
    # Draws differ between devices, so that only the course of training can be compared.
    on_cpu = numbers(run(Host(), spec(tmp_path / "cpu", base(device="cpu"))))
    assert on_gpu[0][-1]["d_loss"] == pytest.approx(on_cpu[-1]["d_loss"], rel=0.2)


def test_a_trial_resumed_on_the_gpu(tmp_path: Path) -> None:
    whole = run(Host(), spec(tmp_path / "whole", base(device="cuda")))
    broken = run(Host(), spec(tmp_path / "broken", base(device="cuda")), until=2)
    resumed = run(Host(), spec(tmp_path / "broken", base(device="cuda")))
    assert numbers(broken + resumed) == numbers(whole)


@pytest.mark.parametrize("discriminator", sorted(DISCRIMINATORS))
@pytest.mark.parametrize("generator", sorted(GENERATORS))
def test_every_pair_trains_and_begins_as_on_the_cpu(
    tmp_path: Path, generator: str, discriminator: str
) -> None:
    changes = pair(generator, discriminator)
    trial = with_values(base(device=CUDA.type), {**changes, "train.epochs": 2})
    parts = run(Host(), spec(tmp_path, trial))
    assert parts[-1].status == "completed" and len(numbers(parts)) == 2
    small = config(**changes)
    for there, here in zip(first_losses(small, CUDA), first_losses(small, CPU), strict=True):
        assert there == pytest.approx(here, rel=0.02, abs=0.01)


@pytest.mark.parametrize("changes", [{"train.precision": "bf16"}, {"train.channels_last": True}])
def test_speed_changes_little_else(tmp_path: Path, changes: dict[str, Any]) -> None:
    small = config(**pair("dcgan", "dcgan"))
    fast = first_losses(with_values(small, changes), CUDA)
    for found, plain in zip(fast, first_losses(small, CUDA), strict=True):
        assert found == pytest.approx(plain, rel=0.1, abs=0.05)
    trial = with_values(base(device=CUDA.type), {**pair("dcgan", "dcgan"), **changes})
    assert run(Host(), spec(tmp_path, trial))[-1].status == "completed"


@pytest.mark.parametrize("options", [case[0] for case in CASES], ids=lambda x: x.name)
def test_both_forms_of_an_optimizer_agree(options: Any) -> None:
    first = {name: param.to(CUDA) for name, param in start(options.name).params.items()}
    ends = []
    for update in (
        in_place_update(options, FACTORS),
        functional_update(options.name, make_rates(options, FACTORS, CUDA)),
    ):
        params = {name: param.clone() for name, param in first.items()}
        player = new_player(params, {}, options.name)
        for number in range(ROUNDS):
            given = [gradient.to(CUDA) for gradient in gradients(number, player)]
            player = update(player, given, number)
        ends.append(player.params)
    for name, param in ends[0].items():
        torch.testing.assert_close(param, ends[1][name], rtol=1e-5, atol=1e-6)
        assert not torch.equal(param, first[name])


def test_streamed_batches_equal_those_in_memory(tmp_path: Path) -> None:
    root = two_classes(tmp_path / "pictures", count=20, side=8)
    files = load_dataset(ImageFolder(root=str(root), workers=2)).train
    assert isinstance(files, ImageFiles)
    memory = InMemory(torch.tensor(files[:], device=CUDA))
    stream = Streamed(files, CUDA, workers=2)
    rows = torch.randint(40, (6, 5), generator=torch.Generator().manual_seed(0)).to(CUDA)
    for _ in range(2):
        stream.begin(rows)
        for batch in rows:
            found = stream(batch)
            assert found.device.type == CUDA.type and torch.equal(found, memory(batch))
