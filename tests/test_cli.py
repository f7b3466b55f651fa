"""The command line as people meet it: mostly real processes, real signals, real kills."""

import contextlib
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from data_files import random_images, write_idx
from whole import check_whole

import gantune
from gantune.cli import main
from gantune.paths import RunPaths
from gantune.records import read_table

TINY = """\
name: tiny
description: Quick.
trial:
  data: {name: ring, points: 200}
  generator: {hidden: [8], latent_dim: 2}
  discriminator: {hidden: [8]}
  train: {epochs: 4, steps_per_epoch: 2, batch_size: 8}
  eval: {samples: 50}
search:
  optimizer.generator.lr: {log_uniform: [1e-5, 1e-2]}
  optimizer.generator.beta1: {uniform: [0, 0.9]}
scheduler: {name: asha, grace_epochs: 1, reduction_factor: 2}
budget: {trials: 4}
"""

NO_GPU = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}

LONG = ["train.epochs=100", "train.steps_per_epoch=20", "scheduler={name: none}"]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


def start(*arguments: object, cwd: Path, **options: Any) -> "subprocess.Popen[str]":
    command = [sys.executable, "-W", "error::DeprecationWarning:gantune", "-m", "gantune"]
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def call(*arguments: object, cwd: Path, **options: Any) -> "subprocess.CompletedProcess[str]":
    process = start(*arguments, cwd=cwd, **options)
    out, err = process.communicate(timeout=400)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def within(*arguments: object, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """The same in this process, with the Ray that runs in it: to start one takes half a minute."""
    out, err, code = io.StringIO(), io.StringIO(), None
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.setattr(sys, "argv", ["gantune", *map(str, arguments)])
        try:
            main()
        except SystemExit as error:
            code = error.code
    return subprocess.CompletedProcess(arguments, code or 0, out.getvalue(), err.getvalue())


def sets(overrides: Sequence[str]) -> list[str]:
    return [word for text in overrides for word in ("--set", text)]


def epochs_on_disk(root: Path) -> int:
    return int(read_table(RunPaths(root).table("epochs")).num_rows)


def wait_for(condition: Any, seconds: float = 180) -> None:
    """Waits for what begins a test; on a busy machine a Ray takes a minute to start."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def kill_driver(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    """Kills the driver with no chance to say goodbye; returns what it leaves behind."""
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    return children


def end(processes: Sequence[psutil.Process]) -> None:
    """Ends processes that are still there."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            pass
    psutil.wait_procs(processes, timeout=10)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "missing.yaml"], "missing.yaml: no such file"),
        (["check", "."], "is a directory"),
        (["run", "tiny.yaml", "--set", "train.epoch=3"], "did you mean 'epochs'?"),
        (["run", "tiny.yaml", "--name", "../escape"], "is no run name"),
        (["run", "tiny.yaml", "--name", ".."], "is no run name"),
        (["show", "nothing"], "nothing: no such run; runs has no runs"),
        (["resume", "nothing"], "no such run"),
        (["run", "tiny.yaml", "--warm-start", "nothing"], "nothing: no such run"),
        (["stop", "nothing"], "no such run"),
        (["frobnicate"], "No such command"),
        (["run"], "Missing argument"),
    ],
)
def test_bad_input_is_a_message_and_exit_code_2(
    tiny: Path, arguments: list[str], message: str
) -> None:
    done = call(*arguments, cwd=tiny.parent)
    assert done.returncode == 2
    assert message in done.stderr and "Traceback" not in done.stderr
    assert sorted(path.name for path in tiny.parent.iterdir()) == ["tiny.yaml"]


@pytest.mark.slow
def test_debug_shows_the_traceback(tiny: Path) -> None:
    done = call("--debug", "check", "missing.yaml", cwd=tiny.parent)
    assert done.returncode == 2 and "Traceback" in done.stderr


def test_check_prints_the_study_in_a_moment(tiny: Path) -> None:
    done = call("check", "tiny.yaml", cwd=tiny.parent)
    assert done.returncode == 0
    for part in (
        "log_uniform [1e-05, 0.01]",
        "rungs in epochs: 1 (2 steps), 2 (4 steps)",
        "4 trials, at most 16 epochs, about 8 expected",  # 4 to 1, 2 to 2, 1 to 4
        "negative_slope: 0.2",
        "5 configurations drawn at random",
    ):
        assert part in done.stdout, part


