"""A trained generator as a module, and as a folder to give away."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import make_study

import gantune
from gantune.checkpoints import read_checkpoint
from gantune.engine.engine import Lane, generate, sample_latents
from gantune.host import Host
from gantune.paths import RunPaths
from gantune.trial import TrialSpec

DIGITS: dict[str, Any] = {
    "data": {"name": "digits", "limit": 150},
    "train": {"epochs": 3, "steps_per_epoch": 3, "batch_size": 16},
    "eval": {"samples": 60},
}
GENERATORS: dict[str, dict[str, Any]] = {
    "mlp": {"generator": {"hidden": [8, 8], "latent_dim": 3, "norm": "batch"}},
    "sigmoid": {"generator": {"hidden": [8], "latent_dim": 3, "output": "sigmoid"}},
    "uniform": {"generator": {"hidden": [8], "latent_dim": 3, "latent": "uniform"}},
    "dcgan": {"generator": {"name": "dcgan", "features": 4, "latent_dim": 5}},
    "resnet": {"generator": {"name": "resnet", "features": 4, "latent_dim": 5}},
}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> gantune.Run:
    study = make_study(trial=DIGITS | GENERATORS["mlp"], description="Two\nlines.")
    return gantune.train(study, tmp_path_factory.mktemp("digits") / "one")


@pytest.fixture
def exported(digits: gantune.Run, tmp_path: Path) -> Path:
    from gantune.export import write_export

    write_export(digits, digits.best(), tmp_path / "out")
    return tmp_path / "out"


def lane_of(host: Host, spec: TrialSpec) -> Lane:
    handle = host.open(spec)
    host.advance(handle, spec.epochs, 60)
    return host._open[handle].lane


@pytest.mark.parametrize("name", sorted(GENERATORS))
@pytest.mark.parametrize("ema", [None, 0.9])
def test_it_generates_what_the_engine_does(tmp_path: Path, name: str, ema: float | None) -> None:
    """With one epoch the best is the last: the engine's own samples are at hand."""
    train = {**DIGITS["train"], "epochs": 1, "ema": ema}
    trial = make_study(trial=DIGITS | GENERATORS[name] | {"train": train}).trial
    spec = TrialSpec(
        trial_id="t_0",
        number=0,
        seed=5,
        config=trial,
        metric="frechet_distance",
        goal="minimize",
        rungs=(),
        folder=str(tmp_path / "trial"),
        threads=1,
    )
    lane = lane_of(Host(), spec)
    checkpoint = read_checkpoint(tmp_path / "trial" / "best")
    assert checkpoint is not None and checkpoint.meta["sample_shape"] == [1, 8, 8]
    from gantune.generator import read_generator

    generator = read_generator(checkpoint.path, trial, (1, 8, 8))
    z = sample_latents(trial, 7, seed=2)
    samples = generator(z)
    assert torch.equal(samples, generate(lane.generator, lane.state, z))
    assert torch.equal(samples, generator.sample(7, seed=2))
    assert samples.shape == (7, 1, 8, 8) and samples.abs().max() <= 1
    assert not generator.training and not samples.requires_grad


def test_it_is_a_module_like_any_other(digits: gantune.Run) -> None:
    generator = digits.best().generator()
    assert isinstance(generator, torch.nn.Module) and generator.latent_dim == 3
    names = set(generator.state_dict())
    assert {"weights.0.weight", "weights.0.bias", "weights.1.norm.weight"} <= names
    assert len(list(generator.buffers())) == 2
    z = torch.zeros(2, 3)
    before = generator(z)
    assert torch.equal(generator.train()(z), before)  # whatever its mode
    assert torch.equal(generator.double()(z.double()), generator.double()(z.double()))
    assert generator.sample(2).dtype == torch.float64
    again = digits.trial(0).generator()
    again.load_state_dict(generator.float().state_dict())
    assert torch.equal(again(z), before)


def test_samples_depend_on_the_seed_only(digits: gantune.Run) -> None:
    generator = digits.best().generator()
    first = generator.sample(1500, seed=1)
    torch.rand(3)
    assert torch.equal(generator.sample(1500, seed=1), first)
    assert not torch.equal(generator.sample(1500, seed=2), first)
    for count in (0, -1):
        with pytest.raises(gantune.UsageError, match="n is at least 1"):
            generator.sample(count)
    for shape in ((3,), (2, 4), (2, 3, 1)):
        with pytest.raises(gantune.UsageError, match=r"latents have shape \(n, 3\)"):
            generator(torch.zeros(shape))


def test_points(tmp_path: Path) -> None:
    generator = gantune.train(make_study(), tmp_path / "r").best().generator()
    assert generator.sample(5).shape == (5, 2)


