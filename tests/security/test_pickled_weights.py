"""Pickles in the place of weights, with checksums that fit: what reads them takes tensors only."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from conftest import make_study
from test_cli import within
from test_host import spec
from test_pickles import as_torch_file, pickle_that_marks

import gantune
from gantune.checkpoints import read_checkpoint
from gantune.errors import CheckpointError
from gantune.export import CONFIG, WEIGHTS
from gantune.host import Host

FORMS = {"torch": as_torch_file, "plain": Path.write_bytes}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gantune.train(make_study(), tmp_path_factory.mktemp("runs") / "tiny").root


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "runs" / "tiny"))


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "mark"


def plant(folder: Path, form: str, mark: Path) -> None:
    """In the place of a checkpoint's weights, and what fits it into the note beside them."""
    (weights,) = folder.glob("*.safetensors")
    FORMS[form](weights, pickle_that_marks(mark))
    for path in folder.glob("meta-*.json"):
        meta = json.loads(path.read_text())
        del meta["seal"]
        meta["sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
        told = json.dumps(meta, sort_keys=True).encode()
        path.write_text(json.dumps({**meta, "seal": hashlib.sha256(told).hexdigest()}))
    found = read_checkpoint(folder)
    assert found is not None and found.path == weights  # believed, up to here


USING = [
    ["export", "tiny", "--out", "exported"],
    ["sample", "tiny", "--out", "a.png"],
    ["evaluate", "tiny", "--samples", "50", "--repeats", "2"],
]
OTHERS = [
    ["list"],
    ["show", "tiny"],
    ["show", "tiny", "0"],
    ["show", "tiny", "--follow"],
    ["report", "tiny", "--out", "page"],
    ["prune", "tiny"],
    ["train", "tiny", "--trial", "0", "--out", "again"],
]


@pytest.mark.parametrize("form", FORMS)
def test_in_the_best_of_a_run(root: Path, form: str, mark: Path, tmp_path: Path) -> None:
    plant(root / "trials" / "00000" / "best", form, mark)
    for command in USING:
        done = within(*command, cwd=tmp_path)
        assert done.returncode == 2 and ".safetensors cannot be read" in done.stderr, done
    with pytest.raises(CheckpointError, match=r"\.safetensors cannot be read"):
        gantune.load(root).best().generator()
    for command in OTHERS:
        done = within(*command, cwd=tmp_path)
        assert done.returncode == 0, done
    assert not mark.exists()


@pytest.mark.parametrize("form", FORMS)
def test_in_the_last_that_a_trial_goes_on_from(form: str, mark: Path, tmp_path: Path) -> None:
    trial, host = spec(tmp_path / "trial", make_study().trial), Host()
    host.advance(host.open(trial), 2, 60)
    plant(tmp_path / "trial" / "last", form, mark)
    with pytest.raises(CheckpointError, match=r"\.safetensors is damaged"):
        host.open(trial)
    assert not mark.exists()


@pytest.mark.parametrize("name", [WEIGHTS, CONFIG])
@pytest.mark.parametrize("form", FORMS)
def test_in_an_export(root: Path, name: str, form: str, mark: Path, tmp_path: Path) -> None:
    assert within("export", "tiny", "--out", "exported", cwd=tmp_path).returncode == 0
    FORMS[form](tmp_path / "exported" / name, pickle_that_marks(mark))
    done = within("sample", "exported", "--out", "a.png", cwd=tmp_path)
    assert done.returncode == 2 and name in done.stderr, done
    with pytest.raises(CheckpointError, match=name):
        gantune.load_generator(tmp_path / "exported")
    assert not mark.exists()
