"""What a running study opens to others: nothing beyond loopback, and nothing without the token."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from test_cli import LONG, TINY, end, epochs_on_disk, kill_driver, sets, start, wait_for

from gantune.errors import UsageError
from gantune.tuning.cluster import _make_token, have_private_token, ray_environment
from gantune.tuning.remote import joined_ray
from gantune.tuning.submission import Head

LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def at_home(home: Path) -> dict[str, str]:
    """The environment of somebody with another home, who has no token."""
    own = {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"}
    return {**{k: v for k, v in os.environ.items() if k not in own}, "HOME": str(home)}


def joins(ports: list[int], token: str | None, home: Path) -> bool:
    """Whether a client gets an answer from a running Ray at one of its ports."""
    with ray_environment(on_loopback=True):  # without it a client does not look on loopback
        environment = {**at_home(home), "RAY_AUTH_MODE": "token" if token else "disabled"}
    environment |= {"RAY_AUTH_TOKEN": token} if token else {}
    ray = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address"]
    return any(
        subprocess.run([*ray, f"127.0.0.1:{port}"], env=environment, capture_output=True).returncode
        == 0
        for port in ports
    )


@pytest.mark.slow
def test_a_running_study_is_on_loopback_and_asks_for_its_token(tmp_path: Path) -> None:
    """In a home of its own, and with a umask that lets everybody read."""
    home, other = tmp_path / "home", tmp_path / "other"
    home.mkdir(), other.mkdir()
    (tmp_path / "tiny.yaml").write_text(TINY)
    process = start(
        "run",
        "tiny.yaml",
        *sets([*LONG, "train.epochs=20000"]),
        cwd=tmp_path,
        env=at_home(home),
        preexec_fn=lambda: os.umask(0) and None,
    )
    try:
        wait_for(lambda: epochs_on_disk(tmp_path / "runs" / "tiny") > 0)
        driver = psutil.Process(process.pid)
        tree = [driver, *driver.children(recursive=True)]
        listening = [(p, c.laddr) for p in tree for c in p.net_connections("inet") if not c.raddr]
        assert listening and {address.ip for _, address in listening} <= LOOPBACK, listening
        # Ray keeps a process of the dashboard's without pages and without the Jobs API.
        assert 8265 not in {address.port for _, address in listening}
        commands = [" ".join(p.cmdline()) for p in tree]
        for command in [c for c in commands if "dashboard/dashboard.py" in c]:
            assert "--disable-frontend" in command and "JobHead" not in command
            assert "--modules-to-load=UsageStatsHead" in command

        token = home / ".ray" / "auth_token"
        assert mode(token) == 0o600 and len(token.read_text()) == 64
        assert mode(token.parent) == 0o700
        ports = [address.port for p, address in listening if "gcs_server" in p.name()]
        assert joins(ports, token.read_text(), other)
        assert not joins(ports, "0" * 64, other) and not joins(ports, None, other)
    finally:
        end(kill_driver(process))


def test_a_token_that_others_can_read_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    have_private_token()
    token = tmp_path / ".ray" / "auth_token"
    made = token.read_text()
    assert mode(token) == 0o600 and len(made) == 64
    assert mode(token.parent) == 0o700
    assert [path.name for path in token.parent.iterdir()] == ["auth_token"]
    token.chmod(0o644)
    have_private_token()
    assert mode(token) == 0o600 and token.read_text() == made
    token.unlink()
    monkeypatch.setenv("RAY_AUTH_TOKEN", "x" * 64)
    have_private_token()
    assert not token.exists()
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    have_private_token()
    assert not token.exists()
    # Where no token can be made, it is Ray that says so.
    monkeypatch.delenv("RAY_AUTH_MODE")
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    have_private_token()


@pytest.mark.parametrize(
    "reach", [lambda: joined_ray("127.0.0.1:9").__enter__(), lambda: Head("http://127.0.0.1:9")]
)
def test_a_token_of_a_cluster_that_others_can_read_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reach: Callable[[], object]
) -> None:
    """It was copied here; none is made where there is none."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UsageError, match="answers"):
        reach()
    assert not list(tmp_path.iterdir())
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("x" * 64)
    token.chmod(0o644)
    with pytest.raises(UsageError, match="answers"):
        reach()
    assert mode(token) == 0o600


def test_nobody_can_read_a_token_while_it_is_made(tmp_path: Path) -> None:
    """It is closed before it has its name, whatever the umask; what it is made as is gone."""
    before = os.umask(0)
    try:
        _make_token(tmp_path / "auth_token")
    finally:
        os.umask(before)
    assert [(path.name, mode(path)) for path in tmp_path.iterdir()] == [("auth_token", 0o600)]


@pytest.mark.long
def test_who_has_imported_ray_before_is_told_what_listens(tmp_path: Path) -> None:
    """Ray reads when it is imported whether it keeps to loopback."""
    code = "import ray\nfrom gantune.tuning.cluster import local_ray\nwith local_ray(): pass"
    own = {k: v for k, v in os.environ.items() if k != "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"}
    done = subprocess.run([sys.executable, "-c", code], env=own, capture_output=True, text=True)
    assert "ray was imported before gantune started it and listens on all" in done.stderr
