"""Inception's features through torch-fidelity's own network, with random weights."""

import hashlib
import io
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from gantune.config import TrialConfig
from gantune.engine.materials import make_materials
from gantune.errors import ConfigError, DataError
from gantune.loader import load_study
from gantune.metrics.evaluator import Evaluator
from gantune.metrics.inception import (
    inception_features,
    read_inception,
    to_bytes,
    to_network,
)
from gantune.sources import weights
from gantune.study import with_values

CPU = torch.device("cpu")


class Blank(FeatureExtractorInceptionV3):  # type: ignore[misc]
    """The network as it is made, without the download of its weights."""

    def load_state_dict(self, state: dict[str, Tensor]) -> None:  # type: ignore[override]
        assert state == {}


@pytest.fixture(scope="session")
def weights_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights, large enough for images to differ after 48 layers."""
    nothing = io.BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    rng = torch.Generator().manual_seed(0)
    state = {}
    for name, tensor in Blank("blank", ["2048"], nothing).state_dict().items():
        state[name] = tensor
        if name.endswith("weight") and tensor.dim() > 1:
            gain = math.sqrt(2 / math.prod(tensor.shape[1:]))
            state[name] = gain * torch.randn(tensor.shape, generator=rng)
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    torch.save(state, path)
    return path


@pytest.fixture
def named(weights_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(weights.VARIABLE, str(weights_file))
    return weights_file


def random_images(count: int, channels: int, side: int) -> Tensor:
    rng = torch.Generator().manual_seed(1)
    return torch.rand((count, channels, side, side), generator=rng) * 2 - 1


@pytest.mark.slow
@pytest.mark.parametrize(("channels", "side"), [(1, 28), (3, 32)])
def test_features_are_the_networks_of_the_images_as_bytes(
    weights_file: Path, channels: int, side: int
) -> None:
    images = random_images(3, channels, side)
    network = to_network(read_inception(weights_file))
    features = inception_features(network, images)
    assert features.shape == (3, 2048) and features.dtype == torch.float32
    theirs = FeatureExtractorInceptionV3("theirs", ["2048"], str(weights_file))
    numbers = np.rint((images.numpy().astype(np.float64) + 1) / 2 * 255).astype(np.uint8)
    rgb = np.repeat(numbers, 3, axis=1) if channels == 1 else numbers
    torch.testing.assert_close(features, theirs(torch.from_numpy(rgb))[0], rtol=1e-5, atol=1e-6)
    assert float((features[0] - features[1]).norm() / features[0].norm()) > 1e-3
    torch.testing.assert_close(
        inception_features(network, images[1:2]), features[1:2], rtol=1e-4, atol=1e-5
    )


def test_every_byte_comes_back_and_what_is_outside_is_cut() -> None:
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    back = to_bytes(levels.float() / 127.5 - 1)
    assert back.dtype == torch.uint8 and back.shape == (1, 3, 16, 16)
    assert all(torch.equal(back[:, channel], levels[:, 0]) for channel in range(3))
    outside = torch.tensor([-3.0, -1.0, 1.0, 3.0]).reshape(1, 1, 2, 2)
    assert to_bytes(outside)[0, 0].flatten().tolist() == [0, 0, 255, 255]


@pytest.mark.slow
def test_making_the_network_leaves_the_global_generator_alone(weights_file: Path) -> None:
    before = torch.random.get_rng_state()
    network = to_network(read_inception(weights_file))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not network.training and not any(p.requires_grad for p in network.parameters())


@pytest.mark.long
def test_a_run_is_measured_in_them_and_names_the_file_of_weights(
    named: Path, tmp_path: Path
) -> None:
    pictures = random_images(24, 1, 28)
    labels = np.arange(24) % 2
    numbers = to_bytes(pictures)[:, 0].numpy()
    np.savez(tmp_path / "set.npz", images=numbers, labels=labels)
    changes = {
        "data.name": "npz",
        "data.root": str(tmp_path / "set.npz"),
        "eval.features": "inception",
    }
    made = make_materials(with_values(TrialConfig(), changes))
    info = made.reference.info
    expected = hashlib.sha256(named.read_bytes()).hexdigest()[:16]
    assert (info.name, info.hash, info.accuracy, info.samples) == ("inception", expected, None, 24)
    assert made.reference.mean.shape == (2048,)
    evaluator = Evaluator(made.reference, CPU)
    same = evaluator.score(pictures, ["frechet_distance", "modes", "manifold"])
    other = evaluator.score(pictures.flip(2) * 0.2, ["frechet_distance", "modes"])
    spread = float(np.trace(made.reference.covariance))
    assert abs(same["frechet_distance"]) < 1e-3 * spread
    assert other["frechet_distance"] > 10 * abs(same["frechet_distance"])
    assert same["precision"] == 1.0
    assert same["modes"] in (1, 2)  # of the classifier, which no features replace


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_a_file_that_runs_code_runs_none(tmp_path: Path) -> None:
    torch.save({"fc.weight": Bomb(tmp_path / "ran")}, tmp_path / "bomb.pth")
    with pytest.raises(DataError, match=r"bomb\.pth does not hold the weights"):
        read_inception(tmp_path / "bomb.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", ["nothing", "text", "other", "list", "numbers"])
def test_other_files_are_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "weights.pth"
    if content in ("nothing", "text"):
        path.write_bytes(b"" if content == "nothing" else b"no weights")
    else:
        other = {"other": {"a": torch.zeros(1)}, "list": [1], "numbers": {"fc.bias": 1}}
        torch.save(other[content], path)
    with pytest.raises(DataError, match=r"weights\.pth does not hold the weights"):
        read_inception(path)


def test_missing_weights_are_found_before_any_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(weights.VARIABLE, str(tmp_path / "none.pth"))
    study = tmp_path / "study.yaml"
    study.write_text("name: s\ntrial: {eval: {features: inception}}\n")
    with pytest.raises(ConfigError) as caught:
        load_study(study, [])
    for words in ("line 2", "trial.eval.features", weights.URL, f"${weights.VARIABLE}", "none.pth"):
        assert words in str(caught.value)


def test_the_missing_package_is_named(named: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert weights.find_inception() == named
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(DataError, match=r"pip install 'gantune\[inception\]'"):
        weights.find_inception()


def test_without_a_name_they_are_where_torch_fidelity_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(weights.VARIABLE, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert weights.inception_path() == Path(torch.hub.get_dir()) / "checkpoints" / weights.FILE
    monkeypatch.delenv("TORCH_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert weights.inception_path() == Path(torch.hub.get_dir()) / "checkpoints" / weights.FILE


def test_the_address_is_torch_fidelitys() -> None:
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    assert weights.URL == URL_INCEPTION_V3
