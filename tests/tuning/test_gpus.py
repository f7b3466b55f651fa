"""Trials on GPUs that Ray is told of: real Ray, real actors. Scheduling needs no device itself.

Each test has a Ray of its own, in a process of its own: the standing one has no GPUs.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parent.parent

START = """
import sys
sys.path.insert(0, sys.argv[1])
cpus, gpus = int(sys.argv[2]), int(sys.argv[3])
import ray
ray.init(address="local", num_cpus=cpus, num_gpus=gpus, include_dashboard=False,
         log_to_driver=False, logging_level="ERROR", _node_ip_address="127.0.0.1")
"""

FIT = """
import json
from ray.util import placement_group, remove_placement_group
from gantune.study import Resources
from gantune.tuning.cluster import slots_of

rows = []
for cpu, gpu in json.loads(sys.argv[4]):
    slots = slots_of(cpus, gpus, Resources(cpu=cpu, gpu=gpu))
    bundle = {"CPU": cpu, **({"GPU": gpu} if gpu else {})}  # what Tune reserves for a trial
    groups = [placement_group([bundle]) for _ in range(slots + 1)]
    # What the last round gave back is there after a second.
    fit = [group.wait(3 if i == slots else 20) for i, group in enumerate(groups)]
    rows.append((cpu, gpu, slots, sum(fit)))
    for group in groups:
        remove_placement_group(group)
print(json.dumps(rows))
"""

STUDIES = """
import json, os, time
from pathlib import Path
from conftest import make_study
import gantune
from gantune.tuning import trainable

out = Path(sys.argv[5])


class Probe(trainable.StudyTrainable):
    \"""Notes where each trial is; the first ones go on when as many as should fit are there.\"""

    def step(self):
        if self._epoch == 0:
            # A class travels to the workers once: what differs between runs is on disk.
            seen = out / "seen" / Path(self._spec.folder).parents[1].name
            together = int((seen / "together").read_text())
            visible = os.environ["CUDA_VISIBLE_DEVICES"]
            facts = {"gpus": ray.get_gpu_ids(), "visible": visible, "process": os.getpid()}
            (seen / f"{self._spec.number}.json").write_text(json.dumps(facts))
            end = time.monotonic() + 120
            while len(list(seen.glob("*.json"))) < together:
                assert time.monotonic() < end, "the trials do not run at once"
                time.sleep(0.02)
        return super().step()


plain = trainable.StudyTrainable
rows = []
for number, (cpu, gpu, together) in enumerate(json.loads(sys.argv[4])):
    seen = out / "seen" / f"run{number}"
    seen.mkdir(parents=True)
    (seen / "together").write_text(str(together))
    trainable.StudyTrainable = Probe
    study = make_study(
        resources={"cpu": cpu, "gpu": gpu},
        scheduler={"name": "none"},
        budget={"trials": together + 1},
    )
    run = gantune.run(study, runs_dir=out, name=f"run{number}")
    facts = [json.loads((seen / f"{i}.json").read_text()) for i in range(together + 1)]
    slots = run.info["sessions"][0]["slots"]
    rows.append({"slots": slots, "statuses": run.trials["status"].tolist(), "seen": facts})
trainable.StudyTrainable = plain
asks = {"resources": {"gpu": 1}, "trial": {"device": "cuda"}, "max_failures": 0}
refused = gantune.run(make_study(**asks, budget={"trials": 1}), runs_dir=out, name="cuda")
rows.append(refused.trials[["status", "error"]].iloc[0].tolist())
print(json.dumps(rows))
"""


def on_fake_gpus(code: str, *arguments: Any) -> Any:
    """What a script prints, as JSON; its Ray believes in as many CPUs and GPUs as it is told."""
    environment = {
        **os.environ,
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    environment.pop("CUDA_VISIBLE_DEVICES", None)  # would limit what Ray can be told of
    command = [sys.executable, "-c", START + code, str(TESTS), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.long
def test_slots_are_what_ray_can_hold() -> None:
    """As many reservations as gantune counts slots are granted, and not one more."""
    asked = [(1, 3), (5, 0.25), (1, 0.4), (1, 0.3), (1, 0.2), (1, 0.1)]
    for _, _, slots, fit in (rows := on_fake_gpus(FIT, 48, 4, json.dumps(asked))):
        assert fit == slots, rows


@pytest.mark.long
def test_trials_at_once_share_devices_as_asked(tmp_path: Path) -> None:
    cases = [  # CPUs and GPUs of a trial, slots, trials to a device
        (1, 1, 2, 1),
        (1, 0.4, 4, 2),  # and not floor(2 / 0.4) = 5
        (4, 0.25, 3, 3),  # eight by the GPUs, three by the CPUs
    ]
    asked = json.dumps([case[:3] for case in cases])
    *found, cuda = on_fake_gpus(STUDIES, 15, 2, asked, tmp_path)
    for (_, gpu, slots, per_device), run in zip(cases, found, strict=True):
        assert run["slots"] == slots
        assert run["statuses"] == ["completed"] * (slots + 1)
        for facts in run["seen"]:
            assert facts["visible"] == ",".join(map(str, facts["gpus"]))
            assert len(facts["gpus"]) == 1
        # The first ones waited for each other: they were there at once, each in its own process.
        first = run["seen"][:slots]
        assert len({facts["process"] for facts in first}) == slots
        devices = Counter(facts["visible"] for facts in first)
        assert max(devices.values()) <= per_device, (gpu, devices)
    # Ray's word is not enough for a trial that insists; `auto`, above, trained on the CPU.
    status, error = cuda
    assert status == "failed"
    assert "device: cuda was asked for and this process sees no such device" in error
