"""A study of a real Ray that a folder keeps, as on mounted storage: `--storage /shared/runs`."""

import os
import shutil
import signal
import threading
from pathlib import Path

import pytest
from test_cli import LONG, TINY, sets, wait_for, within
from whole import check_whole

import gantune
from gantune.tuning import mirror

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("standing_ray")]

EARLY = {"samples", "best", "last", "epochs", "trials", "optuna.journal", "mark.json"}
"""What a folder has of a run long before its end: names of files, and of folders with files."""


def names(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def kinds(root: Path) -> set[str]:
    files = [path for path in root.rglob("*") if path.is_file()]
    return {path.name if path.parent == root else path.parent.name for path in files}


def test_it_is_there_while_it_goes_on_and_goes_on_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "EVERY_S", 0.3)
    (tmp_path / "tiny.yaml").write_text(TINY)
    kept, root = tmp_path / "shared" / "tiny", tmp_path / "runs" / "tiny"
    seen: list[str] = []
    over = threading.Event()

    def press() -> None:
        wait_for(lambda: over.is_set() or kinds(kept) >= EARLY)
        if not over.is_set():
            seen.append(gantune.load(f"file://{kept}").status)
            os.kill(os.getpid(), signal.SIGINT)

    presses = threading.Thread(target=press)
    presses.start()
    words = [*sets(LONG), "--trials", "2", "--storage", kept.parent, "--no-report"]
    done = within("run", "tiny.yaml", *words, cwd=tmp_path)
    over.set()
    presses.join()
    assert done.returncode == 130 and seen == ["running"], (done.stderr, kinds(kept))
    shutil.rmtree(root)
    done = within("resume", f"file://{kept}", "--no-report", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    check_whole(root, trials=2, epochs=100)
    own = {name for name in names(root) if not name.startswith(("tune/", "control/", "lock"))}
    assert names(kept) == own | {"mark.json"}
    sent = own - {"storage.json"}
    assert all((kept / name).read_bytes() == (root / name).read_bytes() for name in sent)
