"""Studies as jobs of a cluster: a real head with its job server, and addresses where none is."""

import base64
import http.server
import io
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
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
from typer.testing import CliRunner

import gantune
from gantune.cli import app
from gantune.errors import GantuneError, UsageError
from gantune.jobs import pack
from gantune.tuning import submission
from gantune.tuning.submission import MARK, check_head, unpack_report

TOKEN = "0123456789abcdef" * 4

STUDY = """
name: sent
extensions: [../parts/half.py]
trial:
  data: {name: ring, points: 200}
  generator: {name: mlp, hidden: [8], latent_dim: 2}
  discriminator: {name: mlp, hidden: [8]}
  train: {epochs: 2, steps_per_epoch: 2, batch_size: 8}
  eval: {samples: 50}
search:
  optimizer.generator.lr: {log_uniform: [1e-5, 1e-2]}
objective: {metric: half, goal: maximize}
scheduler: {name: none}
budget: {trials: 1}
"""

HALF = """
from gantune import extend

@extend.metric("half", goal="maximize")
def half(samples):
    return 0.5
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study file with an extension beside its folder, and what else lies around."""
    for path, text in {"parts/half.py": HALF, "studies/sent.yaml": STUDY}.items():
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_text(text)
    (tmp_path / "studies" / "secret.txt").write_text("not to be sent")
    (tmp_path / "parts" / "data.npz").write_bytes(bytes(1000))
    return tmp_path / "studies" / "sent.yaml"


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_study_its_extensions_and_nothing_else_is_sent(study: Path, tmp_path: Path) -> None:
    upload = pack(study, tmp_path / "upload")
    assert files(tmp_path / "upload") == {"parts/half.py", "studies/sent.yaml"}
    assert (upload.name, str(upload.study)) == ("sent", "studies/sent.yaml")
    loaded = gantune.load_study(tmp_path / "upload" / upload.study)
    assert loaded.extensions == gantune.load_study(study).extensions


def test_what_cannot_be_sent_is_said(study: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.yaml"):
        pack(tmp_path / "none.yaml", tmp_path / "a")
    for extension, message in (("/etc/half.py", "relative to the study"), ("gone.py", "gone.py")):
        study.write_text(STUDY.replace("../parts/half.py", extension))
        with pytest.raises(UsageError, match=message):
            pack(study, tmp_path / "b")
    study.write_text("trial: {}")
    with pytest.raises(UsageError, match="has no name"):
        pack(study, tmp_path / "c")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--runs-dir", "runs"], "the whole path"),
        (["--runs-dir", "/shared", "--name", "../x"], "is no run name"),
    ],
)
def test_runs_are_kept_in_a_place_that_the_cluster_knows(
    study: Path, options: list[str], message: str
) -> None:
    words = ["submit", str(study), "--address", "http://127.0.0.1:9", *options]
    refused = CliRunner().invoke(app, words)
    assert isinstance(refused.exception, UsageError) and message in str(refused.exception)


@pytest.fixture
def silent() -> Iterator[str]:
    """Takes connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture(params=[(404, b""), (200, b"<html>"), (200, b'{"version": "1"}')])
def other_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server of something else."""
    status, page = request.param

    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *words: Any) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("ray://head:10001", "jobs go to the head's dashboard.*http://HEAD:8265"),
        ("head:8265", "write http://HEAD:8265"),
        ("auto", "write http://HEAD:8265"),
        ("http://", "write http://HEAD:8265"),
        ("http://head:many", "write http://HEAD:8265"),
        ("http://no-such-host.invalid:8265", "nothing answers there"),
        ("http://127.0.0.1:9", r"refused.*ray\[default\].*ssh -L 8265:localhost:8265"),
    ],
)
def test_what_is_no_head_is_refused_at_once(address: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_head(address)


def test_without_rays_job_client_the_pip_line_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)  # as where it is not installed
    with pytest.raises(UsageError, match=r"pip install 'gantune\[cluster\]'"):
        check_head("http://127.0.0.1:9")


def test_another_server_is_no_head(other_server: str) -> None:
    with pytest.raises(UsageError, match="no Ray dashboard"):
        check_head(other_server)


@pytest.mark.slow
def test_who_never_answers_is_given_up_in_time(
    silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert submission.ANSWER_S < 30
    monkeypatch.setattr(submission, "ANSWER_S", 1.0)
    began = time.monotonic()
    with pytest.raises(UsageError, match="nothing answers there"):
        check_head(silent)
    assert time.monotonic() - began < 5


def test_a_report_comes_out_of_a_log(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name in ("report/", "report/index.html", "report/../../outside", "/report/outside"):
            file.writestr(name, "page")
    log = f"a warning\n{MARK}\n{base64.encodebytes(packed.getvalue()).decode()}"
    out = tmp_path / "in" / "here"
    unpack_report(log, out)
    assert (out / "index.html").read_text() == "page"
    assert all(path.is_relative_to(out) for path in tmp_path.rglob("*") if path.is_file())
    for damaged in (log[:-200], "nothing", f"{MARK}\nabc"):
        with pytest.raises(GantuneError, match="did not come through"):
            unpack_report(damaged, out)


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
