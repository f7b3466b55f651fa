"""Nodes of a cluster die without a word; others join; drivers die and their cluster stays.

Three raylets on one machine, in processes of their own: other tests' Ray is bound to loopback.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from test_address import unbound

TESTS = Path(__file__).parent.parent

SETUP = f"""
import sys
sys.path[:0] = [{str(TESTS)!r}, {str(TESTS / "faults")!r}]
import random, threading, time
from pathlib import Path
from ray.cluster_utils import Cluster
from conftest import make_study
from whole import check_whole, tables
import gantune

runs, rounds = Path(sys.argv[1]), int(sys.argv[2])
# The driver's node holds no trial: it is one that stays.
cluster = Cluster(initialize_head=True, head_node_args={{"num_cpus": 0}})
nodes = [cluster.add_node(num_cpus=1), cluster.add_node(num_cpus=1)]
cluster.wait_for_nodes()
"""

KILLED_NODES = """
study = make_study(
    trial={"train": {"epochs": 40, "steps_per_epoch": 60, "batch_size": 8}},
    budget={"trials": 12}, max_failures=100,
)
kills = 0

def kill_nodes(rng, is_over):
    global kills
    for _ in range(2):
        if is_over.wait(rng.uniform(2, 8)):
            return
        node = nodes.pop(rng.randrange(2))
        cluster.remove_node(node, allow_graceful=False)
        kills += 1
        nodes.append(cluster.add_node(num_cpus=1))

for number in range(rounds):
    is_over = threading.Event()
    killer = threading.Thread(target=kill_nodes, args=(random.Random(number), is_over))
    killer.start()
    run = gantune.run(study, name=f"n{number}", runs_dir=runs, address=cluster.address)
    is_over.set()
    killer.join()
    cluster.wait_for_nodes()
    check_whole(run.root, 12, 40)
    workers = run.trials["worker"].nunique()
    print("round", number, "whole, kills so far", kills, "workers", workers, flush=True)
assert kills > rounds / 2, kills
print("done")
cluster.shutdown()
"""


def run_script(code: str, *arguments: object) -> str:
    command = [sys.executable, "-c", SETUP + code, *map(str, arguments)]
    done = subprocess.run(command, env=unbound(), capture_output=True, text=True, timeout=3000)
    assert "done" in done.stdout.splitlines(), done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [3, pytest.param(20, marks=pytest.mark.long)])
def test_nodes_killed_at_any_moment(tmp_path: Path, rounds: int) -> None:
    run_script(KILLED_NODES, tmp_path, rounds)


KILLED_DRIVER = """
import subprocess, psutil
from test_cli import TINY, epochs_on_disk, sets, wait_for

(runs / "tiny.yaml").write_text(TINY)
root = runs / "runs" / "tiny"
options = ["train.epochs=120", "train.steps_per_epoch=60", "budget.trials=6"]
command = [sys.executable, "-m", "gantune"]
where = ["--address", cluster.address, "--no-report"]
what = ["run", "tiny.yaml", *sets([*options, "scheduler={name: none}"])]
for _ in range(2):
    process = subprocess.Popen([*command, *what, *where], cwd=runs, stderr=subprocess.PIPE)
    seen = epochs_on_disk(root)
    wait_for(lambda: epochs_on_disk(root) > seen + 5)
    process.kill()
    process.communicate()
    what = ["resume", "tiny"]
last = subprocess.run([*command, *what, *where], cwd=runs, capture_output=True, text=True)
assert last.returncode == 0, last.stderr
check_whole(root, 6, 120)
assert gantune.load(root).info["sessions"][-1]["slots"] == 2
print("done")
cluster.shutdown()
"""


@pytest.mark.slow
def test_a_killed_driver_is_resumed_on_the_same_cluster(tmp_path: Path) -> None:
    """The killed one's actors hold the slots for as long as the cluster takes to notice."""
    run_script(KILLED_DRIVER, tmp_path, 0)
