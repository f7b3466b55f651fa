"""Whatever lies in the place of a picture: nothing is started, waited for, or unpacked."""

import ast
import io
import os
import struct
import subprocess
import time
import zlib
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from made import make_run
from PIL import Image
from test_bombs import pipe

import gantune
from gantune.errors import DataError
from gantune.parts.data import ImageFolder
from gantune.paths import RunPaths
from gantune.pictures import MAX_ANIMATED, open_png, pngs_to_animation, read_png
from gantune.report.grids import grids
from gantune.report.write import write_report
from gantune.sources.folder import open_files
from gantune.trial import Record
from gantune.tuning.observers import Animations
from gantune.tuning.tensorboard import TensorBoard

# In bytes 16 to 23, where a PNG has it, a size that passes.
EPS = b"%!PS-Adobe-3.0 E\0\0\0\x09\0\0\0\x09\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
PACKAGE = Path(__file__).parent.parent.parent / "gantune"


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Is there after somebody has started Ghostscript."""
    mark, program = tmp_path / "mark", tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {mark}\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return mark


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run", trials=3, epochs=3, pictures=1)


@pytest.fixture
def first(root: Path) -> Path:
    """The first of a trial's pictures."""
    return RunPaths(root).samples(0) / "epoch-00001.png"


def chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def header(width: int, height: int) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))


def png(*chunks: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + chunk(b"IEND", b"")


PIXELS = chunk(b"IDAT", zlib.compress(b"\0" * 100))

PLANTED = {
    "nothing": b"",
    "text": b"a picture",
    "postscript": EPS,
    "400 million pixels": png(header(20_000, 20_000), PIXELS),
    "100 million pixels": png(header(10_000, 10_000), PIXELS),
    "21 million pixels": png(header(4_600, 4_600), PIXELS),
    "wider than a WebP": png(header(16_384, 1), chunk(b"IDAT", zlib.compress(b"\0" * 16_385))),
    "two headers": png(header(1, 1), header(20_000, 20_000), PIXELS),
    "a header that is not the first": png(chunk(b"tEXt", b"a\0b"), header(9_000, 9_000), PIXELS),
    "behind its pixels an empty profile": png(
        header(1, 1), chunk(b"IDAT", zlib.compress(b"\0\0")), chunk(b"iCCP", b"")
    ),
}


def frames_of(webp: bytes) -> int:
    return int(getattr(Image.open(io.BytesIO(webp)), "n_frames", 1))


def report(root: Path) -> None:
    write_report([gantune.load(root)], root.parent / "report")


def go_on(root: Path) -> None:
    """What a session that begins does with a run's pictures."""
    paths = RunPaths(root)
    paths.best(0).mkdir(exist_ok=True)
    Animations(paths).resumed([{"number": 0}])
    records: list[Record] = [{"number": 0, "epoch": 1}]
    TensorBoard(paths).recorded(0, records, [])


def test_pillow_itself_starts_ghostscript(mark: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        Image.open(io.BytesIO(EPS)).load()
    assert mark.exists()


@pytest.mark.parametrize("what", PLANTED)
def test_in_the_place_of_a_runs_picture(root: Path, first: Path, mark: Path, what: str) -> None:
    """As one that is damaged: it is left out, and the others are there."""
    first.write_bytes(PLANTED[what])
    report(root)
    go_on(root)
    assert not mark.exists()
    assert grids(RunPaths(root), [0], 8, 10**9)[0].epochs == (2, 3)
    assert frames_of(RunPaths(root).animation(0).read_bytes()) == 2


@pytest.mark.parametrize("what", PLANTED)
def test_it_is_known_in_a_second(what: str) -> None:
    began = time.perf_counter()
    assert open_png(PLANTED[what]) is None
    assert time.perf_counter() - began < 1


def large(path: Path) -> None:
    path.write_bytes(png(header(1, 1)))
    os.truncate(path, 100_000_000)


KINDS: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "folder": Path.mkdir,
    "100 MB": large,
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_plain_file_is_not_read(first: Path, kind: str) -> None:
    first.unlink()
    with pipe(first) if kind == "pipe" else nullcontext():
        if kind != "pipe":
            KINDS[kind](first)
        began = time.perf_counter()
        assert read_png(first) == b""
        assert time.perf_counter() - began < 1


def test_nobody_waits_for_a_picture_that_is_a_pipe(root: Path, first: Path) -> None:
    first.unlink()
    with pipe(first):
        began = time.perf_counter()
        go_on(root)
        assert time.perf_counter() - began < 1
        report(root)
        assert grids(RunPaths(root), [0], 8, 10**9)[0].epochs == (2, 3)


def test_pictures_of_other_sizes_are_no_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoder refuses one that is larger; and each is as much memory as it says."""

    def frame(shade: int, side: int = 9) -> bytes:
        buffer = io.BytesIO()
        Image.new("L", (side, side), shade).save(buffer, "PNG")
        return buffer.getvalue()

    frames = [frame(10), frame(90), frame(200)]
    among = [frames[0], frame(50, side=12), frame(60, side=6), *frames[1:]]
    assert [frames_of(pngs_to_animation(each) or b"") for each in (frames, among)] == [3, 3]
    assert MAX_ANIMATED > 1000 * 500 * 500
    monkeypatch.setattr("gantune.pictures.MAX_ANIMATED", 2 * 9 * 9)
    assert frames_of(pngs_to_animation(frames) or b"") == 2


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_in_a_folder_of_images(tmp_path: Path, mark: Path, name: str) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / name).write_bytes(EPS)
    with pytest.raises(DataError, match=f"{name} is no image that can be read"):
        open_files(ImageFolder(root=str(folder)))
    assert not mark.exists()


def test_pictures_are_opened_as_what_they_are_to_be() -> None:
    """Left to choose, Pillow goes by the first bytes."""
    calls = [
        (path, node)
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Image.open")
    ]
    assert len(calls) > 3
    for path, call in calls:
        assert "formats" in {keyword.arg for keyword in call.keywords}, f"{path}:{call.lineno}"
