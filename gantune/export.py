"""A trial's generator as a folder to give away: weights, configuration, model card."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gantune.analysis.best import BestTrial
from gantune.analysis.run import Run
from gantune.columns import TIMES
from gantune.config import TrialConfig
from gantune.document import write_document
from gantune.errors import CheckpointError, GantuneError, UsageError
from gantune.generator import Generator, read_generator
from gantune.parts.foreign import UNLOADED
from gantune.storage import read_json, write_atomically, write_json

FORMAT = 1
"""Raised when a reader of an older version could not load the export."""

WEIGHTS, CONFIG, CARD = "generator.safetensors", "config.json", "README.md"

_CARD = """\
# Generator of trial {number} of {run}

A GAN's generator, trained by gantune {gantune} in the study `{study}`.{description}

| | |
|---|---|
| objective | {metric} {objective:.6g}, best epoch {epoch} of {epochs} |
| samples | {samples} |
| latents | (n, {latent_dim}), {latent} |
| seed | {seed} |
| data | `{data}` |
| features | {features} |
| versions | {versions} |

## Use

```python
import gantune

generator = gantune.load_generator("{folder}")  # a torch.nn.Module in eval mode
samples = generator.sample(64, seed=0)
```

## Metrics of epoch {epoch}

| metric | value |
|---|---|
{metrics}

## Configuration

```yaml
{config}```
"""

_NOT_METRICS = TIMES | {"number", "seq", "epoch", "step", "images_seen", "rung", "g_lr", "d_lr"}


def is_export(folder: Path) -> bool:
    """Whether a folder is an export, whole or not."""
    return (folder / CONFIG).is_file() or (folder / WEIGHTS).is_file()


def write_export(run: Run, trial: BestTrial, out: Path, *, force: bool = False) -> None:
    """Writes a trial's generator into a folder.

    Args:
        run: The run of the trial.
        trial: From :meth:`Run.best` or :meth:`Run.trial`.
        out: The folder; made if it is not there.
        force: Write over files of an earlier export.

    Raises:
        UsageError: The folder has such files already and ``force`` is not set.
        CheckpointError: The checkpoint is damaged.
    """
    there = [name for name in (WEIGHTS, CONFIG, CARD) if (out / name).exists()]
    if there and not force:
        raise UsageError(f"{out} has {', '.join(there)} already; --force writes over it")
    generator = trial.stored_generator()  # refuses what could not be loaded back
    facts = {
        "format": FORMAT,
        "gantune": version("gantune"),
        "run": run.name,
        "trial": trial.number,
        "epoch": trial.epoch,
        "sample_shape": list(generator.sample_shape),
        "config": trial.config.model_dump(mode="json"),
    }
    try:
        write_atomically(out / WEIGHTS, trial.checkpoint.read_bytes())
        write_json(out / CONFIG, facts)
        write_atomically(out / CARD, _card(run, trial, generator, out).encode())
    except (FileExistsError, NotADirectoryError):
        raise UsageError(f"{out} cannot be made: a file is in the way") from None


def load_generator(folder: str | Path) -> Generator:
    """Loads the generator of an export. Reads safetensors and JSON and runs nothing of theirs.

    Raises:
        UsageError: The folder is no export.
        CheckpointError: A file is damaged, or of a newer version.
    """
    path = Path(folder)
    for name in (CONFIG, WEIGHTS):
        if not (path / name).is_file():
            raise UsageError(f"{path} is no export: it has no {name}")
    try:
        facts = read_json(path / CONFIG)
        config = TrialConfig.model_validate_json(json.dumps(facts["config"]), context=UNLOADED)
        shape = tuple(int(side) for side in facts["sample_shape"])
        newer = facts["format"] > FORMAT
    except (GantuneError, ValidationError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path / CONFIG} is damaged: {error}") from None
    if newer:
        raise CheckpointError(f"{path} was written by a newer gantune; update to load it")
    return read_generator(path / WEIGHTS, config, shape)


def _card(run: Run, trial: BestTrial, generator: Generator, out: Path) -> str:
    session = run.info.get("sessions", [{}])[-1]
    config, shape = trial.config.model_dump(mode="json"), generator.sample_shape
    is_points = len(shape) == 1
    seed = run.trials.loc[run.trials["number"] == trial.number, "seed"]
    return _CARD.format(
        number=trial.number,
        run=run.name,
        gantune=version("gantune"),
        study=run.study.name,
        description=f"\n\n{run.study.description}" if run.study.description else "",
        metric=run.study.objective.metric,
        objective=trial.objective,
        epoch=trial.epoch,
        epochs=trial.config.train.epochs,
        samples=f"(n, {', '.join(map(str, shape))}) {'points' if is_points else 'in [-1, 1]'}",
        latent_dim=generator.latent_dim,
        latent=trial.config.generator.latent,
        seed=f"trial {', '.join(map(str, seed))}; study {trial.config.seed}",
        data=_inline(config["data"]),
        features=_measured(run),
        versions=", ".join(f"{name} {v}" for name, v in session.get("versions", {}).items() if v),
        folder=out.name,
        metrics=_metrics(trial.record),
        config=write_document({"trial": config}),
    )


def _measured(run: Run) -> str:
    measured = run.measured_in
    if measured is None:
        return ""
    return f"{measured.features}; {measured.samples:,} samples against {measured.real:,} real"


def _inline(value: Any) -> str:
    return ", ".join(f"{key}: {item}" for key, item in value.items() if item is not None)


def _metrics(record: dict[str, Any]) -> str:
    numbers = {
        name: value
        for name, value in record.items()
        if isinstance(value, int | float) and name not in _NOT_METRICS
    }
    return "\n".join(f"| {name} | {value:.6g} |" for name, value in numbers.items())
