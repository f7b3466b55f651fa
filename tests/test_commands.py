"""export, sample, evaluate and train again, as people meet them: real files, real exit codes."""

import json
import shutil
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from test_cli import TINY, sets

import gantune
from gantune.cli import main
from gantune.columns import TIMES
from gantune.evaluate import scores_to_estimates
from gantune.paths import RunPaths
from gantune.pictures import samples_to_picture

DIGITS = [
    "data={name: digits, limit: 150}",
    "generator={hidden: [16], latent_dim: 4}",
    "train.epochs=6",
]


class Done(NamedTuple):
    """What a command left."""

    returncode: int
    stdout: str
    stderr: str


def call(*arguments: object, cwd: Path) -> Done:
    """A command in this process: importing torch for each would take longer than all of them."""
    out, err, code = StringIO(), StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, chdir(cwd):
        patch.setattr(sys, "argv", ["gantune", *map(str, arguments)])
        with redirect_stdout(out), redirect_stderr(err):
            try:
                main()
            except SystemExit as ended:
                code = int(ended.code or 0)
    return Done(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study, and runs of one trial on points and on digits."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "tiny.yaml").write_text(TINY)
    for name, overrides in (("points", []), ("digits", DIGITS)):
        options = [*sets(overrides), "--out", f"runs/{name}"]
        done = call("train", "tiny.yaml", *options, cwd=folder)
        assert done.returncode == 0, done.stderr
    call("export", "digits", "--out", "there", cwd=folder)
    return folder


@pytest.fixture
def broken(place: Path, tmp_path: Path) -> Path:
    """A copy in which the weights of the run and of the export are damaged."""
    shutil.copytree(place, tmp_path / "copy")
    root = tmp_path / "copy"
    (weights,) = RunPaths(root / "runs" / "points").best(0).glob("*.safetensors")
    for path in (weights, root / "there" / "generator.safetensors"):
        path.write_bytes(path.read_bytes()[:-10])
    return root


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "points"], "export needs --out DIR, or --study FILE"),
        (["export", "nothing", "--out", "x"], "nothing: no such run; runs in runs: digits, points"),
        (["export", "points", "--out", "x", "--trial", "7"], "points has no trial 7"),
        (["export", "points", "--out", "x", "--trial", "first"], "a trial's number or best"),
        (["export", "points", "--out", "there"], "there has generator.safetensors"),
        (["export", "points", "--study", "tiny.yaml"], "tiny.yaml exists already; --force"),
        (["export", "points", "--out", "tiny.yaml"], "tiny.yaml cannot be made"),
        (["sample", "points"], "Missing option '--out'"),
        (["sample", "points", "--out", "x.png", "-n", "0"], "Invalid value for"),
        (["sample", "points", "--out", "x.png", "--trial", "1"], "points has no trial 1"),
        (["sample", "nothing", "--out", "x.png"], "nothing: no such run"),
        (["evaluate", "points", "--samples", "1"], "Invalid value for"),
        (["evaluate", "points", "--repeats", "1"], "Invalid value for"),
        (["evaluate", "points", "--trial", "-1"], "a trial's number or best"),
        (["train", "points"], "points is a run; say which trial to train again"),
        (["train", "runs/points"], "is a run; say which trial to train again"),
        (["train", "points", "--trial", "0", "--set", "train.epoch=3"], "did you mean 'epochs'?"),
        (["train", "points", "--trial", "4"], "points has no trial 4"),
        (["train", "tiny.yaml", "--trial", "0"], "--trial is for a trial of a run"),
        (["train", "tiny.yaml", "--set", "loggers=[wandb]"], "Input should be 'tensorboard'"),
        (["train", "tiny.yaml", "--set", "samples.count=0"], "samples.count: "),
        (["train", "points", "--trial", "0", "--out", "there"], "there exists"),
    ],
)
def test_bad_input_is_a_message_and_exit_code_2(
    place: Path, arguments: list[str], message: str
) -> None:
    before = sorted(path for path in place.rglob("*") if path.name != "lock")
    done = call(*arguments, cwd=place)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr and "Traceback" not in done.stderr
    assert sorted(path for path in place.rglob("*") if path.name != "lock") == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "points", "--out", "x"], "no whole checkpoint of trial 0"),
        (["sample", "points", "--out", "x.png"], "no whole checkpoint of trial 0"),
        (["evaluate", "points", "--trial", "0"], "no whole checkpoint of trial 0"),
        (["sample", "there", "--out", "x.png"], "generator.safetensors cannot be read"),
    ],
)
def test_damaged_weights_are_a_message_and_exit_code_2(
    broken: Path, arguments: list[str], message: str
) -> None:
    done = call(*arguments, cwd=broken)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr and "Traceback" not in done.stderr
    assert not (broken / "x").exists() and not (broken / "x.png").exists()


def test_an_export_with_a_file_missing_is_named(broken: Path) -> None:
    (broken / "there" / "config.json").unlink()
    done = call("sample", "there", "--out", "x.png", cwd=broken)
    assert done.returncode == 2 and "there is no export: it has no config.json" in done.stderr


