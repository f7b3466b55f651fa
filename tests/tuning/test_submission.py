"""What of a study is sent to a cluster, what is brought back, and addresses where no head is."""

import base64
import http.server
import io
import re
import shlex
import socket
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sent import STUDY, files, write_study
from test_deploy import parsed
from typer.testing import CliRunner

import gantune
from gantune.cli import app
from gantune.errors import GantuneError, UsageError
from gantune.jobs import pack
from gantune.tuning import submission
from gantune.tuning.submission import MARK, check_head, unpack_report


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_study(tmp_path)


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
    (tmp_path / "large.py").write_bytes(b"#" * 500_001)
    study.write_text(STUDY.replace("../parts/half.py", "../large.py"))
    with pytest.raises(UsageError, match=r"large\.py is larger than"):
        pack(study, tmp_path / "c")
    assert not (tmp_path / "c").exists()
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


class Asked:
    """In the place of a head: what it was asked to run."""

    address = "http://head:8265"
    command = ""

    def __init__(self, address: str) -> None:
        assert address == self.address

    def submit(self, command: str, folder: Path) -> str:
        assert (folder / "studies" / "sent.yaml").is_file()
        type(self).command = command
        return "job-1"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], {}),
        (["--storage", "s3://b/r?region=x&a=b"], {"storage": "s3://b/r?region=x&a=b"}),
        (["--concurrency", "3"], {"concurrency": 3}),
        (["--name", "other"], {"name": "other"}),
        (["--trust"], {}),  # asked here; there the copies are the job's user's
        (["--set", "a=['b c']", "--set", "$A=`x`; y"], {"set_": ["a=['b c']", "$A=`x`; y"]}),
    ],
)
def test_the_job_is_told_what_its_command_was_told(
    study: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], told: dict[str, Any]
) -> None:
    monkeypatch.setattr(submission, "Head", Asked)
    runs = ["--runs-dir", "/shared/the runs"]
    words = ["submit", str(study), "--address", Asked.address, *runs, *options, "--detach"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.exception
    python, _, *job = shlex.split(Asked.command)
    assert python == "python"
    expected = {
        "study": Path("studies/sent.yaml"),
        "address": "auto",
        "runs_dir": Path("/shared/the runs"),
        "name": "sent",
        "report": False,
        **told,
    }
    given = parsed(job).params
    assert {key: value for key, value in given.items() if value or key == "report"} == expected
    again = re.search(r"-- python -m (gantune resume .*)", done.output)
    report = re.search(r"report:  (gantune report .*?)  ", done.output)
    assert again is not None and report is not None
    root = f"/shared/the runs/{expected['name']}"
    assert parsed(shlex.split(again[1])).params["run"] == root
    assert parsed(shlex.split(report[1])).params["runs"] == [root]


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