def test_version(tiny: Path) -> None:
    done = call("--version", cwd=tiny.parent)
    assert done.returncode == 0 and done.stdout.startswith("gantune ")


def test_schema_is_json(tiny: Path) -> None:
    done = call("schema", cwd=tiny.parent)
    assert json.loads(done.stdout)["properties"]["search"]


HEAVY = ("torch", "ray", "pandas", "optuna", "sklearn")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (["--help"], ()),
        (["check", "tiny.yaml"], ()),
        (["schema"], ()),
        (["list"], ("pandas",)),
        (["train", "tiny.yaml"], ("torch", "pandas", "optuna")),
        (["show", "tiny"], ("pandas",)),
    ],
)
def test_commands_import_only_what_they_need(
    tiny: Path, arguments: list[str], allowed: tuple[str, ...]
) -> None:
    if arguments == ["show", "tiny"]:
        assert call("train", "tiny.yaml", cwd=tiny.parent).returncode == 0
    code = (
        "import sys; from gantune.cli import app\n"
        f"try: app({arguments!r})\nexcept SystemExit: pass\n"
        f"print('heavy:', *[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tiny.parent, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.rpartition("heavy:")[2].split()) <= set(allowed)


def children_s() -> float:
    """Processor time of processes that have ended: others that are busy do not count."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["--help"], ["check", "tiny.yaml"]])
def test_light_commands_are_quick(tiny: Path, arguments: list[str]) -> None:
    times = []
    for _ in range(3):
        began = children_s()
        call(*arguments, cwd=tiny.parent)
        times.append(children_s() - began)
    assert min(times) < 1.5


def test_train_leaves_a_run_of_one_trial(tiny: Path) -> None:
    done = call("train", "tiny.yaml", "--set", "train.epochs=3", "--out", "one", cwd=tiny.parent)
    assert done.returncode == 0, done.stderr
    run = gantune.load(tiny.parent / "one")
    assert run.status == "finished" and len(run.trials) == 1
    assert list(run.epochs["epoch"]) == [1, 2, 3]
    assert run.best().checkpoint.is_file()
    again = call("train", "tiny.yaml", "--out", "one", cwd=tiny.parent)
    assert again.returncode == 2 and "exists" in again.stderr


@pytest.mark.slow
def test_train_on_a_device_that_is_not_there_leaves_nothing(tiny: Path) -> None:
    done = call("train", "tiny.yaml", "--set", "device=cuda", cwd=tiny.parent, env=NO_GPU)
    assert done.returncode == 2 and "cuda was asked for" in done.stderr
    assert not (tiny.parent / "runs").exists()


@pytest.mark.slow
def test_ctrl_c_in_train_leaves_an_interrupted_run(tiny: Path) -> None:
    options = sets(["train.epochs=400", "train.steps_per_epoch=40"])
    process = start("train", "tiny.yaml", *options, "--out", "one", cwd=tiny.parent)
    wait_for(lambda: epochs_on_disk(tiny.parent / "one") > 0)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130 and "gantune resume one" in err
    assert gantune.load(tiny.parent / "one").trials["status"].tolist() == ["interrupted"]


@pytest.mark.slow
def test_a_full_disk_ends_the_run_with_a_message_and_loses_nothing(tiny: Path) -> None:
    """Files may not grow beyond 20 kB here: the write fails as on a full disk."""
    import resource

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    options = sets(["train.epochs=4000", "train.steps_per_epoch=1", "generator.hidden=[2]"])
    done = call("train", "tiny.yaml", *options, cwd=tiny.parent, preexec_fn=limited)
    assert done.returncode == 1
    assert "error: the run cannot go on" in done.stderr and "gantune resume" in done.stderr
    assert "Traceback" not in done.stderr
    run = gantune.load(tiny.parent / "runs" / "tiny")
    assert run.status == "interrupted"
    assert list(run.epochs["epoch"]) == list(range(1, len(run.epochs) + 1))


@pytest.mark.slow
def test_no_write_permission(tiny: Path) -> None:
    if os.geteuid() == 0:  # root may write anywhere: a file in the way does the same
        (tiny.parent / "runs").write_text("in the way")
    else:
        tiny.parent.chmod(0o500)
    done = call("train", "tiny.yaml", cwd=tiny.parent)
    assert done.returncode == 2 and "cannot be made" in done.stderr


@pytest.mark.slow
def test_a_line_for_each_trial_that_ends_and_a_summary(tiny: Path) -> None:
    done = call("train", "tiny.yaml", cwd=tiny.parent)
    assert "trial 0 completed after 4 epochs, best frechet_distance" in done.stderr
    assert "best: trial 0, frechet_distance" in done.stdout
    assert "tables and journal: runs/tiny" in done.stdout
    again = call("resume", "tiny", cwd=tiny.parent)
    assert again.returncode == 0 and "is finished" in again.stderr
    listed = call("list", cwd=tiny.parent).stdout
    assert "tiny" in listed and "finished" in listed
    shown = call("show", "tiny", "0", cwd=tiny.parent).stdout
    assert "tiny_00000: completed" in shown and "g_loss" in shown
    missing = call("show", "tiny", "7", cwd=tiny.parent)
    assert missing.returncode == 2 and "has no trial 7" in missing.stderr


# From here on: Ray.


@pytest.fixture
def running(request: pytest.FixtureRequest, tiny: Path) -> Iterator["subprocess.Popen[str]"]:
    """A study that takes a while, with epochs already on disk; parameters: more overrides."""
    options = sets([*LONG, *getattr(request, "param", [])])
    process = start("run", "tiny.yaml", *options, cwd=tiny.parent)
    try:
        wait_for(lambda: epochs_on_disk(tiny.parent / "runs" / "tiny") > 0)
        yield process
    finally:
        if process.poll() is None:
            end(kill_driver(process))


@pytest.mark.slow
@pytest.mark.parametrize("running", [["train.epochs=20000"]], indirect=True)
def test_while_a_study_runs(tiny: Path, running: "subprocess.Popen[str]") -> None:
    """What others see and may do: read, not resume; fewer at once; stop. All on loopback."""
    root = tiny.parent / "runs" / "tiny"
    run = gantune.load(root)
    assert run.status == "running" and "running" in set(run.trials["status"])
    assert run.best().objective == run.epochs["objective"].min()
    second = call("resume", "tiny", cwd=tiny.parent)
    assert second.returncode == 2 and f"process {running.pid}" in second.stderr
    again = call("run", "tiny.yaml", cwd=tiny.parent)
    assert again.returncode == 2 and "gantune resume runs/tiny" in again.stderr
    tree = [psutil.Process(running.pid), *psutil.Process(running.pid).children(recursive=True)]
    listening = [c.laddr.ip for p in tree for c in p.net_connections() if c.status == "LISTEN"]
    assert listening and set(listening) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    unknown = call("stop", "tiny", "--trial", "99", cwd=tiny.parent)
    assert unknown.returncode == 2
    assert "trial 99 is not running; those that are, or wait: [0" in unknown.stderr
    fewer = call("resume", "tiny", "--concurrency", "1", cwd=tiny.parent)
    assert fewer.returncode == 0 and "at most 1 at once" in fewer.stdout
    before = len(gantune.load(root).trials)
    assert call("stop", "tiny", "--trial", "0", cwd=tiny.parent).returncode == 0
    wait_for(lambda: "stopped" in set(gantune.load(root).trials["status"]))
    if before > 1:  # others run: with one at a time none takes its place
        time.sleep(1)
        assert len(gantune.load(root).trials) == before
    assert running.poll() is None
    assert call("stop", "tiny", cwd=tiny.parent).returncode == 0
    _, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    ended = gantune.load(root)
    assert ended.status == "stopped"
    assert set(ended.trials["status"]) == {"stopped"}
    assert set(ended.trials["stopped_by"]) == {"user"}
    assert call("stop", "tiny", cwd=tiny.parent).returncode == 2


@pytest.mark.slow
@pytest.mark.usefixtures("standing_ray")
def test_a_warm_start_is_kept_when_the_earlier_run_is_gone(tiny: Path) -> None:
    runs = tiny.parent / "runs"
    assert within("run", "tiny.yaml", "--name", "earlier", cwd=tiny.parent).returncode == 0
    options = [*sets(["sampler.startup_trials=2", "trial.seed=1"]), "--warm-start"]

    def refused(*arguments: object) -> str:
        done = within("run", "tiny.yaml", "--name", "new", *arguments, cwd=tiny.parent)
        assert done.returncode == 2 and not (runs / "new").exists()
        return done.stderr

    assert "data.points is 200 in it" in refused("--set", "data.points=300", *options, "earlier")
    info = runs / "earlier" / "run.json"
    noted = info.read_text()
    digest = json.loads(noted)["sessions"][0]["features"]["hash"]
    info.write_text(noted.replace(digest, "0123456789abcdef"))
    assert "no warm start: frechet_distance of runs/earlier" in refused(*options, "earlier")
    info.write_text(noted)

    done = within("run", "tiny.yaml", "--name", "new", *options, "runs/earlier", cwd=tiny.parent)
    assert done.returncode == 0 and "warm start: 4 trials of earlier\n" in done.stderr
    shutil.rmtree(runs / "earlier")
    assert within("resume", "new", "--trials", "+2", cwd=tiny.parent).returncode == 0
    run = gantune.load(runs / "new")
    assert list(run.trials["number"]) == list(range(6))
    for session in run.info["sessions"]:
        noted_start = session["warm_start"]
        assert (noted_start["run"], noted_start["trials"]) == ("earlier", 4)
        assert noted_start["features"] == digest
    assert "warm start: 4 trials of earlier\n" in within("show", "new", cwd=tiny.parent).stdout


@pytest.mark.slow
@pytest.mark.usefixtures("standing_ray")
@pytest.mark.parametrize("running", [["budget.trials=2"]], indirect=True)
def test_ctrl_c_stops_cleanly_and_resume_goes_on(
    tiny: Path, running: "subprocess.Popen[str]"
) -> None:
    root = tiny.parent / "runs" / "tiny"
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "interrupted; go on with: gantune resume runs/tiny" in err
    assert "Traceback" not in err
    before = gantune.load(root)
    assert before.status == "interrupted" and "interrupted" in set(before.trials["status"])
    first = start("resume", "tiny", "--trials", "+1", cwd=tiny.parent)
    wait_for(lambda: f'"pid": {first.pid}' in RunPaths(root).lock.read_text())
    # While the first one's Ray starts; this one's has.
    second = within("resume", "tiny", "--trials", "+2", cwd=tiny.parent)
    assert second.returncode == 2 and f"being run by process {first.pid}" in second.stderr
    _, err = first.communicate(timeout=180)
    assert first.returncode == 0, err
    check_whole(root, trials=3, epochs=100)
    assert gantune.load(root).study.budget.trials == 3


@pytest.mark.slow
@pytest.mark.usefixtures("standing_ray")
def test_exit_code_1_where_no_trial_succeeded(tiny: Path) -> None:
    options = sets(["search.device={choice: [cuda]}", "max_failures=0", "budget.trials=1"])
    done = within("run", "tiny.yaml", *options, cwd=tiny.parent)
    assert done.returncode == 1, done.stderr
    assert "no trial succeeded" in done.stderr
    run = gantune.load(tiny.parent / "runs" / "tiny")
    assert run.status == "failed" and set(run.trials["status"]) == {"failed"}


@pytest.mark.slow
@pytest.mark.usefixtures("standing_ray")
def test_data_that_cannot_be_used_is_a_message_and_exit_code_2(tiny: Path) -> None:
    data = tiny.parent / "digits"
    options = sets(["data={name: idx, root: digits}"])
    done = within("check", "tiny.yaml", *options, cwd=tiny.parent)
    assert done.returncode == 2 and "trial.data.root: digits is no folder" in done.stderr
    write_idx(data, random_images(100, 8, 8))
    assert within("check", "tiny.yaml", *options, cwd=tiny.parent).returncode == 0
    whole = (data / "t10k-images-idx3-ubyte.gz").read_bytes()
    (data / "t10k-images-idx3-ubyte.gz").write_bytes(whole[:-100])
    done = within("train", "tiny.yaml", *options, cwd=tiny.parent)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "error: data.root: digits/t10k-images-idx3-ubyte.gz cannot be read" in done.stderr
    done = within("train", "tiny.yaml", *sets(["data={name: mnist}"]), cwd=tiny.parent)
    assert done.returncode == 2 and "set data.download: true" in done.stderr
    assert not (tiny.parent / "runs").exists()


@pytest.mark.slow
def test_real_digits_are_trained_on(tiny: Path, mnist10k: Path) -> None:
    options = sets([f"data={{name: idx, root: '{mnist10k}', limit: 500}}", "train.epochs=1"])
    done = call("train", "tiny.yaml", *options, "--out", "one", cwd=tiny.parent)
    assert done.returncode == 0, done.stderr
    run = gantune.load(tiny.parent / "one")
    assert run.info["sessions"][0]["features"]["accuracy"] >= 0.97
    assert run.epochs["frechet_distance"].notna().all()


@pytest.mark.slow
@pytest.mark.usefixtures("standing_ray")
def test_a_finished_run_is_given_more_to_do(tiny: Path) -> None:
    options = sets(["budget.trials=2", "scheduler={name: none}"])
    assert within("run", "tiny.yaml", *options, cwd=tiny.parent).returncode == 0
    before = gantune.load(tiny.parent / "runs" / "tiny").epochs
    refused = within("resume", "tiny", "--trials", "2", cwd=tiny.parent)
    assert refused.returncode == 2 and "the run has 2 already" in refused.stderr
    done = within("resume", "tiny", "--trials", "+1", cwd=tiny.parent)
    assert done.returncode == 0, done.stderr
    run = gantune.load(tiny.parent / "runs" / "tiny")
    assert list(run.trials["status"]) == ["completed"] * 3 and run.is_done
    assert run.study.budget.trials == 3
    pd.testing.assert_frame_equal(run.epochs.iloc[: len(before)], before)


@pytest.mark.slow
@pytest.mark.usefixtures("standing_ray")
def test_a_time_budget_ends_a_run_cleanly(tiny: Path) -> None:
    options = sets(["train.epochs=100000", "train.steps_per_epoch=1", "eval.every=1000"])
    done = within("run", "tiny.yaml", *options, "--time-budget", "6s", cwd=tiny.parent)
    assert done.returncode == 0, done.stderr
    run = gantune.load(tiny.parent / "runs" / "tiny")
    assert run.status == "finished" and run.is_done
    assert set(run.trials["stopped_by"].dropna()) <= {"budget", "asha"}
    assert "budget" in set(run.trials["stopped_by"])
    assert not (run.trials["status"] == "running").any()


@pytest.mark.slow
@pytest.mark.usefixtures("standing_ray")
def test_a_run_is_given_more_epochs_hours_and_what_confirms_it(tiny: Path) -> None:
    options = sets(["budget.epochs=6", "budget.hours=1", "scheduler={name: none}"])
    assert within("run", "tiny.yaml", *options, cwd=tiny.parent).returncode == 0
    run = gantune.load(tiny.parent / "runs" / "tiny")
    before = len(run.epochs)  # an epoch of a trial's last report may be one too many
    assert 6 <= before < 16
    more = ("--epochs", f"{before + 1}", "--time-budget", "2h", "--confirm", "1x2")
    done = within("resume", "tiny", *more, cwd=tiny.parent)
    assert done.returncode == 0, done.stderr
    run = gantune.load(run.root)
    searched = ~run.epochs["number"].isin(run.repeats["number"])
    assert before < searched.sum() and run.study.budget.epochs == before + 1
    assert run.study.budget.hours is not None and run.study.budget.hours > 2
    # The best and the base trial, twice each, to their full length.
    assert len(run.repeats) == 4 and set(run.repeats["epochs"]) == {4}
