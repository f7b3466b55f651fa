"""What stays on disk: of the best trials, of the others, after crashes, of 1,000 of them."""

import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import make_study
from test_cli import call
from test_host import base, numbers, spec
from toy import Crash, Crasher, crashing

import gantune
from gantune.api import Silent, silent
from gantune.checkpoints import (
    CheckpointWriter,
    find_checkpoint,
    read_checkpoint,
    remove_checkpoint,
)
from gantune.columns import TIMES
from gantune.disk import prune, worth_keeping
from gantune.errors import CheckpointError, ConfigError, UsageError
from gantune.host import Host, Progress
from gantune.lock import hold_lock
from gantune.paths import RunPaths
from gantune.records import compact, read_table
from gantune.runinfo import begin_session
from gantune.study import Checkpoints, Study
from gantune.tuning.conductor import Conductor
from gantune.tuning.lifecycle import create_run, finish_run
from gantune.tuning.local import drive
from gantune.tuning.observers import All, observed

# A process that dies closes no files.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

TRIALS = 6


ASHA = {"grace_epochs": 2, "reduction_factor": 3}


def study_of(scheduler: dict[str, Any] = ASHA, **checkpoint: Any) -> Study:
    return make_study(
        samples={"every": 1, "count": 4},
        scheduler=scheduler,
        budget={"trials": TRIALS},
        checkpoint=checkpoint,
    )


class Watches(Silent):
    """Hears of everything after what removes: a running trial has all that it needs."""

    def __init__(self, paths: RunPaths) -> None:
        self._paths, self.seen = paths, 0

    def recorded(self, number: int, records: Sequence[Any], steps: Sequence[Any]) -> None:
        for found in (self._paths.last(number), self._paths.best(number)):
            assert read_checkpoint(found) is not None
        self.seen += 1


def session(paths: RunPaths, study: Study) -> None:
    """A session of a run without Ray, one report per epoch."""
    if not paths.root.exists():
        create_run(paths, study)
    with hold_lock(paths.lock), observed(paths, study, silent) as observer:
        begin_session(paths.info, None, {})
        watches = Watches(paths)
        conductor = Conductor(paths, study, All([observer, watches]))
        # One that crashes does not close its tables: a process that dies does not.
        drive(conductor, Host(), at_most_s=0)
        finish_run(conductor, paths.root)


