"""SIGTERM, as a cluster's preemption sends it, and workers that run out of memory."""

import os
import signal
import time
from pathlib import Path

import psutil
import pytest
from test_cli import TINY, call, end, epochs_on_disk, kill_driver, sets, start, wait_for
from whole import check_whole, tables

import gantune
from gantune.checkpoints import read_checkpoint
from gantune.paths import RunPaths
from gantune.storage import read_json

pytestmark = pytest.mark.slow

OVERRIDES = [
    "train.epochs=300",
    "train.steps_per_epoch=200",
    "search={}",
    "budget.trials=1",
    "scheduler={name: none}",
]


def records_of(meta: Path) -> int:
    return len(read_json(meta)["records"])


@pytest.mark.long
@pytest.mark.parametrize("whom", ["the driver", "every process"])
def test_sigterm_leaves_what_was_trained_and_the_run_goes_on(tmp_path: Path, whom: str) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    root, paths = tmp_path / "runs" / "tiny", RunPaths(tmp_path / "runs" / "tiny")
    process = start("run", "tiny.yaml", *sets(OVERRIDES), "--no-report", cwd=tmp_path)
    try:
        wait_for(lambda: epochs_on_disk(root) > 0)
        # In the midst of a report's epochs: what is under way is in no report before.
        (meta,) = paths.last(0).glob("meta-001.json")
        reported = meta.stat().st_mtime
        wait_for(lambda: meta.stat().st_mtime > reported)
        time.sleep(0.3)
        sent, before = time.time(), records_of(meta)
        if whom == "the driver":
            process.send_signal(signal.SIGTERM)
        else:
            os.killpg(process.pid, signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            end(kill_driver(process))
    assert process.returncode == 130, err
    if whom == "the driver":
        assert "interrupted; go on with: gantune resume runs/tiny" in err
    assert "gantune resume" in err and "Traceback" not in err
    assert time.time() - sent < 30
    if whom == "the driver":
        # Tune lets them end the report that is under way: with epochs of seconds it has them.
        assert sent < meta.stat().st_mtime < sent + 10 and records_of(meta) > before
    else:
        # They are gone at once: what they had reported stays.
        assert records_of(meta) >= before
    checkpoint = read_checkpoint(paths.last(0))
    assert checkpoint is not None and checkpoint.meta["epoch"] >= epochs_on_disk(root) > 0
    done = call("resume", "tiny", "--no-report", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    check_whole(root, 1, 300)
    whole = gantune.train(gantune.load_study(tmp_path / "tiny.yaml", OVERRIDES), tmp_path / "whole")
    assert tables(root)["epochs"] == tables(whole.root)["epochs"]


GREEDY = """
import time
from pathlib import Path
from typing import Literal
import numpy
import torch.nn.functional as F
from gantune import extend

class Options(extend.LossOptions):
    name: Literal["greedy"] = "greedy"
    times: int = 1

@extend.loss(Options)
def greedy(options):
    calls = []
    marks = Path(MARKS) / str(options.times)
    def discriminator(real, fake):
        calls.append(1)
        marks.mkdir(parents=True, exist_ok=True)
        if len(calls) > 6 and len(list(marks.iterdir())) < options.times:
            (marks / str(len(list(marks.iterdir())))).touch()
            taken = []
            while len(taken) * 80e6 < LIMIT:
                taken.append(numpy.ones(10_000_000))
                time.sleep(0.05)
            time.sleep(60)
        on_real, on_fake = F.softplus(-real).mean(-1), F.softplus(fake).mean(-1)
        return extend.DiscriminatorLoss((on_real + on_fake) / 2, on_real, on_fake)
    def generator(fake, real):
        return F.softplus(-fake).mean(-1)
    return extend.Loss(discriminator, generator, threshold=0.0)
"""

GREEDY_STUDY = """
name: greedy
extensions: [greedy.py]
trial:
  data: {name: ring, points: 200}
  generator: {name: mlp, hidden: [8], latent_dim: 2}
  discriminator: {name: mlp, hidden: [8]}
  loss: {name: greedy}
  train: {epochs: 4, steps_per_epoch: 4, batch_size: 24}
  eval: {samples: 50}
search:
  loss.times: {choice: [1, 5, 0]}
sampler: {name: grid}
scheduler: {name: none}
max_failures: 1
"""


@pytest.mark.long
@pytest.mark.alone
def test_a_worker_that_ray_kills_for_memory_costs_an_attempt(tmp_path: Path) -> None:
    """Ray's limit is set to a little more than what is in use; one trial takes more once.

    Another takes it each time, and fails alone. Other processes that grow would disturb it.
    """
    memory = psutil.virtual_memory()
    margin = 0.06 * memory.total
    limit = (memory.total - memory.available + margin) / memory.total
    code = GREEDY.replace("MARKS", repr(str(tmp_path / "marks"))).replace("LIMIT", str(3 * margin))
    (tmp_path / "greedy.py").write_text(code)
    (tmp_path / "greedy.yaml").write_text(GREEDY_STUDY)
    environment = {**os.environ, "RAY_memory_usage_threshold": f"{limit:.4f}"}
    done = call(
        "run", "greedy.yaml", "--concurrency", 1, "--no-report", cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert "Ray killed a worker because its node ran out of memory" in done.stderr
    run = gantune.load(tmp_path / "runs" / "greedy")
    ends = run.trials.set_index("config.loss.times")
    assert ends["status"].to_dict() == {1: "completed", 5: "failed", 0: "completed"}
    assert "run fewer trials at once" in ends.loc[5, "error"]
    attempts = {n: len(list((tmp_path / "marks" / str(n)).iterdir())) for n in (1, 5, 0)}
    assert attempts == {1: 1, 5: 2, 0: 0}
    for number in ends.loc[[1, 0], "number"]:
        assert list(run.epochs[run.epochs["number"] == number]["epoch"]) == [1, 2, 3, 4]