def test_a_picture_of_a_run_and_of_its_export_are_the_same(place: Path, tmp_path: Path) -> None:
    for source in ("digits", "there"):
        path = tmp_path / f"{source}.png"
        done = call("sample", source, "-n", "7", "--seed", "3", "--out", path, cwd=place)
        assert done.returncode == 0 and "7 samples" in done.stdout
    assert (tmp_path / "digits.png").read_bytes() == (tmp_path / "there.png").read_bytes()
    generator = gantune.load_generator(place / "there")
    picture = samples_to_picture(generator.sample(7, 3).numpy(), generator.config.data)
    with Image.open(tmp_path / "there.png") as shown:
        assert np.array_equal(np.asarray(shown), np.asarray(picture))


def test_a_picture_of_points(place: Path, tmp_path: Path) -> None:
    done = call("sample", "points", "--out", tmp_path / "p.png", cwd=place)
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.size == (320, 320)


@pytest.mark.slow
def test_export_writes_both_and_over_what_is_there_if_told(place: Path, tmp_path: Path) -> None:
    options = ["--out", tmp_path / "out", "--study", tmp_path / "trial.yaml"]
    assert call("export", "digits", "--trial", "0", *options, cwd=place).returncode == 0
    assert call("export", "digits", *options, cwd=place).returncode == 2
    assert call("export", "digits", *options, "--force", cwd=place).returncode == 0
    assert gantune.load_generator(tmp_path / "out").sample(1).shape == (1, 1, 8, 8)
    study = gantune.load_study(tmp_path / "trial.yaml")
    assert study.trial == gantune.load(place / "runs" / "digits").best().config


def test_a_trial_is_trained_again(place: Path, tmp_path: Path) -> None:
    done = call("train", "digits", "--trial", "best", "--out", tmp_path / "again", cwd=place)
    assert done.returncode == 0, done.stderr
    runs = [gantune.load(path) for path in (place / "runs" / "digits", tmp_path / "again")]
    one, other = (run.epochs.drop(columns=[*(TIMES & set(run.epochs)), "trial_id"]) for run in runs)
    assert one.equals(other)
    for name in ("epoch-00005.png", "epoch-00006.png"):
        pictures = [RunPaths(run.root).samples(0) / name for run in runs]
        assert pictures[0].read_bytes() == pictures[1].read_bytes()


def test_it_gets_a_name_of_its_own(place: Path, tmp_path: Path) -> None:
    options = [*sets(["train.epochs=2"]), "--runs-dir", tmp_path]
    done = call("train", "runs/digits", "--trial", "0", *options, cwd=place)
    assert done.returncode == 0, done.stderr
    assert len(gantune.load(tmp_path / "digits-trial-0").epochs) == 2


def test_evaluate_prints_a_table_and_writes_json(place: Path) -> None:
    options = ["--samples", "300", "--repeats", "3"]
    done = call("evaluate", "digits", *options, cwd=place)
    assert done.returncode == 0, done.stderr
    path = RunPaths(place / "runs" / "digits").evaluation(0)
    first = json.loads(path.read_text())
    assert (first["trial"], first["samples"], first["repeats"]) == (0, 300, 3)
    assert first["features"] == gantune.load(place / "runs/digits").info["sessions"][0]["features"]
    for name in ("frechet_distance", "classifier_score", "modes"):
        found = first["metrics"][name]
        assert len(set(found["values"])) > 1 or name == "modes"  # fresh latents each time
        assert min(found["values"]) <= found["low"] <= found["mean"] <= found["high"]
        assert found["mean"] == pytest.approx(np.mean(found["values"]))
        assert f"{found['mean']:.5g}" in done.stdout
    assert call("evaluate", "digits", *options, cwd=place).returncode == 0
    assert json.loads(path.read_text()) == first


def test_points_are_evaluated_too(place: Path) -> None:
    done = call("evaluate", "points", "--samples", "300", "--repeats", "2", cwd=place)
    assert done.returncode == 0 and "high_quality" in done.stdout


def test_the_interval_covers_the_mean_as_often_as_it_says() -> None:
    """20 repeats of a normal: the percentile bootstrap is a little too narrow, as it is known."""
    rng, hits = np.random.default_rng(0), 0
    for _ in range(200):
        scores = [{"m": value, "list": [1], "none": None} for value in rng.normal(size=20)]
        estimates = scores_to_estimates(scores)
        assert set(estimates) == {"m"}
        hits += estimates["m"].low <= 0 <= estimates["m"].high
    assert 175 <= hits <= 198


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["sample", "digits"], ["export", "digits"]])
def test_no_ray_and_no_optuna_is_needed(place: Path, tmp_path: Path, arguments: list[str]) -> None:
    whole = [*arguments, "--out", str(tmp_path / "x.png")]
    code = (
        f"import sys; from gantune.cli import app\ntry: app({whole!r})\nexcept SystemExit: pass\n"
        "assert not {'ray', 'optuna'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=place, check=True, capture_output=True)
    assert (tmp_path / "x.png").exists()


def test_a_generator_of_a_run_in_python(place: Path) -> None:
    run = gantune.load(place / "runs" / "digits")
    z = torch.randn(5, 4)
    assert torch.equal(run.best().generator()(z), run.trial(0).generator()(z))
    assert torch.equal(gantune.load_generator(place / "there")(z), run.best().generator()(z))
