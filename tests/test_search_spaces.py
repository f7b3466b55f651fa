"""Every shipped study: it is valid, says what it asks and found, and its trials train."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_files import random_images

import gantune
from gantune.display import show_study
from gantune.document import read_document
from gantune.terminal import Terminal

FOLDER = Path(__file__).parent.parent / "search_spaces"
EXAMPLES = FOLDER.parent / "examples"
STUDIES = sorted([*FOLDER.rglob("*.yaml"), *EXAMPLES.glob("*.yaml")])

USUAL = ("lr_beta", "stacked_mnist", "user_extension")
"""Whose trials `make test` trains, too; those of all are for `make test-long`."""

each_study = pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def replacements(
    tmp_path_factory: pytest.TempPathFactory, mnist10k: Path
) -> dict[str, dict[str, Any]]:
    """What stands in for data that would have to be fetched, as overrides by the data's name.

    Within a round no sample comes near the narrow modes of a ring, and the objective is null.
    """
    noise = tmp_path_factory.mktemp("noise") / "noise.npz"
    np.savez(noise, images=random_images(400, 32, 32, 3), labels=np.arange(400) % 10)
    return {
        "mnist": {"data.name": "idx", "data.root": mnist10k},
        "cifar10": {"data.name": "npz", "data.root": noise},
        "stacked_mnist": {"data.root": mnist10k, "data.points": 400},
        "ring": {"data.std": 0.4},
    }


def overrides(path: Path, replacements: dict[str, dict[str, Any]], **more: Any) -> list[str]:
    trial: Any = read_document(path).value["trial"]
    changes = {**replacements.get(trial["data"]["name"], {}), **more}
    return [f"{name}={value}" for name, value in changes.items()]


def test_there_are_studies() -> None:
    assert len(STUDIES) >= 19  # else the tests below would pass on an empty folder


@each_study
def test_it_is_valid_and_says_what_it_asks(
    path: Path, replacements: dict[str, dict[str, Any]]
) -> None:
    text = path.read_text()
    first, header = text.splitlines()[0], text.partition("\nname:")[0]
    assert first.startswith("# ") and first.endswith("?"), "the first line is the question"
    assert "\n# Budget: " in header and "\n# Found" in header
    # A study that nobody has run is an example.
    assert (path.parent == EXAMPLES) == ("nothing yet" in header)
    study = gantune.load_study(path, overrides(path, replacements))
    assert study.name == path.stem and study.description and study.search
    shown = io.StringIO()
    show_study(study, Terminal(file=shown, width=160))  # what `gantune check` prints
    assert all(searched in shown.getvalue() for searched in study.search)


@pytest.mark.slow
@pytest.mark.usefixtures("standing_ray")
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=() if path.stem in USUAL else pytest.mark.long, id=path.stem)
        for path in STUDIES
    ],
)
def test_two_short_trials(
    path: Path, tmp_path: Path, replacements: dict[str, dict[str, Any]]
) -> None:
    short = {
        "train.epochs": 1,
        "train.steps_per_epoch": 1,
        "eval.samples": 64,
        "budget.trials": 2,
    }
    study = gantune.load_study(path, overrides(path, replacements, **short))
    # One worker for both: another would spend its time on importing torch.
    run = gantune.run(study, runs_dir=tmp_path, concurrency=1)
    assert run.status == "finished"
    assert list(run.trials["status"]) == ["completed"] * 2
    assert sorted(run.epochs["number"]) == [0, 1]
    assert np.isfinite(run.epochs["objective"]).all()
    assert run.parameters(0) != run.parameters(1)
    assert set(run.parameters(0)) | set(run.parameters(1)) <= set(study.search)
