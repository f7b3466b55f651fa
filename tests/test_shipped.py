"""The studies that come with gantune, from a checkout and from a wheel."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import gantune

ROOT = Path(__file__).parent.parent
STUDIES = sorted((ROOT / "search_spaces").rglob("*.yaml"))


def init(
    *arguments: str, cwd: Path, path: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """The real command, of this checkout or of the package in ``path``."""
    environment = {**os.environ, **({"PYTHONPATH": str(path)} if path else {})}
    command = [sys.executable, "-m", "gantune", "init", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=environment)


def check_listed(listed: str) -> None:
    lines = dict(line.split("  ", 1) for line in listed.splitlines())
    assert sorted(lines) == sorted(path.stem for path in STUDIES)
    for path in STUDIES:
        first = path.read_text().splitlines()[0]
        assert f"# {lines[path.stem].strip()}" == first


def test_without_a_name_every_study_is_listed_with_its_question(tmp_path: Path) -> None:
    done = init(cwd=tmp_path)
    assert done.returncode == 0
    check_listed(done.stdout)
    assert not list(tmp_path.iterdir())


def test_names_are_unique() -> None:
    assert len({path.stem for path in STUDIES}) == len(STUDIES) >= 19


@pytest.mark.parametrize("name", ["lr_beta", "torchbearer_gan", "pacgan_grid"])
def test_a_study_is_written_byte_for_byte(tmp_path: Path, name: str) -> None:
    done = init(name, cwd=tmp_path)
    assert done.returncode == 0 and f"gantune check {name}.yaml" in done.stdout
    (source,) = (path for path in STUDIES if path.stem == name)
    assert (tmp_path / f"{name}.yaml").read_bytes() == source.read_bytes()


@pytest.mark.slow
def test_nothing_is_written_over_without_force(tmp_path: Path) -> None:
    mine = tmp_path / "sub" / "mine.yaml"
    mine.parent.mkdir()
    mine.write_text("mine")
    refused = init("lr_beta", "--out", "sub/mine.yaml", cwd=tmp_path)
    assert refused.returncode == 2 and "sub/mine.yaml exists already; --force" in refused.stderr
    assert mine.read_text() == "mine"
    assert init("lr_beta", "--out", "sub/mine.yaml", "--force", cwd=tmp_path).returncode == 0
    assert gantune.load_study(mine).name == "lr_beta"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("lr_bta", "did you mean 'lr_beta'?"),
        ("torchbearer", "did you mean 'torchbearer_gan'?"),
        ("xyzzy", "`gantune init` lists them"),
        ("../lr_beta", "no such shipped study"),
    ],
)
def test_an_unknown_name_gets_the_nearest(tmp_path: Path, name: str, hint: str) -> None:
    done = init(name, cwd=tmp_path)
    assert done.returncode == 2 and hint in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_study_with_an_extension_works_where_it_is_written(tmp_path: Path) -> None:
    out = tmp_path / "here" / "waves.yaml"
    assert init("user_extension", "--out", str(out), cwd=tmp_path).returncode == 0
    assert gantune.load_study(out).trial.generator.name == "fourier"
    # The same extension again is no conflict, another text under its name is.
    other = init("user_extension", "--out", "here/again.yaml", cwd=tmp_path)
    assert other.returncode == 0, other.stderr
    (out.parent / "extensions" / "fourier.py").write_text("mine = 1")
    refused = init("user_extension", "--out", "here/third.yaml", cwd=tmp_path)
    assert refused.returncode == 2 and "fourier.py exists already" in refused.stderr
    assert not (out.parent / "third.yaml").exists()


@pytest.mark.slow
def test_an_installed_wheel_has_them(tmp_path: Path) -> None:
    """Pip builds the wheel; where the builder is not installed, pip fetches it."""
    here = ["--no-build-isolation"] if find_spec("hatchling") else []
    build = ["wheel", "--quiet", "--no-deps", *here, "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run([sys.executable, "-m", "pip", *build], check=True)
    (wheel,) = tmp_path.glob("gantune-*.whl")
    site, cwd = tmp_path / "site", tmp_path / "elsewhere"
    cwd.mkdir()
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(wheel), str(site)], check=True)
    check_listed(init(cwd=cwd, path=site).stdout)
    assert init("user_extension", cwd=cwd, path=site).returncode == 0
    code = "import gantune; print(gantune.load_study('user_extension.yaml').name, gantune.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["user_extension", str(site / "gantune" / "__init__.py")]
    found = sorted((site / "gantune" / "search_spaces").rglob("*.yaml"))
    assert [path.read_bytes() for path in found] == [path.read_bytes() for path in STUDIES]


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_study_says_what_it_asks_takes_and_found(path: Path) -> None:
    lines = path.read_text().splitlines()
    header = " ".join(line.lstrip("# ") for line in lines[: lines.index(f"name: {path.stem}")])
    assert lines[0].endswith("?")
    assert re.search(r"\d (to \d+ )?(minutes|seconds)|about a minute|hours", header), "its budget"
    assert re.search(r"\b2 (very )?(busy )?cores", header), "the machine of its budget"
    assert "Found" in header
