"""Disks of their own for processes of one machine, through namespaces of the kernel."""

import os
import subprocess
from pathlib import Path

import pytest

_TWO_DISKS = """
import subprocess, sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
import ray
from ray.cluster_utils import Cluster
import gantune

runs = Path({runs!r})
cluster = Cluster(initialize_head=True, head_node_args={{"num_cpus": 1}})
# The other node has a disk of its own where the runs are.
start = f"{{sys.executable}} -m ray.scripts.scripts start --block --num-cpus 1 --address "
hide = f"mount -t tmpfs none {{runs}} && {hide}exec "
node = subprocess.Popen(["unshare", "-rm", "sh", "-c", hide + start + cluster.address])
try:
    ray.init(address=cluster.address, logging_level="ERROR")
    end = time.monotonic() + 120
    while len(ray.nodes()) < 2:
        assert time.monotonic() < end and node.poll() is None, "there is no second node"
        time.sleep(0.2)
    ray.shutdown()
{body}
finally:
    node.terminate()
    node.wait()
    cluster.shutdown()
"""


def two_disks(runs: Path, body: str, hide: str = "") -> str:
    """A program that starts a head and a node that does not see the runs, and does something.

    Args:
        runs: The runs directory, as the head sees it.
        body: What it does, with ``runs`` and ``cluster``; as in the body of a function.
        hide: What the node's shell does first on its own disk, a command and ``&&``.
    """
    tests = str(Path(__file__).parent)
    return _TWO_DISKS.format(tests=tests, runs=str(runs), body=body, hide=hide)


def needs_namespaces(folder: Path) -> None:
    """Skips a test where they cannot be made; in CI it fails."""
    command = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", str(folder)]
    try:
        has = subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        has = False
    if not has:
        message = "needs unshare, and the right to make namespaces"
        assert not os.environ.get("CI"), message
        pytest.skip(message)
