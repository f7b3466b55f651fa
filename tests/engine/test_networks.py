"""Networks: shapes at every size, layers against torch's own, initial weights."""

from collections.abc import Iterable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gantune.config import TrialConfig
from gantune.engine.draws import keyed_generator
from gantune.engine.networks import DISCRIMINATORS, GENERATORS
from gantune.engine.networks.base import Network
from gantune.engine.networks.layers import Call, Dropout, MinibatchStd
from gantune.engine.networks.norms import BatchNorm, InstanceNorm, LayerNorm
from gantune.engine.networks.weights import Conv, Linear, Maxout, SelfAttention
from gantune.parts.sizes import smallest_map
from gantune.study import with_values

CPU = torch.device("cpu")
SIZES = [8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128]


def noise(network: Network, batch: int) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    shapes = network.noise_shapes(batch)
    return {name: torch.rand(shape, generator=rng) for name, shape in shapes.items()}


USUAL = (8, 10, 28, 32, 64)
"""Of those; the others are for `make test-long`."""


def of_every_size(names: Iterable[str]) -> list[Any]:
    return [
        pytest.param(name, size, marks=() if size in USUAL else pytest.mark.long)
        for name in sorted(names)
        for size in SIZES
    ]


def is_made(name: str, size: int) -> bool:
    """Upsample doubles twice, from a quarter of the size."""
    return name != "upsample" or size % 4 == 0


MAKES = [one for one in of_every_size(GENERATORS) if is_made(*one.values)]


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("name", "size"), MAKES)
def test_generators_make_every_size(name: str, size: int, channels: int) -> None:
    features = {} if name == "mlp" else {"generator.features": 1}
    options = with_values(TrialConfig(), {"generator.name": name, **features}).generator
    network = GENERATORS[name](options, (channels, size, size))
    params, buffers = network.init(keyed_generator(CPU, "test"))
    z = torch.randn(2, options.latent_dim, generator=torch.Generator().manual_seed(0))
    images, _ = network(params, buffers, z, {}, train=False)
    assert images.shape == (2, channels, size, size)
    assert images.abs().max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("pack", [1, 2])
@pytest.mark.parametrize(("name", "size"), of_every_size(DISCRIMINATORS))
def test_discriminators_judge_every_size(name: str, size: int, pack: int) -> None:
    changes: dict[str, Any] = {"discriminator.name": name, "discriminator.pack": pack}
    if name not in ("mlp", "maxout"):
        changes["discriminator.features"] = 1
    options = with_values(TrialConfig(), changes | {"discriminator.minibatch_std": True})
    network = DISCRIMINATORS[name](options.discriminator, (3, size, size))
    params, buffers = network.init(keyed_generator(CPU, "test"))
    x = torch.randn(4, 3, size, size, generator=torch.Generator().manual_seed(0))
    logits, _ = network(params, buffers, x, noise(network, 4), train=True)
    assert logits.shape == (4 // pack,)
    assert network.couples_samples


def test_sizes_that_cannot_be_made_are_named() -> None:
    for size in (4, 9, 18, 30, 100):
        with pytest.raises(ValueError, match=f"{size} is not 4, 5, 6 or 7 times"):
            smallest_map(size)


def test_dcgan_is_the_papers_at_64_pixels() -> None:
    """Radford et al. 2016, figure 1: 100 -> 4x4x512 -> 8x8x256 -> 16x16x128 -> 32x32x64 -> 64."""
    changes = {"generator.name": "dcgan", "generator.latent_dim": 100}
    options = with_values(TrialConfig(), changes).generator
    params, _ = GENERATORS["dcgan"](options, (3, 64, 64)).init(keyed_generator(CPU, "test"))
    weights = {name: tuple(p.shape) for name, p in params.items() if p.dim() == 4}
    assert list(weights.values()) == [
        (100, 512, 4, 4),
        (512, 256, 4, 4),
        (256, 128, 4, 4),
        (128, 64, 4, 4),
        (64, 3, 4, 4),
    ]
    assert not any(f"{i}.bias" in params for i in range(5)), "batch norm takes a bias away"
    first = params["0.weight"]
    assert first.std().item() == pytest.approx(0.02, rel=0.02)


def test_pacgans_networks_have_the_papers_number_of_parameters() -> None:
    """484,802 and 405,201 (gan.md 1.2)."""
    changes = {
        "generator.latent_dim": 2,
        "generator.hidden": [400] * 4,
        "generator.norm": "batch",
        "generator.norm_first": True,
        "discriminator.name": "maxout",
        "discriminator.hidden": [200] * 3,
    }
    config = with_values(TrialConfig(), changes)
    for build, options, expected in (
        (GENERATORS["mlp"], config.generator, 484_802),
        (DISCRIMINATORS["maxout"], config.discriminator, 405_201),
    ):
        params, _ = build(options, (2,)).init(keyed_generator(CPU, "test"))
        assert sum(p.numel() for p in params.values()) == expected


X = torch.randn(6, 4, 5, 5, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (BatchNorm("n", 4, 0.1, "uniform"), nn.BatchNorm2d(4, 0.1)),
        (InstanceNorm("n", 4, 0.1, "uniform"), nn.InstanceNorm2d(4, 0.1, affine=True)),
        (LayerNorm("n", 4, 0.1, "uniform"), nn.GroupNorm(1, 4, 0.1)),
    ],
    ids=["batch", "instance", "layer"],
)
def test_norms_are_torchs(ours: Any, theirs: nn.Module) -> None:
    params, buffers = ours.init(torch.Generator())
    before = {name: tensor.clone() for name, tensor in buffers.items()}
    params = {name: tensor + 0.3 for name, tensor in params.items()}
    theirs.load_state_dict({n.split(".")[1]: t for n, t in params.items()}, strict=False)
    for train in (True, False):
        call = Call(params, dict(buffers), {}, train)
        theirs.train(train)
        torch.testing.assert_close(ours(call, X), theirs(X), rtol=1e-5, atol=1e-6)
        after = call.buffers
        for name, tensor in before.items():
            assert torch.equal(buffers[name], tensor), "statistics were changed in place"
        buffers, before = after, {name: tensor.clone() for name, tensor in after.items()}


