"""Studies as jobs of a cluster: a real head with its job server."""

import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError

import psutil
import pytest
from sent import files, write_study

import gantune

TOKEN = "0123456789abcdef" * 4


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_study(tmp_path)


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


class Cluster(NamedTuple):
    """A head that runs: what it is reached by, and where its files are."""

    address: str
    control: str
    environment: dict[str, str]
    files: Path

    def ask(self, path: str, method: str = "GET") -> Any:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        request = urllib.request.Request(self.address + path, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head of its own, on loopback, that asks for a token."""
    port, control = free_port(), free_port()
    here = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{here}{os.pathsep}{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": TOKEN,
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "CUDA_VISIBLE_DEVICES": "",
    }
    # Ray's sockets need a short path; what is left of it goes with the folder.
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="r", ignore_cleanup_errors=True) as folder:
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"]
        command += ["--node-ip-address", "127.0.0.1", "--port", str(control)]
        command += ["--include-dashboard", "true", "--dashboard-host", "127.0.0.1"]
        command += ["--dashboard-port", str(port), "--num-cpus", "1", "--temp-dir", folder]
        # Another Ray on this machine has the ports that it would take by default.
        for name in ("ray-client-server-port", "dashboard-agent-listen-port"):
            command += [f"--{name}", str(free_port())]
        log = Path(folder, "start.log")
        with log.open("wb") as out:
            head = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
        address, control_address = f"http://127.0.0.1:{port}", f"127.0.0.1:{control}"
        found = Cluster(address, control_address, environment, Path(folder))
        try:
            wait_until(lambda: answers(found) or head.poll() is not None, 120)
            assert head.poll() is None, log.read_text()
            yield found
        finally:
            family = [head, *psutil.Process(head.pid).children(recursive=True)]
            head.terminate()
            for process in family:
                try:
                    process.wait(20)
                except (psutil.TimeoutExpired, subprocess.TimeoutExpired):
                    process.kill()


def wait_until(happens: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.2)


def answers(cluster: Cluster) -> bool:
    try:
        return isinstance(cluster.ask("/api/jobs/"), list)
    except OSError:
        return False


def submit_command(cluster: Cluster, study: Path, runs: Path, *options: str) -> list[str]:
    command = [sys.executable, "-m", "gantune", "submit", str(study), "--runs-dir", str(runs)]
    return [*command, "--address", cluster.address, *options]


@pytest.mark.slow
def test_a_study_runs_as_a_job_and_its_report_comes_back(
    cluster: Cluster, study: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "shared"
    command = submit_command(cluster, study, runs, "--set", "train.epochs=1")
    # As on a machine beside the cluster: what Ray's client would rather use is another place.
    client = {**cluster.environment, "RAY_ADDRESS": "http://127.0.0.1:9"}
    del client["RAY_AUTH_MODE"]
    no_token = {**client, "HOME": str(tmp_path)}
    del no_token["RAY_AUTH_TOKEN"]
    refused = subprocess.run(command, env=no_token, capture_output=True, text=True)
    assert refused.returncode == 2 and "copy ~/.ray/auth_token from the head" in refused.stderr
    done = subprocess.run(command, env=client, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "trial 0 completed after 1 epochs" in done.stdout
    assert "INFO" not in done.stderr
    assert "report: reports/sent/index.html" in done.stdout
    assert {"index.html", "summary.md", "trials.csv"} <= files(tmp_path / "reports" / "sent")
    run = gantune.load(runs / "sent")
    assert run.status == "finished" and run.trials["objective"].tolist() == [0.5]
    (package,) = cluster.files.glob("session_2*/runtime_resources/working_dir_files/*/")
    assert files(package) == {"parts/half.py", "studies/sent.yaml"}
    # The job's exit code is the command's: the name is taken by now.
    again = subprocess.run(command, env=client, cwd=tmp_path, capture_output=True, text=True)
    assert again.returncode == 2 and "exists; go on with it" in again.stdout


JOIN = """
import sys
from gantune.errors import UsageError
from gantune.tuning.remote import joined_ray
try:
    with joined_ray(sys.argv[1]):
        import ray
        print("joined", len(ray.nodes()))
except UsageError as error:
    print("refused:", error)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("token", "said"),
    [
        (TOKEN, "joined 1"),
        ("0" * 64, "refused: .*copy ~/.ray/auth_token from the head"),
        (None, "refused: .*copy ~/.ray/auth_token from the head"),
    ],
)
def test_who_joins_a_cluster_needs_its_token_and_no_more(
    cluster: Cluster, tmp_path: Path, token: str | None, said: str
) -> None:
    """A file in the place where Ray looks for it: RAY_AUTH_MODE is set on the head's nodes only."""
    own = {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN"}
    client = {k: v for k, v in cluster.environment.items() if k not in own}
    client["HOME"] = str(tmp_path)
    if token:
        (tmp_path / ".ray").mkdir()
        (tmp_path / ".ray" / "auth_token").write_text(token)
    command = [sys.executable, "-c", JOIN, cluster.control]
    done = subprocess.run(command, env=client, capture_output=True, text=True)
    assert re.match(said, done.stdout), done.stdout + done.stderr


@pytest.fixture
def early(cluster: Cluster) -> Iterator[tuple[str, list[str]]]:
    """The head as it is before its job agent has begun: refuses two jobs in Ray's own words.

    Gives its address, and the paths of the jobs that it was sent.
    """
    posted: list[str] = []

    class Early(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._forward(None)

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            posted.append(self.path)
            if len(posted) <= 2:
                text = b"No available agent to submit job, please try again later."
                self._answer(500, text)
            else:
                self._forward(data)

        def _forward(self, data: bytes | None) -> None:
            names = ("Authorization", "Content-Type")
            headers = {name: self.headers[name] for name in names if name in self.headers}
            request = urllib.request.Request(cluster.address + self.path, data, headers)
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    self._answer(answer.status, answer.read())
            except HTTPError as refusal:
                self._answer(refusal.code, refusal.read())

        def _answer(self, status: int, text: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *words: Any) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Early) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", posted
        server.shutdown()
        thread.join()


SUBMIT = """
import sys
from gantune.tuning.submission import Head
print(Head(sys.argv[1]).submit("true"))
"""


@pytest.mark.slow
def test_a_head_whose_agent_has_not_begun_is_asked_again(
    cluster: Cluster, early: tuple[str, list[str]]
) -> None:
    address, posted = early
    command = [sys.executable, "-c", SUBMIT, address]
    done = subprocess.run(command, env=cluster.environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert posted == ["/api/jobs/"] * 3
    assert cluster.ask(f"/api/jobs/{done.stdout.strip()}")["entrypoint"] == "true"


HOW_IT_ENDED = """
import sys
from gantune.tuning.submission import Head
print(*Head(sys.argv[1]).wait(sys.argv[2]))
"""


@pytest.mark.long
def test_ctrl_c_leaves_the_job_running(cluster: Cluster, study: Path, tmp_path: Path) -> None:
    runs = tmp_path / "shared"
    options = ("--set", "train.epochs=100000", "--name", "long", "--concurrency", "1")
    command = submit_command(cluster, study, runs, *options)
    with (tmp_path / "log").open("wb") as log:
        follower = subprocess.Popen(command, env=cluster.environment, stdout=log, stderr=log)
    wait_until(lambda: list(runs.glob("long/epochs/*")) or follower.poll() is not None, 120)
    follower.send_signal(signal.SIGINT)
    assert follower.wait(30) == 130
    text = (tmp_path / "log").read_text()
    assert "goes on without this terminal" in text and "Traceback" not in text
    job = text.split("ray job stop")[1].split()[2]
    assert cluster.ask(f"/api/jobs/{job}")["status"] == "RUNNING"
    for line in (f"ray job logs --follow --address {cluster.address} {job}", "gantune resume"):
        assert line in text
    # As `ray job stop` does: the run ends as by Ctrl-C.
    cluster.ask(f"/api/jobs/{job}/stop", "POST")
    wait_until(lambda: cluster.ask(f"/api/jobs/{job}")["status"] == "STOPPED", 60)
    command = [sys.executable, "-c", HOW_IT_ENDED, cluster.address, job]
    ended = subprocess.run(command, env=cluster.environment, capture_output=True, text=True)
    assert ended.stdout == "130 somebody stopped the job\n", ended.stderr
    assert gantune.load(runs / "long").status == "interrupted"


TUNNEL = """
import asyncio, sys

async def pump(source, drain):
    while data := await source.read(65536):
        drain.write(data)
    drain.close()

async def connect(reader, writer):
    there, back = await asyncio.open_connection("127.0.0.1", int(sys.argv[2]))
    await asyncio.gather(pump(reader, back), pump(there, writer))

async def main():
    server = await asyncio.start_server(connect, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()

asyncio.run(main())
"""

FOLLOWER = """
import sys
from gantune.errors import RunError
from gantune.tuning.submission import Head
head = Head(sys.argv[1])
job = head.submit("echo begun; sleep 600")
print(job, flush=True)
try:
    head.follow(job, lambda text: print(text, flush=True))
except RunError as error:
    print("lost:", error)
"""


@pytest.mark.slow
def test_a_connection_that_breaks_is_said_and_the_job_goes_on(cluster: Cluster) -> None:
    port, there = free_port(), cluster.address.rpartition(":")[2]
    tunnel = subprocess.Popen([sys.executable, "-c", TUNNEL, str(port), there])
    command = [sys.executable, "-c", FOLLOWER, f"http://127.0.0.1:{port}"]
    try:
        wait_until(lambda: answers(cluster._replace(address=f"http://127.0.0.1:{port}")), 30)
        pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        with subprocess.Popen(command, env=cluster.environment, **pipes) as follower:
            job = follower.stdout.readline().strip()
            said = iter(follower.stdout.readline, "")
            assert any("begun" in line for line in said)
            tunnel.kill()
            rest = follower.stdout.read()
        assert f"lost: http://127.0.0.1:{port} is lost from sight" in rest, rest
        assert cluster.ask(f"/api/jobs/{job}")["status"] == "RUNNING"
        cluster.ask(f"/api/jobs/{job}/stop", "POST")
    finally:
        tunnel.kill()
        tunnel.wait()


@pytest.mark.slow
def test_a_detached_job_is_named_and_left(cluster: Cluster, study: Path, tmp_path: Path) -> None:
    command = submit_command(cluster, study, tmp_path / "shared", "--detach", "--set", "a=b")
    done = subprocess.run(command, env=cluster.environment, capture_output=True, text=True)
    assert done.returncode == 0
    job = done.stdout.split()[1]
    wait_until(lambda: cluster.ask(f"/api/jobs/{job}")["end_time"], 60)
    ended = cluster.ask(f"/api/jobs/{job}")
    # The study is checked there: nothing was known of its fields here.
    assert ended["status"] == "FAILED" and ended["driver_exit_code"] == 2