def test_trials_by_number(digits: gantune.Run) -> None:
    assert digits.trial(0) == digits.best()
    with pytest.raises(gantune.UsageError, match="one has no trial 3; it has 1 trials"):
        digits.trial(3)


def test_a_checkpoint_that_does_not_know_its_shape(tmp_path: Path) -> None:
    run = gantune.train(make_study(), tmp_path / "r")
    (meta,) = RunPaths(run.root).best(0).glob("meta-*.json")
    tree = json.loads(meta.read_text())
    del tree["sample_shape"], tree["seal"]
    meta.write_text(json.dumps(tree))
    assert run.best().sample_shape is None
    with pytest.raises(gantune.CheckpointError, match="does not know its sample shape"):
        run.best().generator()


def test_an_export_is_loaded_back(digits: gantune.Run, exported: Path) -> None:
    original, loaded = digits.best().generator(), gantune.load_generator(exported)
    assert torch.equal(loaded.sample(9), original.sample(9))
    assert loaded.config == digits.best().config and loaded.sample_shape == (1, 8, 8)
    facts = json.loads((exported / "config.json").read_text())
    assert facts["sample_shape"] == [1, 8, 8] and facts["gantune"]
    card = (exported / "README.md").read_text()
    best = digits.best()
    features = digits.info["sessions"][0]["features"]
    for part in (
        "study `tiny`",
        "Two\nlines.",
        f"frechet_distance {best.objective:.6g}, best epoch {best.epoch} of 3",
        f"trial {digits.trials['seed'].iloc[0]}; study 0",
        f"features {features['hash']}",
        "name: digits, limit: 150",
        "torch " + torch.__version__.split("+")[0],
        f"| modes | {best.record['modes']} |",
        'gantune.load_generator("out")',
    ):
        assert part in card, part
    assert "wall_s" not in card


@pytest.mark.slow
def test_the_lines_of_the_card_load_it(exported: Path) -> None:
    code = (exported / "README.md").read_text().split("```python\n")[1].split("```")[0]
    check = "assert samples.shape == (64, 1, 8, 8)"
    subprocess.run([sys.executable, "-c", code + check], cwd=exported.parent, check=True)


def test_an_export_is_not_overwritten_unasked(digits: gantune.Run, exported: Path) -> None:
    from gantune.export import write_export

    (exported / "generator.safetensors").write_bytes(b"mine")
    with pytest.raises(gantune.UsageError, match=r"has generator.safetensors, .* --force"):
        write_export(digits, digits.best(), exported)
    assert (exported / "generator.safetensors").read_bytes() == b"mine"
    write_export(digits, digits.best(), exported, force=True)
    assert gantune.load_generator(exported).sample(1).shape == (1, 1, 8, 8)


@pytest.mark.parametrize("name", ["config.json", "generator.safetensors"])
def test_a_missing_file_is_named(exported: Path, name: str) -> None:
    (exported / name).unlink()
    with pytest.raises(gantune.UsageError, match=f"is no export: it has no {name}"):
        gantune.load_generator(exported)


@pytest.mark.parametrize("data", [b"", b"junk", b"\xff" * 100, None])
def test_damaged_weights_are_an_error(exported: Path, data: bytes | None) -> None:
    weights = exported / "generator.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9] if data is None else data)
    with pytest.raises(gantune.CheckpointError, match=r"generator\.safetensors cannot be read"):
        gantune.load_generator(exported)


@pytest.mark.parametrize(
    "change",
    [
        "not json",
        [],
        {"config": {"generator": {"hidden": "wide"}}},
        {"config": None},
        {"sample_shape": "square"},
        {"sample_shape": None},
        {"format": "new"},
    ],
)
def test_a_damaged_configuration_is_an_error(exported: Path, change: Any) -> None:
    path = exported / "config.json"
    if isinstance(change, dict):
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
    else:
        path.write_text(change if isinstance(change, str) else json.dumps(change))
    with pytest.raises(gantune.CheckpointError, match=r"config\.json is damaged"):
        gantune.load_generator(exported)


def test_an_export_of_a_newer_version_is_refused(exported: Path) -> None:
    path = exported / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    with pytest.raises(gantune.CheckpointError, match="newer gantune"):
        gantune.load_generator(exported)


def test_weights_of_another_configuration_are_refused(exported: Path) -> None:
    path = exported / "config.json"
    facts = json.loads(path.read_text())
    facts["config"]["generator"]["hidden"] = [9]
    path.write_text(json.dumps(facts))
    with pytest.raises(gantune.CheckpointError, match="not those of this mlp generator"):
        gantune.load_generator(exported)
