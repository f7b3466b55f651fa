"""Imports go one way, and heavy packages stay where they belong."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "gantune"

# From the bottom up; a module imports from its own layer or from one below.
LAYERS = [
    {"errors", "seeds", "columns", "visible"},
    {"ownership", "terminal"},
    {"document", "storage", "lock", "patience", "parts"},
    {"sources", "shipped"},
    {"config", "extensions"},
    {"space", "strategy", "goals"},
    {"walks"},
    {"study"},
    {"legality", "objectives", "starts"},
    {"checks"},
    {"loader"},
    {"paths", "rows", "records", "checkpoints", "remote", "runinfo", "trial", "pictures", "pace"},
    {"kept"},
    {"disk"},
    {"trialsync"},
    {"diagnosis"},
    {"analysis"},
    {"metrics"},
    {"engine"},
    {"extend"},
    {"host", "generator"},
    {"export", "evaluate"},
    {"tuning"},
    {"api", "forecast"},
    {"report"},
    {"display"},
    {"comparison", "finding", "follow", "options"},
    {"commands"},
    {"views"},
    {"jobs"},
    {"cli", "__init__", "__main__"},
]

# Who may import what is heavy, at all or within a function.
HEAVY = {
    "ray": {"tuning"},
    "aiohttp": {"tuning"},
    # Its importance evaluators; tuning has the samplers.
    "optuna": {"report", "tuning", "analysis"},
    "torch": {"metrics", "engine", "host", "generator", "evaluate"},
    "safetensors": {"metrics", "engine", "generator"},
    "pandas": {"analysis", "display", "report"},
    "jinja2": {"report"},
    "plotly": {"report"},
    "tensorboard": {"tuning"},
    "scipy": {"analysis"},
    "sklearn": set(),
    # By name only: the error of a file of weights that is no plain tensors.
    "pickle": {"metrics"},
    "torch_fidelity": {"metrics"},
}

# Imports within a function that go up, each with its reason.
UPWARD = {
    # `run.best().generator()` is a method of what analysis hands out; torch comes with the call.
    ("analysis.best", "gantune.generator"),
}

RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}


def modules() -> Iterator[tuple[str, str, list[str]]]:
    """Yields (layer's name, module, imported modules)."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        imported = []
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0 and node.module, f"{path}: relative import"
                imported.append(node.module)
        yield parts[0], ".".join(parts), imported


def test_imports_go_down() -> None:
    seen = 0
    for layer, module, imported in modules():
        assert layer in RANK, f"{module} is in no layer: add it to LAYERS"
        for name in imported:
            head, _, rest = name.partition(".")
            if head == "gantune" and rest and (module, name) not in UPWARD:
                target = rest.split(".")[0]
                assert RANK[target] <= RANK[layer], f"{module} imports {name}, which is above it"
                seen += 1
    assert seen > 100


def test_no_two_modules_import_each_other() -> None:
    imports = {module: set(imported) for _, module, imported in modules()}
    for module, imported in imports.items():
        for other in imported:
            name = other.removeprefix("gantune.")
            assert f"gantune.{module}" not in imports.get(name, set()), f"{module} <-> {name}"


@pytest.mark.parametrize("package", sorted(HEAVY))
def test_heavy_packages_stay_where_they_belong(package: str) -> None:
    users = {
        layer
        for layer, _, imported in modules()
        if any(name.split(".")[0] == package for name in imported)
    }
    assert users <= HEAVY[package]


def test_files_and_functions_stay_small() -> None:
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        assert text.count("\n") <= 300, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
                assert lines <= 50, f"{path.name}: {node.name} has {lines} lines"
