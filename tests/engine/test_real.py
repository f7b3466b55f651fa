"""Real samples that a run keeps, and that its report shows."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import make_study
from made import make_run
from PIL import Image

import gantune
from gantune.engine.data import load_dataset
from gantune.engine.real import RealData, keep_real, look, read_real
from gantune.parts.data import AnyData, ImageFolder
from gantune.paths import RunPaths
from gantune.pictures import open_png
from gantune.report.write import write_report
from gantune.tuning.lifecycle import create_run
from gantune.tuning.store import mirrored


def images(folder: Path, count: int = 12) -> Path:
    """Black ones and white ones, eight pixels a side."""
    for index in range(count):
        name, shade = ("black", 0) if index % 3 else ("white", 255)
        (folder / name).mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), shade).save(folder / name / f"{index}.png")
    return folder


def on(folder: Path) -> AnyData:
    return ImageFolder(root=str(folder), channels=1)


def test_what_a_generator_imitates() -> None:
    options = make_study(trial={"data": {"name": "digits"}}).trial.data
    found = look(load_dataset(options), options)
    assert found.shares is not None and found.centers is None
    # 178 zeros of 1,797 digits.
    assert found.shares[0] == pytest.approx(178 / 1797)
    options = make_study().trial.data
    ring = look(load_dataset(options), options)
    assert ring.centers is not None and len(ring.centers) == 8


def test_a_run_keeps_a_look_at_its_data(tmp_path: Path) -> None:
    """Its report has it where the data are gone, or others."""
    folder, root = images(tmp_path / "images"), tmp_path / "run"
    data = {"name": "image_folder", "root": str(folder), "channels": 1}
    mlp = {"name": "mlp", "hidden": [8]}
    trial = {"data": data, "generator": {**mlp, "latent_dim": 2}, "discriminator": mlp}
    run = gantune.train(make_study(trial=trial), root)
    shutil.rmtree(folder)
    found = read_real(RunPaths(root), run.study.trial.data)
    assert found is not None and found.shares == (pytest.approx(8 / 12), pytest.approx(4 / 12))
    picture = open_png(found.picture)
    assert picture is not None
    # Three rows of four, each pixel and each line between enlarged.
    scale = picture.width // (4 * 9 + 1)
    pixels = np.asarray(picture)[::scale, ::scale]
    middles = [pixels[5 + 9 * row, 5 + 9 * column] for row in range(3) for column in range(4)]
    assert sorted(middles) == [0] * 8 + [255] * 4
    write_report([run], tmp_path / "report")
    assert (tmp_path / "report" / "samples_real.png").read_bytes() == found.picture


def test_a_session_leaves_what_is_there(tmp_path: Path) -> None:
    options = make_study().trial.data
    paths, data = RunPaths(tmp_path), load_dataset(options)
    keep_real(paths, data, options)
    before = paths.real_samples.stat()
    keep_real(paths, data, options)
    assert paths.real_samples.stat() == before
    assert read_real(paths, options) == look(data, options)


def test_the_store_of_a_run_has_it(tmp_path: Path) -> None:
    study, paths = make_study(), RunPaths(tmp_path / "run")
    create_run(paths, study, storage=f"file://{tmp_path}/store/run")
    keep_real(paths, load_dataset(study.trial.data), study.trial.data)
    with mirrored(paths) as mirror:
        mirror.finish()
    there = RunPaths(tmp_path / "store" / "run")
    assert read_real(there, study.trial.data) is not None
    assert there.real_samples.read_bytes() == paths.real_samples.read_bytes()


def test_an_image_that_cannot_be_read_is_told_by_whoever_trains_on_it(tmp_path: Path) -> None:
    folder = images(tmp_path / "images")
    options = ImageFolder(root=str(folder), channels=1, workers=1)
    data = load_dataset(options)
    (folder / "black" / "1.png").write_bytes(b"")
    keep_real(RunPaths(tmp_path), data, options)
    assert read_real(RunPaths(tmp_path), options) is None


def test_a_report_opens_nothing_that_its_study_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was received names any folder, and a report is what people publish."""
    folder = images(tmp_path / "pictures")
    data = {"name": "image_folder", "root": str(folder)}
    root = make_run(tmp_path / "run", trials=1, pictures=1, data=data)
    monkeypatch.setattr("os.walk", lambda *_: pytest.fail("a folder was looked through"))
    page = write_report([gantune.load(root)], tmp_path / "report")
    assert not (page.parent / "samples_real.png").exists()
    assert (page.parent / "samples_best.png").exists()


@pytest.mark.parametrize("name", ["digits", "ring", "grid"])
def test_data_that_lie_in_no_folder_are_the_same_everywhere(tmp_path: Path, name: str) -> None:
    """Also of a run of an earlier version, which has kept nothing."""
    options = make_study(trial={"data": {"name": name}}).trial.data if name == "digits" else None
    options = options or make_study(trial={"data": {"name": name, "points": 200}}).trial.data
    found = read_real(RunPaths(tmp_path), options)
    assert isinstance(found, RealData) and found == look(load_dataset(options), options)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"shares": [2], "centers": null}',
        '{"shares": [NaN], "centers": null}',
        '{"shares": null, "centers": [[0, Infinity]]}',
        '{"shares": null, "centers": [[0, 1, 2]]}',
    ],
)
def test_one_that_is_damaged_is_left_out(tmp_path: Path, text: str) -> None:
    options = make_study().trial.data
    paths = RunPaths(tmp_path)
    keep_real(paths, load_dataset(options), options)
    paths.real_modes.write_text(text)
    assert read_real(paths, options) is None


def test_a_disk_without_room_for_it_costs_no_run(tmp_path: Path) -> None:
    """The tables' own writes tell of it."""
    options = make_study().trial.data
    paths = RunPaths(tmp_path / "run")
    paths.real_modes.mkdir(parents=True)  # as good as full: nothing can be put there
    keep_real(paths, load_dataset(options), options)
    assert not paths.real_samples.exists()