def files(root: Path) -> set[str]:
    """Files of trials without the numbers of attempts, which are more after a crash."""
    return {
        re.sub(r"/(meta-)?\d{3}(?=[-.])", r"/\1", str(path.relative_to(root)))
        for path in (root / "trials").glob("*/**/*")
        if path.is_file() and not path.name.startswith("attempt")
    }


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that keeps its two best trials."""
    root = tmp_path_factory.mktemp("whole") / "tiny"
    session(RunPaths(root), study_of(keep_top=2))
    return root


@pytest.mark.slow
def test_the_best_keep_their_weights_and_nobody_else_does(whole: Path) -> None:
    run, paths = gantune.load(whole), RunPaths(whole)
    ranked = run.trials.sort_values(["objective", "number"])
    assert len(ranked) == TRIALS and {"completed", "stopped"} <= set(ranked["status"])
    for place, (_, row) in enumerate(ranked.iterrows()):
        number, kept = int(row["number"]), place < 2
        assert (read_checkpoint(paths.best(number)) is not None) == kept
        goes_on = kept and row["status"] == "completed"
        assert (read_checkpoint(paths.last(number)) is not None) == goes_on
        pictures = [path.name for path in paths.samples(number).iterdir()]
        last = f"epoch-{row['epochs']:05d}.png"
        assert last in pictures and len(pictures) == (row["epochs"] if kept else 1)
        assert paths.animation(number).exists() == kept
    best, worst = int(ranked["number"].iloc[0]), int(ranked["number"].iloc[-1])
    assert run.best().number == best
    assert run.best().generator().sample(2, 0).shape == (2, 2)
    with pytest.raises(CheckpointError, match=f"gantune train .* --trial {worst}"):
        run.trial(worst)
    assert gantune.trial_as_study(run, worst).trial.train.epochs == 4  # what a repeat needs


def test_a_session_more_changes_nothing(whole: Path) -> None:
    before = files(whole)
    session(RunPaths(whole), study_of(keep_top=2))
    assert files(whole) == before


@pytest.mark.slow
def test_of_those_that_wait_at_a_rung_the_best_keep_theirs_and_others_are_trained_again(
    tmp_path: Path,
) -> None:
    """Whatever was removed, the records are those of a run that kept everything."""
    promotion = {"name": "asha_promotion", "grace_epochs": 1, "reduction_factor": 2}
    ends, most = [], 0

    class Counts(Silent):
        def paused(self, number: int, row: Any) -> None:
            nonlocal most
            kept = [n for n in range(TRIALS) if paths.last(n).is_dir()]
            most = max(most, sum(read_checkpoint(paths.last(n)) is not None for n in kept))

    for keep_top in (1, None):
        paths = RunPaths(tmp_path / f"keep {keep_top}")
        study = study_of(promotion, keep_top=keep_top)
        create_run(paths, study)
        with hold_lock(paths.lock), observed(paths, study, silent, Counts()) as observer:
            begin_session(paths.info, None, {})
            conductor = Conductor(paths, study, observer)
            drive(conductor, Host(), at_most_s=0)
            finish_run(conductor, paths.root)
        epochs = gantune.load(paths.root).epochs
        values = [column for column in epochs.columns if column not in TIMES | {"trial_id"}]
        ends.append((epochs[values], most, gantune.load(paths.root)))
        most = 0
    pd.testing.assert_frame_equal(ends[0][0], ends[1][0])
    assert ends[0][1] < ends[1][1]
    thinned = ends[0][2]
    assert thinned.best().generator().sample(2, 0).shape == (2, 2)


@pytest.mark.slow
def test_null_keeps_the_weights_of_all(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path / "tiny")
    session(paths, study_of(keep_top=None))
    assert all(read_checkpoint(paths.best(number)) for number in range(TRIALS))


@pytest.mark.slow
@pytest.mark.parametrize("left", range(0, 40, 3))
def test_a_crash_while_removing_is_made_up_for(
    left: int, tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dies after so many removals; what is left is a whole checkpoint or none."""
    paths, remaining, unlink = RunPaths(tmp_path / "tiny"), [left], Path.unlink
    removed: list[Path] = []

    def dies(self: Path, missing_ok: bool = False) -> None:
        if "trials" in self.parts and self.suffix in {".json", ".safetensors", ".png", ".webp"}:
            if not remaining[0]:
                raise Crash
            remaining[0] -= 1
            removed.append(self)
        unlink(self, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", dies)
    with pytest.raises(Crash):
        session(paths, study_of(keep_top=2))
    monkeypatch.undo()
    for path in removed:
        found = find_checkpoint(path.parent)
        assert not found.damage
        if re.fullmatch(r"meta-\d+\.json", path.name):  # the newest, the last to go
            assert found.checkpoint is None
    session(paths, study_of(keep_top=2))
    assert files(paths.root) == files(whole)


@pytest.mark.parametrize("left", range(4))
def test_of_two_attempts_checkpoints_the_newest_is_the_last_to_go(
    left: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a crash leaves is never the older one: a trial would begin again from there."""
    folder, unlink, removed = tmp_path / "best", Path.unlink, []
    CheckpointWriter(folder, 1).write(b"one", {"epoch": 1})
    older = {path: path.read_bytes() for path in folder.iterdir()}
    CheckpointWriter(folder, 2).write(b"two", {"epoch": 2})
    for path, data in older.items():  # killed before it removed them
        path.write_bytes(data)
    assert len(list(folder.iterdir())) == 4

    def dies(self: Path, missing_ok: bool = False) -> None:
        if len(removed) == left:
            raise Crash
        removed.append(self)
        unlink(self, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", dies)
    with pytest.raises(Crash):
        remove_checkpoint(folder)
    monkeypatch.undo()
    found = read_checkpoint(folder)
    assert found is None if left > 1 else found is not None and found.data == b"two"
    remove_checkpoint(folder)
    assert not folder.exists()


def reports(host: Host, trial: Any, until: int) -> list[Progress]:
    """One report per epoch, up to an epoch."""
    handle, parts = host.open(trial), []
    while not parts or (parts[-1].status == "running" and parts[-1].records[-1]["epoch"] < until):
        parts.append(host.advance(handle, 10**9, 0))
    return parts


@pytest.mark.slow
@pytest.mark.parametrize(("at", "weights"), [(1, 1), (3, 1), (4, 1), (5, 5), (8, 5)])
def test_epochs_whose_weights_were_lost_are_trained_again_to_the_same(
    tmp_path: Path, at: int, weights: int
) -> None:
    config = base(train={"epochs": 9, "steps_per_epoch": 3, "batch_size": 16})
    options: dict[str, Any] = {"rungs": (), "last_every": 4, "samples": {"every": 0}}
    whole = reports(Host(), spec(tmp_path / "whole", config, **options), 9)
    broken = reports(Host(), spec(tmp_path / "broken", config, **options), at)
    left = read_checkpoint(tmp_path / "broken" / "last")
    assert left is not None and left.meta["epoch"] == weights
    assert len(left.meta["records"]) == at  # what was handed out is on disk
    resumed = reports(Host(), spec(tmp_path / "broken", config, **options), 9)
    assert [r["epoch"] for r in resumed[0].records] == list(range(1, at + 1))
    assert numbers(broken + resumed) == numbers(whole)
    steps = {row["step"]: row for part in broken + resumed for row in part.steps}
    assert list(steps.values()) == [row for part in whole for row in part.steps]
    for kind in ("last", "best"):
        ends = [read_checkpoint(tmp_path / name / kind) for name in ("whole", "broken")]
        assert ends[0] is not None and ends[1] is not None
        assert ends[0].data == ends[1].data and ends[0].meta["epoch"] == ends[1].meta["epoch"]


def test_weights_are_written_at_rungs_and_at_the_end_whatever_every_says(tmp_path: Path) -> None:
    config = base(train={"epochs": 9, "steps_per_epoch": 3, "batch_size": 16})
    trial = spec(tmp_path, config, rungs=(3,), last_every=100)
    host, found = Host(), []
    handle = host.open(trial)
    for _ in range(9):
        host.advance(handle, 10**9, 0)
        last = read_checkpoint(tmp_path / "last")
        assert last is not None
        found.append(last.meta["epoch"])
    assert found == [1, 1, 3, 3, 3, 3, 3, 3, 9]
    assert len(list((tmp_path / "last").glob("*.safetensors"))) == 1


def tables(root: Path) -> dict[str, Any]:
    dropped = TIMES | {"trial_id"}
    return {
        name: [
            {k: v for k, v in row.items() if k not in dropped}
            for row in read_table(RunPaths(root).table(name)).to_pylist()
        ]
        for name in ("epochs", "steps", "trials")
    }


@pytest.mark.slow
@pytest.mark.parametrize("number", range(4))
def test_a_study_that_writes_seldom_is_the_same_after_any_crashes(
    tmp_path: Path, whole: Path, number: int
) -> None:
    plan, paths = study_of(keep_top=2, every=3), RunPaths(tmp_path / "tiny")
    crasher, crashes = Crasher(random.Random(number), average=12), 0
    create_run(paths, plan)
    with crashing(crasher):
        while True:
            try:
                session(paths, plan)
            except Crash:
                crasher.reset()
                crashes += 1
            else:
                break
    assert crashes > 3
    assert tables(paths.root) == tables(whole)
    assert files(paths.root) == files(whole)


class Interrupted(Host):
    """Dies in its third trial."""

    def advance(self, handle: int, until: int, at_most_s: float) -> Progress:
        if self._open[handle].lane.spec.number == 2 and self._open[handle].records:
            raise Crash
        return super().advance(handle, until, at_most_s)


@pytest.mark.slow
def test_prune_leaves_the_best_and_what_is_not_over(tmp_path: Path) -> None:
    study, root = study_of({"name": "none"}, keep_top=None), tmp_path / "tiny"
    paths = RunPaths(root)
    create_run(paths, study)
    conductor = Conductor(paths, study, Silent())
    with pytest.raises(Crash):
        drive(conductor, Interrupted(), at_most_s=0)
    conductor.close()
    run = gantune.load(root)
    assert list(run.trials["status"]) == ["completed", "completed", "interrupted"]
    unfinished = {name for name in files(root) if name.startswith("trials/00002")}
    assert any("last/meta" in name for name in unfinished)
    ended = run.trials.iloc[:2].sort_values("objective")["number"].astype(int).tolist()

    with hold_lock(paths.lock):
        refused = call("prune", str(root), cwd=tmp_path)
    assert refused.returncode == 2 and "is being run by process" in refused.stderr
    with pytest.raises(UsageError), hold_lock(paths.lock):
        prune(paths, study, 1, keep_last=True)

    before = size(root)
    done = call("prune", str(root), "--keep-top", 1, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    freed = before - size(root)
    # The lock's own few bytes name another process now.
    assert f"freed {freed / 1e6:,.1f} MB of 1 trials" in done.stdout and freed > 10_000
    assert read_checkpoint(paths.best(ended[0])) and read_checkpoint(paths.last(ended[0]))
    assert not paths.best(ended[1]).exists() and not paths.last(ended[1]).exists()
    assert "freed 0.0 MB of 0 trials" in call("prune", str(root), cwd=tmp_path).stdout
    assert call("prune", str(root), "--last", cwd=tmp_path).returncode == 0
    assert read_checkpoint(paths.best(ended[0])) and not paths.last(ended[0]).exists()
    assert {name for name in files(root) if name.startswith("trials/00002")} == unfinished
    session(paths, study)  # and it goes on
    assert gantune.load(root).trials["status"].isin(["completed", "stopped"]).all()


def test_bad_input() -> None:
    for bad in ({"keep_top": 0}, {"every": 0}, {"keep_tops": 3}):
        with pytest.raises(ConfigError, match="checkpoint"):
            study_of(**bad)


@pytest.mark.slow
def test_a_thousand_mnist_trials_keep_under_a_gigabyte(tmp_path: Path, mnist10k: Path) -> None:
    """Computed from two real trials of the tutorials' MLP, at the study's own 200 epochs."""
    tutorial = Path(__file__).parent.parent / "search_spaces" / "seeds" / "torchbearer_gan.yaml"
    short = ["data.name=idx", f"data.root={mnist10k}", "train.epochs=12", "train.steps_per_epoch=3"]
    more = ["eval.samples=64", "scheduler={name: none}", "budget.trials=2", "checkpoint.keep_top=1"]
    fixed = ["generator.norm=batch", "samples.every=4"]
    study = gantune.load_study(tutorial, [*short, *more, *fixed])
    paths = RunPaths(tmp_path / "run")
    session(paths, study)
    run, full = gantune.load(paths.root), gantune.load_study(tutorial, short[:2])
    best = run.best_number()
    picture = max(path.stat().st_size for path in paths.samples(1 - best).iterdir())
    frames = full.max_epochs // full.samples.every
    weights = size(paths.best(best)) + size(paths.last(best))
    assert weights > 25e6  # or it is not the tutorial's network
    # In the animation a frame is as large as its picture.
    kept = weights + 2 * frames * picture * 1.2
    removed = size(paths.trial(1 - best))
    tables = 0
    for name in ("epochs", "steps", "trials"):
        compact(paths.table(name))
        tables += sum(path.stat().st_size for path in paths.table(name).glob("*.arrow"))
    rows = (tables + paths.journal.stat().st_size) / len(run.epochs)
    ray = 75e3  # measured: what Ray Tune's own file has of each trial

    def thousand(keep: Checkpoints) -> float:
        top = keep.keep_top or 1000
        return top * kept + (1000 - top) * removed + 1000 * (ray + full.max_epochs * rows)

    figures = dict(weights=weights, picture=picture, kept=kept, removed=removed, rows=rows)
    assert thousand(Checkpoints()) < 1e9, figures
    assert thousand(Checkpoints(keep_top=None)) > 30e9


def test_of_what_is_confirmed_the_best_completed_repeat_stays() -> None:
    def row(number: int, objective: float, confirms: int | None, status: str) -> dict[str, Any]:
        common = {"feasible": None, "second_objective": None}
        return {
            "number": number,
            "objective": objective,
            "confirms": confirms,
            "status": status,
            **common,
        }

    ends = [
        row(0, 5.0, None, "completed"),
        row(1, 3.0, None, "stopped"),
        row(2, 4.0, None, "completed"),
        row(3, 1.0, 1, "diverged"),  # whatever it had reached, it failed
        row(4, 6.0, 1, "completed"),
        row(5, 7.0, 1, "completed"),
        row(6, 2.0, 0, "diverged"),
    ]
    kept = [row["number"] for row in worth_keeping(ends, make_study(), 1)]
    assert sorted(kept) == [1, 4, 6]


def test_of_two_objectives_the_front_stays() -> None:
    points = [(1.0, 0.1), (2.0, 0.5), (3.0, 0.4), (4.0, 0.9)]
    ends = [
        {"number": n, "objective": a, "second_objective": b, "confirms": None, "feasible": None}
        | {"status": "completed"}
        for n, (a, b) in enumerate(points)
    ]
    both = [{"metric": "frechet_distance"}, {"metric": "coverage"}]
    kept = {row["number"] for row in worth_keeping(ends, make_study(objective=both), 1)}
    assert kept == {0, 1, 3}
