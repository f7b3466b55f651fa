"""Extensions: a user's parts, here and in workers, and never where results are read."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from tables import completed, write_run

import gantune
from gantune.config import all_paths
from gantune.errors import ConfigError, UsageError
from gantune.extensions import Extension, activate
from gantune.loader import load_study, open_study
from gantune.parts.foreign import EXTRA_METRICS, EXTRAS

SPACES = Path(__file__).parent.parent / "search_spaces"
SHORT = ["train.epochs=2", "train.steps_per_epoch=3", "train.batch_size=8", "eval.samples=50"]

HEAD = """
from typing import Literal
import numpy as np
import torch
from torch import nn
from gantune import extend
"""


def study_file(folder: Path, code: str, trial: str) -> Path:
    (folder / "mine.py").write_text(HEAD + code)
    path = folder / "study.yaml"
    text = "name: mine\ndescription: d\nextensions: [mine.py]\n"
    path.write_text(text + "trial:\n  data: {name: ring, points: 200}\n" + trial)
    return path


def test_the_shipped_example_trains(tmp_path: Path) -> None:
    study = load_study(SPACES / "user_extension.yaml", SHORT)
    assert {"generator.waves", "generator.width", "loss.temperature"} <= set(all_paths())
    run = gantune.train(study, tmp_path / "run")
    assert run.epochs["radius_error"].notna().all()
    assert (run.epochs["radius_error"] == run.epochs["objective"]).all()
    assert run.info["sessions"][0]["extensions"]["fourier.py"] == study.extensions[0].source


@pytest.mark.slow
@pytest.mark.usefixtures("standing_ray")
def test_workers_know_the_parts_and_reused_ones_still_do(tmp_path: Path) -> None:
    """Four trials on two slots: actors are reused, and get everything with the trial."""
    shutil.copytree(SPACES / "extensions", tmp_path / "extensions")
    shutil.copy(SPACES / "user_extension.yaml", tmp_path)
    study = load_study(tmp_path / "user_extension.yaml", [*SHORT, "budget.trials=4"])
    shutil.rmtree(tmp_path / "extensions")  # the file is not there any more: its text travels
    run = gantune.run(study, runs_dir=tmp_path / "runs")
    assert set(run.trials["status"]) <= {"completed", "stopped"} and len(run.trials) == 4
    assert run.trials["config.generator.waves"].notna().all()


def test_opening_results_runs_no_foreign_code(tmp_path: Path) -> None:
    """Not even the text that the run keeps."""
    study = load_study(SPACES / "user_extension.yaml", SHORT)
    gantune.train(study, tmp_path / "run")
    source = study.extensions[0].source
    del sys.modules[f"gantune_extension_{source}"]
    EXTRAS["generator"].clear()
    EXTRAS["loss"].clear()
    EXTRA_METRICS.clear()
    path = tmp_path / "run" / "study.yaml"
    text = path.read_text()
    assert "class FourierOptions" in text
    loaded = gantune.load(tmp_path / "run")
    assert loaded.study.trial.generator.name == "fourier"
    assert loaded.study.objective.direction == "minimize"
    assert loaded.best().config.loss.model_dump()["temperature"] == 1.0
    assert f"gantune_extension_{source}" not in sys.modules
    # Going on does run it, and finds the same configuration.
    assert load_study(path).trial.model_dump() == study.trial.model_dump()


def test_options_of_an_unloaded_extension_are_asked_about(tmp_path: Path) -> None:
    """What mattered and what failed, by paths that nothing here knows."""
    study = load_study(SPACES / "user_extension.yaml")
    rows = []
    for number in range(12):
        waves, name = [4, 16, 64][number % 3], ["tempered", "non_saturating"][number % 2]
        point = {"generator.waves": waves, "loss.name": name, "optimizer.generator.lr": 1e-3}
        if name == "tempered":
            point["loss.temperature"] = 0.5 + 0.1 * number
        rows.append(completed(number, waves + 0.1 * number, point))
    write_run(tmp_path / "run", study, rows)
    for extras in EXTRAS.values():
        extras.clear()
    EXTRA_METRICS.clear()
    run = gantune.load(tmp_path / "run")
    shares = run.importance()
    assert shares.index[0] == "generator.waves" and set(shares.index) == set(study.search)
    assert run.failures("loss.temperature")["trials"].sum() == 6


@pytest.mark.slow
def test_a_run_opens_when_its_data_is_gone(tmp_path: Path, mnist10k: Path) -> None:
    shutil.copytree(mnist10k, tmp_path / "data")
    text = "name: a\ntrial:\n  data: {name: idx, root: DATA, limit: 100}\n"
    (tmp_path / "a.yaml").write_text(text.replace("DATA", str(tmp_path / "data")))
    gantune.train(load_study(tmp_path / "a.yaml", SHORT), tmp_path / "run")
    shutil.rmtree(tmp_path / "data")
    assert len(gantune.load(tmp_path / "run").epochs) == 2
    assert open_study(tmp_path / "run" / "study.yaml").trial.data.name == "idx"


PARTS = """
class DOptions(extend.DiscriminatorOptions):
    name: Literal["tiny"] = "tiny"

@extend.discriminator(DOptions)
def tiny(options, sample_shape):
    return nn.Sequential(nn.Flatten(), nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 1),
                         nn.Flatten(0))

class POptions(extend.PenaltyOptions):
    name: Literal["drift"] = "drift"

@extend.penalty(POptions)
def drift(options):
    return lambda subject: subject.real_logits.square().mean(-1)

class SetOptions(extend.DataOptions):
    name: Literal["noise"] = "noise"
    count: int = 40

