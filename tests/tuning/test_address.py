"""A Ray cluster that is already there, and addresses where none is."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import make_study
from namespaces import needs_namespaces, two_disks

from gantune.api import silent
from gantune.errors import UsageError
from gantune.tuning import remote, runner
from gantune.tuning.remote import check_answers


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that takes connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("ray://head:10001", "gantune submit STUDY --address http://HEAD:8265"),
        ("http://head:8265", "gantune submit"),
        ("head", "write auto, or HOST:PORT"),
        ("head:many", "write auto, or HOST:PORT"),
        (":6379", "write auto, or HOST:PORT"),
        ("127.0.0.1:99999", "nothing answers there"),
        ("no-such-host.invalid:6379", "nothing answers there"),
    ],
)
def test_what_is_no_cluster_is_refused_at_once(address: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_answers(address)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ("http://head:8265", "gantune submit STUDY"),
        ("ray://head:10001", "log in there and give --address auto"),
        ("head", "write auto, or HOST:PORT"),
        ("127.0.0.1:9", "nothing answers there"),
        ("[::1]:9", "nothing answers there: (?!.*[Nn]ame)"),  # as Ray writes it in a job
    ],
)
def test_auto_is_what_the_environment_says(
    told: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Ray has it, whose own word for a wrong one is that no cluster runs."""
    monkeypatch.setenv("RAY_ADDRESS", told)
    with pytest.raises(UsageError, match=rf"auto \(RAY_ADDRESS={re.escape(told)}\): .*{message}"):
        check_answers("auto")


def test_a_closed_port_is_refused_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening
        with pytest.raises(UsageError, match=r"nothing answers there: .*refused"):
            check_answers(f"127.0.0.1:{taken.getsockname()[1]}")


def test_nothing_is_read_or_made_where_no_cluster_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data sets take minutes to read; the address is wrong at once."""
    asked = []
    monkeypatch.setattr(runner, "_make_materials", asked.append)
    with pytest.raises(UsageError, match="nothing answers there"):
        runner.run_study(make_study(), silent, runs_dir=tmp_path, address="127.0.0.1:9")
    assert not asked and not list(tmp_path.iterdir())


@pytest.mark.slow
def test_who_never_answers_is_given_up_in_time(
    silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "HEALTH_S", 5.0)
    began = time.monotonic()
    with pytest.raises(UsageError, match="no Ray cluster answers there"):
        check_answers(f"127.0.0.1:{silent_port}")
    assert time.monotonic() - began < 10


def test_the_limits_together_are_under_half_a_minute() -> None:
    assert remote.CONNECT_S + remote.HEALTH_S < 30


def unbound() -> dict[str, str]:
    """The environment without what keeps other tests' Ray on loopback, and to one node."""
    return {k: v for k, v in os.environ.items() if k != "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"}


CLUSTER = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from ray.cluster_utils import Cluster
from conftest import make_study
import gantune

cluster = Cluster(initialize_head=True, head_node_args={{"num_cpus": 1}})
cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
study = make_study(
    trial={{"train": {{"epochs": 20, "steps_per_epoch": 400, "batch_size": 8}}}},
    budget={{"trials": 4}}, scheduler={{"name": "none"}}, confirm={{"top": 1, "seeds": 2}},
)
run = gantune.run(study, runs_dir=Path({runs!r}), address=cluster.address)
print("status", run.status, "workers", run.trials["worker"].nunique(),
      "slots", run.info["sessions"][0]["slots"], "repeats", len(run.repeats))
cluster.shutdown()
"""


@pytest.mark.long
def test_a_study_runs_on_two_nodes_of_a_cluster(tmp_path: Path) -> None:
    code = CLUSTER.format(tests=str(Path(__file__).parent.parent), runs=str(tmp_path))
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=unbound(), capture_output=True, text=True)
    # What confirms may have an actor of its own.
    assert re.search(r"status finished workers [2-4] slots 2 repeats 2", done.stdout), done.stdout


REFUSED = """
    from conftest import make_study
    for name, storage in (("tiny", None), ("other", str(runs / "store"))):
        try:
            gantune.run(
                make_study(), name=name, runs_dir=runs, address=cluster.address, storage=storage
            )
        except gantune.UsageError as error:
            print(f"refused: {error}")
"""


@pytest.mark.long
def test_a_node_that_does_not_see_the_run_is_named_before_any_trial(tmp_path: Path) -> None:
    """The second node's file system is another where the runs are: it is in a namespace."""
    runs = tmp_path / "runs"
    runs.mkdir()
    needs_namespaces(runs)
    # On its own disk the other node has a directory of the run's name.
    code = two_disks(runs, REFUSED, hide=f"mkdir {runs}/tiny && ")
    environment = {**unbound(), "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123abcd" * 8}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert f"refused: {runs / 'tiny'} is not there on {socket.gethostname()}" in done.stdout, (
        done.stdout + done.stderr
    )
    assert sorted(path.name for path in (runs / "tiny").iterdir()) == ["lock", "study.yaml"]
    # Nor does it see the folder that was to be the run's store.
    store = runs / "store" / "other"
    assert f"refused: {store} is not there on {socket.gethostname()}" in done.stdout
    assert "--storage /shared" in done.stdout and not list(store.iterdir())