def test_spectral_norm_by_singular_values_and_by_torch() -> None:
    """``nn.utils.spectral_norm`` is the paper's algorithm; the newer one keeps v instead."""
    layer = Conv("c", 4, 7, 3, "uniform", spectral=True)
    params, buffers = layer.init(torch.Generator().manual_seed(0))
    module = nn.utils.spectral_norm(nn.Conv2d(4, 7, 3))
    with torch.no_grad():
        module.weight_orig.copy_(params["c.weight"])
        module.weight_u.copy_(buffers["c.u"])
        assert module.bias is not None
        module.bias.copy_(params["c.bias"])
    for number in range(3):
        call = Call(params, dict(buffers), {}, True)
        found, expected = layer(call, X), module(X)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(call.buffers["c.u"], module.weight_u, rtol=1e-5, atol=1e-6)
        # The weight moves, as in training: the next iteration starts from an older vector.
        params["c.weight"] = params["c.weight"] + 0.1 * (number + 1)
        with torch.no_grad():
            module.weight_orig.copy_(params["c.weight"])
        buffers = call.buffers
    for _ in range(300):
        call = Call(params, buffers, {}, True)
        weight = layer.weight(call)
        buffers = call.buffers
    assert torch.linalg.svdvals(weight.flatten(1))[0].item() == pytest.approx(1, rel=1e-4)
    frozen = layer.weight(Call(params, dict(buffers), {}, False))
    torch.testing.assert_close(frozen, weight)


def test_dropout_keeps_the_mean_and_does_nothing_in_eval_mode() -> None:
    layer = Dropout("d", 0.25, (4, 1, 1))
    u = torch.rand(6, 4, 1, 1, generator=torch.Generator().manual_seed(2))
    kept = layer(Call({}, {}, {"d": u}, True), X)
    torch.testing.assert_close(kept, X * (u >= 0.25) / 0.75)
    assert torch.equal(layer(Call({}, {}, {}, False), X), X)


def test_maxout_and_minibatch_std_by_hand() -> None:
    layer = Maxout("m", 1, 1, 2, "uniform")
    params = {"m.weight": torch.tensor([[1.0], [-1.0]]), "m.bias": torch.zeros(2)}
    found = layer(Call(params, {}, {}, True), torch.tensor([[3.0], [-2.0]]))
    torch.testing.assert_close(found, torch.tensor([[3.0], [2.0]]))  # |x|
    x = torch.tensor([[0.0, 1.0], [2.0, 1.0]])  # standard deviations 1 and 0
    spread = MinibatchStd()(Call({}, {}, {}, True), x)
    torch.testing.assert_close(spread[:, 2], torch.full((2,), 0.5), rtol=1e-3, atol=1e-3)


def test_self_attention_begins_as_the_identity_and_is_fastais() -> None:
    layer = SelfAttention("a", 8, "uniform", spectral=False)
    params, buffers = layer.init(torch.Generator().manual_seed(0))
    x = torch.randn(2, 8, 3, 3, generator=torch.Generator().manual_seed(1))
    assert torch.equal(layer(Call(params, buffers, {}, True), x), x)
    params["a.gamma"] = torch.tensor(0.5)
    flat = x.flatten(2)
    query, key, value = (
        params[f"a.{which}.weight"].flatten(1) @ flat for which in ("query", "key", "value")
    )
    beta = F.softmax(torch.bmm(query.transpose(1, 2), key), dim=1)
    expected = (0.5 * torch.bmm(value, beta) + flat).view_as(x)
    found = layer(Call(params, buffers, {}, True), x)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("init", "expected"),
    [("uniform", 1 / 3), ("normal", 0.02), ("kaiming", 2**0.5), ("kaiming_uniform", 2**0.5)],
)
def test_initial_weights_have_the_published_spread(init: str, expected: float) -> None:
    layer = Linear("l", 400, 500, init)
    params, _ = layer.init(torch.Generator().manual_seed(0))
    spread = params["l.weight"].std().item()
    by_fan_in = expected / 20 if init.startswith("kaiming") else expected
    # U(-b, b) with b = 1 / sqrt(400) has standard deviation b / sqrt(3).
    wanted = (1 / 3) ** 0.5 / 20 if init == "uniform" else by_fan_in
    assert spread == pytest.approx(wanted, rel=0.02)
