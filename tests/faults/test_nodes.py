"""Nodes of a cluster die without a word; others join; drivers die and their cluster stays.

Three raylets on one machine, in processes of their own: other tests' Ray is bound to loopback.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from rounds import Note
from test_address import unbound

TESTS = Path(__file__).parent.parent

SETUP = f"""
import sys
sys.path[:0] = [{str(TESTS)!r}, {str(TESTS / "faults")!r}]
import random, subprocess
from pathlib import Path
from ray.cluster_utils import Cluster
from test_cli import TINY, epochs_on_disk, sets, wait_for
from rounds import Round
from whole import check_whole, tables, went_on
import gantune

runs, rounds = Path(sys.argv[1]), int(sys.argv[2])
# The driver's node holds no trial: it is one that stays.
cluster = Cluster(initialize_head=True, head_node_args={{"num_cpus": 0}})
nodes = [cluster.add_node(num_cpus=1), cluster.add_node(num_cpus=1)]
cluster.wait_for_nodes()
(runs / "tiny.yaml").write_text(TINY)


def begin(what):
    command = [sys.executable, "-m", "gantune", *what, "--address", cluster.address, "--no-report"]
    pipes = {{"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}}
    return subprocess.Popen(command, cwd=runs, **pipes)
"""

KILLED_NODES = """
from collections import Counter
import time
from gantune.paths import RunPaths
from gantune.records import read_table

# Trials of several reports each, that is of several times two seconds; each keeps its last.
options = ["train.epochs=24", "train.steps_per_epoch=200", "budget.trials=12", "max_failures=100"]
options += ["scheduler={name: none}", "checkpoint.keep_top=null"]


def rows_of(root, table="epochs"):
    return read_table(RunPaths(root).table(table)).to_pylist()


def are_in_mid_trial(root, slots):
    states = Counter(row["number"] for row in rows_of(root, "trials"))
    running = {number for number, states in states.items() if states == 1}
    return len(running) == slots and running <= {row["number"] for row in rows_of(root)}


def run_named(name, slots):
    return begin(["run", "tiny.yaml", *sets(options), "--name", name, "--concurrency", str(slots)])


kills = lost = 0
if rounds > 3:
    assert run_named("undisturbed", 1).wait() == 0
for number in range(rounds):
    rng, name = random.Random(number), f"nodes-{number}"
    root = runs / "runs" / name
    slots = 1 if rounds > 3 and number % 2 else 2
    this = Round(number, slots)
    process = run_named(name, slots)
    for _ in range(1 if rounds == 3 else 2):
        if rounds > 3 and rng.random() < 0.25:
            time.sleep(rng.uniform(3, 12))  # while it starts, or soon after
        else:
            aim = epochs_on_disk(root) + rng.randrange(20, 200)
            is_due = lambda: epochs_on_disk(root) >= aim and are_in_mid_trial(root, slots)
            wait_for(lambda: is_due() or process.poll() is not None)
        if process.poll() is None:
            cluster.remove_node(nodes.pop(rng.randrange(2)), allow_graceful=False)
            this.killed_at.append(epochs_on_disk(root))
            nodes.append(cluster.add_node(num_cpus=1))
    _, err = process.communicate()
    assert process.returncode == 0, err
    check_whole(root, 12, 24)
    if slots == 1:
        assert tables(root) == tables(runs / "runs" / "undisturbed")
        this.is_equal = True
    cluster.wait_for_nodes()
    this.epochs, this.lost = epochs_on_disk(root), went_on(root)
    this.ends(lambda name, value: print(name, value, flush=True))
    kills, lost = kills + len(this.killed_at), lost + this.lost
assert kills >= rounds and lost >= rounds / 2
print("done")
cluster.shutdown()
"""


def run_script(code: str, *arguments: object) -> str:
    command = [sys.executable, "-c", SETUP + code, *map(str, arguments)]
    # A node is dead after five calls without an answer: by default these are 3 s apart.
    environment = {**unbound(), "RAY_health_check_period_ms": "1000"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=3000)
    assert "done" in done.stdout.splitlines(), done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [3, pytest.param(20, marks=pytest.mark.long)])
def test_nodes_killed_at_any_moment(tmp_path: Path, rounds: int, record_property: Note) -> None:
    for line in run_script(KILLED_NODES, tmp_path, rounds).splitlines():
        name, _, value = line.partition(" ")
        if name == "round":
            record_property(name, value)


KILLED_DRIVER = """
root = runs / "runs" / "tiny"
options = ["train.epochs=120", "train.steps_per_epoch=60", "budget.trials=6"]
what = ["run", "tiny.yaml", *sets([*options, "scheduler={name: none}"])]
for _ in range(rounds):
    process, seen = begin(what), epochs_on_disk(root)
    wait_for(lambda: epochs_on_disk(root) > seen + 5)
    process.kill()
    process.communicate()
    what = ["resume", "tiny"]
last = begin(what)
_, err = last.communicate()
assert last.returncode == 0, err
check_whole(root, 6, 120)
assert gantune.load(root).info["sessions"][-1]["slots"] == 2
print("done")
cluster.shutdown()
"""


@pytest.mark.long
def test_a_killed_driver_is_resumed_on_the_same_cluster(tmp_path: Path) -> None:
    """The killed one's actors hold the slots for as long as the cluster takes to notice."""
    run_script(KILLED_DRIVER, tmp_path, 2)


DIES_WHILE_ASKED = """
import threading, time
import ray
from gantune.paths import RunPaths
from gantune.tuning import remote

ray.init(cluster.address, log_to_driver=False)
doomed = nodes[0].node_id
begun = runs / "begun"


def sees(path):
    # By value: the nodes that are asked know no module of this script.
    import time
    import ray
    from pathlib import Path
    if ray.get_runtime_context().get_node_id() == doomed:
        begun.touch()
        time.sleep(600)
    return Path(path).is_file()


def kill():
    wait_for(begun.exists)
    cluster.remove_node(nodes[0], allow_graceful=False)


remote._sees = sees
killer = threading.Thread(target=kill)
killer.start()
remote.check_shared(RunPaths(runs))
killer.join()
assert begun.exists() and not list(runs.glob(".sign-*"))
print("done")
ray.shutdown()
cluster.shutdown()
"""


@pytest.mark.long
def test_a_node_that_dies_while_it_is_asked_is_passed_over(tmp_path: Path) -> None:
    """It holds no trial; whether it saw the run's directory no longer matters."""
    run_script(DIES_WHILE_ASKED, tmp_path, 1)
