"""What the documents say is there is there."""

import io
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from conftest import make_study
from test_deploy import parsed

from gantune.analysis import failures, importance
from gantune.cli import app
from gantune.columns import EPOCHS, STEPS, TRIALS
from gantune.config import all_paths
from gantune.display import show_study
from gantune.document import parse_document
from gantune.loader import study_from_document
from gantune.terminal import Terminal

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_the_tree_in_the_readme_names_real_modules() -> None:
    tree = (ROOT / "README.md").read_text().split("```\ngantune/\n")[1].split("```")[0]
    for name in re.findall(r"([a-z_]+(?:\.py|/))", tree):
        assert (ROOT / "gantune" / name).exists(), name
    files = {path.stem for path in (ROOT / "gantune").glob("*.py")} - {"__init__", "__main__"}
    unnamed = files - {name.removesuffix(".py") for name in re.findall(r"[a-z_]+\.py", tree)}
    # Small helpers that a tour of the code can do without.
    assert unnamed <= {
        "errors",
        "seeds",
        "storage",
        "lock",
        "patience",
        "checkpoints",
        "runinfo",
        "trial",
    }


def test_the_readme_names_every_command() -> None:
    text = (ROOT / "README.md").read_text()
    for command in app.registered_commands:
        name = command.name or command.callback.__name__  # type: ignore[union-attr]
        assert f"gantune {name}" in text, name


def in_blocks(page: Path) -> list[str]:
    """Lines of a page's code blocks that call gantune."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("gantune ")]


def in_text(page: Path) -> list[str]:
    """Commands in a page's sentences, most with placeholders or without what is not spoken of."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`(gantune [^`]+)`", text)


def test_every_command_in_the_documents_is_understood() -> None:
    """Those in blocks, and those in sentences that name a file, as they stand."""
    blocks = [line for page in PAGES for line in in_blocks(page)]
    named = re.compile(r"\w[/.]\w")
    whole = [line for page in PAGES for line in in_text(page) if named.search(line)]
    for line in (*blocks, *whole):
        parsed(shlex.split(line, comments=True))
    assert len(blocks) >= 7 and len(whole) >= 7


def test_every_option_of_a_command_in_the_documents_is_there() -> None:
    """In sentences; in the README's table also what stands in the other column."""
    rows = [line for line in (ROOT / "README.md").read_text().splitlines() if "| `gantune" in line]
    seen = 0
    for line in (*(line for page in PAGES for line in in_text(page)), *rows):
        names = re.findall(r"gantune ([a-z]+)", line)
        options = {option for name in names for option in options_of(name)}
        told = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", line))
        assert told <= options, line
        seen += len(told)
    assert seen > 50


def options_of(name: str) -> list[str]:
    commands: Any = typer.main.get_command(app)
    parameters = commands.commands[name].params
    return [word for one in parameters for word in (*one.opts, *one.secondary_opts)]


def test_the_study_in_the_readme_is_valid() -> None:
    text = (ROOT / "README.md").read_text().split("```yaml\n")[1].split("```")[0]
    study = study_from_document(parse_document(text, source="README.md"))
    assert study.name == "lr_beta" and len(study.search) == 4


def test_the_search_section_of_the_manual_is_valid() -> None:
    text = (ROOT / "docs" / "study.md").read_text().split("```yaml\n")[1].split("```")[0]
    study = study_from_document(parse_document(f"name: manual\n{text}", source="study.md"))
    assert study.search["generator.norm_eps"].when == {"generator.norm": "batch"}


def test_the_manual_names_every_field() -> None:
    text = (ROOT / "docs" / "study.md").read_text()
    for path in all_paths():
        assert f"`{path.rpartition('.')[2]}`" in text or path in ("loss.name",) or "name" in path


def test_every_column_is_explained() -> None:
    text = (ROOT / "docs" / "results.md").read_text()
    for column in (*EPOCHS, *TRIALS, *STEPS):
        meaning = column.meaning.replace("|", r"\|")
        assert f"| `{column.name}` | {column.kind} | {meaning} |" in text


def test_every_column_of_an_analysis_is_explained() -> None:
    text = (ROOT / "docs" / "results.md").read_text()
    for heading, columns in (
        ("Which parameters mattered", importance.COLUMNS),
        ("Where training breaks", failures.COLUMNS),
        ("What it took", ("spent", "objective", "number")),
    ):
        section = text.split(f"## {heading}\n")[1].split("\n## ")[0]
        assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(columns), heading


def test_every_shipped_study_says_what_it_asks_in_a_comment() -> None:
    for path in (ROOT / "search_spaces").rglob("*.yaml"):
        assert path.read_text().startswith("# "), path
        assert yaml.safe_load(path.read_text())["description"]


def test_a_bare_import_takes_nothing_heavy() -> None:
    code = "import sys, gantune; print([m for m in ('torch', 'ray', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_registry_address_and_no_machine_path_is_in_the_project() -> None:
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=True
    )
    forbidden = re.compile("pypi" + r"\.org|python" + "hosted|/ro" + "ot/|/wo" + "rk/")
    for name in listed.stdout.split("\n"):
        path = ROOT / name
        if name and path.suffix in {".py", ".toml", ".md", ".yaml", ""} and path.is_file():
            assert not forbidden.search(path.read_text(errors="ignore")), name


def test_the_rungs_in_the_manual_are_those_that_check_prints() -> None:
    text = (ROOT / "docs" / "study.md").read_text()
    trial = {"train": {"epochs": 100, "steps_per_epoch": 1000}}
    study = make_study(
        trial=trial, scheduler={"name": "asha", "grace_epochs": 5}, budget={"trials": 12}
    )
    out = io.StringIO()
    show_study(study, Terminal(file=out, width=200))
    heads = ("length: ", "rungs in", "budget: ")
    lines = [line for line in out.getvalue().splitlines() if line.startswith(heads)]
    assert len(lines) == 3 and "\n   ".join(lines) in text


def test_every_row_of_a_table_has_as_many_cells_as_its_head() -> None:
    for page in PAGES:
        head = 0
        for line in page.read_text().splitlines():
            cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
            assert cells == head or not (cells and head), f"{page.name}: {line}"
            head = cells


def test_every_test_that_reliability_names_is_there_and_said_to_be_long_where_it_is() -> None:
    named = 0
    for line in (ROOT / "docs" / "reliability.md").read_text().splitlines():
        source = ""
        for file, name in re.findall(r"`([\w/]+\.py)?(?:::(\w+))?`", line):
            if file:
                (path,) = [p for p in ROOT.glob("tests/**/*.py") if str(p).endswith(f"/{file}")]
                source = path.read_text()
            if name:
                above, found, _ = source.partition(f"\ndef {name}(")
                assert found, name
                decorators = above.rpartition("\n\n")[2].splitlines()
                assert "@pytest.mark.long" not in decorators or "(long)" in line, name
                named += 1
    assert named > 40