@extend.data(SetOptions)
def noise(options):
    rng = np.random.default_rng(0)
    samples = rng.integers(0, 256, (options.count, 1, 8, 8), dtype=np.uint8)
    return extend.Source(samples, np.arange(options.count) % 4, 4)
"""


@pytest.mark.slow
def test_every_kind_of_part_can_be_added(tmp_path: Path) -> None:
    trial = "  discriminator: {name: tiny}\n  penalty: {name: drift, weight: 0.5}\n"
    run = gantune.train(load_study(study_file(tmp_path, PARTS, trial), SHORT), tmp_path / "a")
    assert (run.epochs["penalty"] > 0).all()
    images = load_study(study_file(tmp_path, PARTS, ""), [*SHORT, "data.name=noise"])
    run = gantune.train(images, tmp_path / "b")
    assert run.epochs["modes"].notna().all() and len(run.epochs["mode_histogram"][0]) == 4


@pytest.mark.slow
def test_initial_values_follow_the_seed_and_leave_global_state_alone(tmp_path: Path) -> None:
    import torch

    state = torch.random.get_rng_state()
    records = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        study = load_study(SPACES / "user_extension.yaml", [*SHORT, f"seed={seed}"])
        records.append(gantune.train(study, tmp_path / name).epochs["g_loss"].tolist())
    assert records[0] == records[1] != records[2]
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("code", "trial", "message"),
    [
        ("1 / 0\n", "", r"mine\.py fails at line 7: ZeroDivisionError"),
        ("import not_there\n", "", r"mine\.py fails at line 7: ModuleNotFoundError"),
        ("x = (\n", "", r"mine\.py fails at line .*SyntaxError"),
        ("x = 1\n", "", r"mine\.py adds no part"),
        (PARTS.replace('"tiny"', '"mlp"'), "", "discriminator mlp is a built-in one"),
        (
            '@extend.metric("vendi", "maximize")\ndef f(x): return 0.0\n',
            "",
            "cannot be named",
        ),
        (
            PARTS.replace("extend.DiscriminatorOptions", "extend.GeneratorOptions"),
            "",
            "extend Disc",
        ),
        (PARTS + PARTS[: PARTS.index("class POptions")], "", "tiny is added twice"),
    ],
)
def test_a_bad_extension_is_named(tmp_path: Path, code: str, trial: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_study(study_file(tmp_path, code, trial))


@pytest.mark.parametrize(
    ("trial", "message"),
    [
        ("  discriminator: {name: tiny, widht: 3}\n", "unknown key"),
        ("  discriminator: {name: tinny}\n", "unknown name tinny; known names: .*'tiny'"),
        ("  penalty: {name: drift, weight: heavy}\n", "valid number"),
    ],
)
def test_options_of_an_extension_are_typed(tmp_path: Path, trial: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_study(study_file(tmp_path, PARTS, trial))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = study_file(tmp_path, PARTS, "")
    (tmp_path / "mine.py").unlink()
    with pytest.raises(UsageError, match=r"mine\.py cannot be read"):
        load_study(path)


def test_dropout_is_refused(tmp_path: Path) -> None:
    code = PARTS.replace("nn.Linear(4, 1)", "nn.Dropout(0.5), nn.Linear(4, 1)")
    study = load_study(study_file(tmp_path, code, "  discriminator: {name: tiny}\n"), SHORT)
    with pytest.raises(UsageError, match="Dropout, which draws random numbers"):
        gantune.train(study, tmp_path / "run")


def test_data_of_the_wrong_kind_is_named(tmp_path: Path) -> None:
    code = PARTS.replace("samples, np", "samples.astype(float), np")
    with pytest.raises(ConfigError, match="samples of float64"):
        load_study(study_file(tmp_path, code, ""), ["data.name=noise"])


def test_a_part_outside_of_an_extension_is_refused() -> None:
    from gantune import extend

    with pytest.raises(UsageError, match="files that a study names"):
        extend.metric("mine", goal="minimize")


def test_an_extension_is_run_once(tmp_path: Path) -> None:
    code = f"{HEAD}{PARTS}\nwith open({str(tmp_path / 'count')!r}, 'a') as f: f.write('x')\n"
    one: dict[str, Any] = {"name": "x.py", "text": code}
    activate(Extension(**one))
    activate(Extension(**one))
    assert (tmp_path / "count").read_text() == "x"


def test_the_latest_activation_has_its_names_and_a_failed_one_none() -> None:
    def version(text: str) -> Extension:
        metric = f'\n@extend.metric("mine", "minimize")\ndef f(x): return {text}\n'
        return Extension(name="m.py", text=HEAD + metric)

    one, two = version("1.0"), version("2.0")
    for extension, value in ((one, 1.0), (two, 2.0), (one, 1.0)):
        activate(extension)
        assert EXTRA_METRICS["mine"].score(None) == value
    broken = version("3.0").model_copy(update={"text": version("3.0").text + "1 / 0\n"})
    for _ in range(2):  # the second time says the same
        with pytest.raises(UsageError, match="ZeroDivisionError"):
            activate(broken)
        assert EXTRA_METRICS["mine"].score(None) == 1.0


def test_a_trial_with_an_extension_can_be_trained_again(tmp_path: Path) -> None:
    study = load_study(SPACES / "user_extension.yaml", SHORT)
    run = gantune.train(study, tmp_path / "run")
    EXTRAS["generator"].clear()
    EXTRAS["loss"].clear()
    EXTRA_METRICS.clear()
    again = gantune.train(gantune.trial_as_study(gantune.load(run.root), 0), tmp_path / "again")
    assert again.epochs["g_loss"].tolist() == run.epochs["g_loss"].tolist()
