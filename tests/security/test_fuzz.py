"""Readers of damaged files give a clean result or a message, never another exception.

Half a thousand cases in `make test`, ten thousand in `make test-long`, the readers and
test_odd_rows together.
"""

import hashlib
import io
import json
import math
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from conftest import make_study
from damage import damaged_bytes, damaged_tree
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load

import gantune
from gantune.analysis.frames import to_epochs, to_trials
from gantune.checkpoints import read_checkpoint
from gantune.config import TrialConfig
from gantune.display import show_run, show_runs, show_trial
from gantune.engine.state import unflatten
from gantune.engine.stored import restore
from gantune.errors import GantuneError
from gantune.loader import load_study, open_study
from gantune.paths import RunPaths
from gantune.records import CLOSED, SCHEMAS, read_table
from gantune.runinfo import read_info
from gantune.terminal import Terminal


def shares(of_500: int) -> pytest.MarkDecorator:
    """A reader's share of the cases, in both."""
    counts = [
        pytest.param(of_500, marks=pytest.mark.slow),
        pytest.param(20 * of_500, marks=pytest.mark.long),
    ]
    return pytest.mark.parametrize("cases", counts)


def fuzz(cases: int, check: Callable[..., None], *strategies: Any) -> None:
    """Runs a check on so many cases; the same ones each time."""
    run = settings(
        max_examples=cases,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    run(given(*strategies)(check))()


def answered(use: Callable[[], object]) -> None:
    """A result, or an error that is meant for people."""
    try:
        use()
    except GantuneError as error:
        assert str(error)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run of one trial with three epochs."""
    study = make_study(trial={"train": {"epochs": 3, "steps_per_epoch": 2, "batch_size": 8}})
    return gantune.train(study, tmp_path_factory.mktemp("runs") / "run").root


STUDY: dict[str, Any] = {
    "name": "tiny",
    "trial": {
        "data": {"name": "ring", "points": 200},
        "generator": {"name": "mlp", "hidden": [8], "latent_dim": 2},
        "discriminator": {"name": "mlp", "hidden": [8], "norm": "none"},
        "loss": {"name": "hinge"},
        "penalty": {"name": "r1", "weight": 1.0},
        "optimizer": {"generator": {"name": "adam", "lr": 1e-4, "beta1": 0.5}},
        "train": {"epochs": 4, "steps_per_epoch": 2, "batch_size": 8},
        "eval": {"samples": 50},
    },
    "search": {
        "optimizer.generator.lr": {"log_uniform": [1e-5, 1e-2]},
        "optimizer.discriminator.lr": {"log_uniform": [0.1, 10], "times": "optimizer.generator.lr"},
        "generator.hidden": {"choice": [[8], [16, 8]]},
        "penalty.weight": {"uniform": [0, 2], "when": {"loss.name": ["hinge"]}},
        "loss.name": {"choice": ["hinge", "minimax"]},
    },
    "start": [{"generator.hidden": [8]}],
    "objective": {"metric": "frechet_distance", "goal": "minimize"},
    "constraints": ["coverage >= 0.5"],
    "sampler": {"name": "tpe", "seed": 0},
    "scheduler": {"name": "asha", "grace_epochs": 1},
    "budget": {"trials": 4},
    "stop": {"verdicts": ["mode_collapse"]},
    "confirm": {"top": 1, "seeds": 2},
}


@shares(150)
def test_study_files(cases: int, tmp_path: Path) -> None:
    """Trees near a valid one, and damaged text of it; also as the study of a run."""
    path = tmp_path / "study.yaml"
    text = yaml.safe_dump(STUDY, sort_keys=False)
    path.write_text(text)
    load_study(path)
    trees = damaged_tree(STUDY).map(lambda tree: yaml.safe_dump(tree, sort_keys=False).encode())

    def check(data: bytes) -> None:
        path.write_bytes(data)
        answered(lambda: load_study(path))
        answered(lambda: open_study(path))

    fuzz(cases, check, st.one_of(trees, trees, damaged_bytes(text.encode())))


@shares(100)
def test_tables_and_notes(cases: int, run: Path, tmp_path: Path) -> None:
    """Every file that `list` and `show` read."""
    root = Path(shutil.copytree(run, tmp_path / "runs" / "run"))
    files = [
        path for name in ("epochs", "trials", "steps") for path in (root / name).glob("*.arrow")
    ]
    files += [root / "run.json", root / "study.yaml", root / "lock"]
    whole = {path: path.read_bytes() for path in files}
    info = json.loads(whole[root / "run.json"])

    def look() -> None:
        console = Terminal(file=io.StringIO(), width=160)
        show_runs(root.parent, console)
        loaded = gantune.load(root)
        assert loaded.steps is not None
        show_run(loaded, console)
        show_trial(loaded, 0, console)

    def check(case: tuple[Path, bytes]) -> None:
        path, data = case
        path.write_bytes(data)
        try:
            answered(look)
        finally:
            path.write_bytes(whole[path])

    damaged = st.sampled_from(files).flatmap(
        lambda path: st.tuples(st.just(path), damaged_bytes(whole[path]))
    )
    notes = damaged_tree(info).map(lambda tree: (root / "run.json", json.dumps(tree).encode()))
    fuzz(cases, check, st.one_of(damaged, damaged, notes))


@shares(75)
@pytest.mark.parametrize("kind", ["best", "last"])
def test_checkpoints(cases: int, kind: str, run: Path, tmp_path: Path) -> None:
    """Weights and their description, also with seals that fit the damage.

    A generator is made from one, a trial goes on from the other.
    """
    root = Path(shutil.copytree(run, tmp_path / "run"))
    folder = RunPaths(root).trial(0) / kind
    (meta_file,), (weights_file,) = folder.glob("meta-*.json"), folder.glob("*.safetensors")
    meta, weights = json.loads(meta_file.read_text()), weights_file.read_bytes()
    loaded = gantune.load(root)

    def generate() -> None:
        loaded.best().generator().sample(2)

    def go_on() -> None:
        if (checkpoint := read_checkpoint(folder)) is not None:
            restore(checkpoint, config, state)

    if kind == "last":
        config, state = TrialConfig.model_validate(meta["config"]), unflatten(load(weights))
    look = generate if kind == "best" else go_on
    look()

    def check(tree: Any, data: bytes, sealed: bool) -> None:
        if sealed and isinstance(tree, dict):
            tree = {**tree, "sha256": hashlib.sha256(data).hexdigest()}
            tree.pop("seal", None)
        meta_file.write_text(json.dumps(tree))
        weights_file.write_bytes(data)
        answered(look)

    trees = st.one_of(st.just(meta), damaged_tree(meta))
    damaged = st.one_of(st.just(weights), damaged_bytes(weights))
    fuzz(cases, check, trees, damaged, st.booleans())


# What damage by chance seldom is: tables without checksums, as the first version wrote them.


def as_segment(folder: Path, batch: pa.RecordBatch) -> Path:
    folder.mkdir(parents=True)
    buffer = io.BytesIO()
    with pa.ipc.new_stream(buffer, batch.schema) as stream:
        stream.write_batch(batch)
    (folder / "000001.arrow").write_bytes(buffer.getvalue() + CLOSED)
    return folder


EPOCH: dict[str, Any] = {"number": 0, "epoch": 1}
TRIAL: dict[str, Any] = {"number": 0, "status": "running", "parameters": "{}"}


@pytest.mark.parametrize(
    ("table", "row", "message"),
    [
        ("epochs", {"number": 0}, "a row has no epoch"),
        ("trials", {"number": 0, "status": "running"}, "a row has no parameters"),
        ("trials", {"number": 0, "status": "running", "parameters": "["}, "is damaged"),
        ("trials", {**TRIAL, "parameters": "[1]"}, r"\[1\] is no mapping"),
        ("trials", {**TRIAL, "parameters": '{"x": NaN}'}, "parameters: .* not JSON compliant"),
        ("trials", {**TRIAL, "parameters": '{"x": 1e999}'}, "parameters: .* not JSON compliant"),
        ("trials", {**TRIAL, "parameters": '{"x": "\\ud800"}'}, "parameters: .* not allowed"),
        ("trials", {**TRIAL, "parameters": f'{{"x": {"9" * 5000}}}'}, "parameters: Exceeds"),
        ("trials", {**TRIAL, "parameters": f'{{"x": {"[" * 30}{"]" * 30}}}'}, "nested too deep"),
        ("trials", {**TRIAL, "number": -1}, "number: -1 counts nothing"),
        ("trials", {**TRIAL, "epochs": 2**62}, "epochs: 4611686018427387904 counts nothing"),
        ("trials", {**TRIAL, "started_at": "never"}, "started_at: never is no time"),
        ("trials", {**TRIAL, "started_at": "2026-01-01"}, "2026-01-01 is in no time zone"),
        ("trials", {**TRIAL, "objective": math.inf}, "objective: a number is not finite"),
        ("epochs", {**EPOCH, "train_s": math.nan}, "train_s: a number is not finite"),
        ("epochs", {**EPOCH, "mode_histogram": []}, "mode_histogram: a list is empty"),
        ("epochs", {**EPOCH, "mode_histogram": [1.0, None]}, "mode_histogram: .* not finite"),
        ("epochs", {**EPOCH, "extra_metrics": '{"x y": 1.0}'}, "can be named 'x y'"),
        ("epochs", {**EPOCH, "extra_metrics": f'{{"x": 1{"0" * 20}}}'}, "x is no number"),
        ("epochs", {**EPOCH, "extra_metrics": '{"x": "a"}'}, "x is no number"),
    ],
)
def test_rows_that_no_run_has_are_named(
    tmp_path: Path, table: str, row: dict[str, Any], message: str
) -> None:
    batch = pa.RecordBatch.from_pylist([row], schema=SCHEMAS[table])
    with pytest.raises(GantuneError, match=message):
        read_table(as_segment(tmp_path / table, batch))


def test_values_that_a_run_can_have_are_read(tmp_path: Path) -> None:
    """Whole numbers larger than a column's, of a choice; the largest seed; no value at all."""
    rows = [
        {**TRIAL, "seed": 2**63 - 1, "parameters": json.dumps({"a": 10**20, "b": 2**63 - 1})},
        {**TRIAL, "number": 1, "parameters": '{"a": 0.5, "b": 0.5}', "objective": 1e300},
    ]
    batch = pa.RecordBatch.from_pylist(rows, schema=SCHEMAS["trials"])
    trials = to_trials(read_table(as_segment(tmp_path / "trials", batch)), live=False)
    assert trials["config.a"].tolist() == [str(10**20), "0.5"]
    assert trials["config.b"].tolist() == [2.0**63, 0.5]
    extra = '{"mine": null, "other": -1e+300, "objective": 7.0}'  # the last was no column once
    metrics = {**EPOCH, "extra_metrics": extra, "objective": -0.0}
    batch = pa.RecordBatch.from_pylist([metrics], schema=SCHEMAS["epochs"])
    epochs = to_epochs(read_table(as_segment(tmp_path / "epochs", batch)))
    assert epochs["other"].tolist() == [-1e300] and epochs["mine"].isna().all()
    assert epochs["objective"].tolist() == [0.0]


def test_texts_that_point_out_of_their_table_are_not_followed(tmp_path: Path) -> None:
    row = {"number": 0, "status": "running", "parameters": "{}", "trial_id": "x" * 7919}
    folder = as_segment(
        tmp_path / "trials", pa.RecordBatch.from_pylist([row], schema=SCHEMAS["trials"])
    )
    (path,) = folder.iterdir()
    # The last of these numbers: before them stands how long the text is.
    before, _, after = path.read_bytes().rpartition(struct.pack("<2i", 0, 7919))
    path.write_bytes(before + struct.pack("<2i", 0, 1 << 20) + after)
    with pytest.raises(GantuneError, match="batch 1 cannot be read"):
        read_table(folder)


@pytest.mark.parametrize(
    "info",
    [
        {"sessions": 3},
        {"sessions": [{"started_at": []}]},
        {"format": "new"},
        [1],
        {"sessions": [{"started_at": 5}]},
        {"sessions": [{"started_at": "2026-01-01T00:00:00"}]},
    ],
)
def test_a_run_json_of_other_types_is_named(tmp_path: Path, info: Any) -> None:
    (tmp_path / "run.json").write_text(json.dumps(info))
    with pytest.raises(GantuneError, match=r"run\.json is damaged"):
        read_info(tmp_path / "run.json")
