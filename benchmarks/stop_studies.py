"""The studies on which stopping by verdict is measured, and how they are run."""

import json
import tempfile
from pathlib import Path
from typing import Any

from trained_once import TrainedOnce

from gantune.api import Silent
from gantune.document import Document
from gantune.loader import study_from_document
from gantune.paths import RunPaths
from gantune.study import Study
from gantune.trial import Record
from gantune.tuning.conductor import Conductor
from gantune.tuning.ledger import Ledger
from gantune.tuning.local import drive

TRIALS, EPOCHS, SEEDS = 16, 14, 5

STOP: dict[str, Any] = {
    "verdicts": ["diverged", "mode_collapse", "discriminator_dominates"],
    "patience": 3,
}

RATES: dict[str, Any] = {
    "optimizer.generator.lr": {"log_uniform": [1e-5, 1e-2]},
    "optimizer.discriminator.lr": {"log_uniform": [0.1, 10], "times": "optimizer.generator.lr"},
    "optimizer.generator.beta1": {"uniform": [0.0, 0.9]},
    "optimizer.discriminator.beta1": {"same_as": "optimizer.generator.beta1"},
}
"""The ranges of ``search_spaces/lr_beta.yaml``, in every study."""

LOSSES = ["non_saturating", "minimax", "least_squares", "wasserstein", "hinge", "relativistic"]

STUDIES: dict[str, dict[str, Any]] = {
    "digits_rates": {
        "trial": {
            "data": {"name": "digits"},
            "generator": {"name": "mlp", "latent_dim": 64, "hidden": [128, 256]},
            "discriminator": {"name": "mlp", "hidden": [256, 128]},
            "train": {"epochs": EPOCHS, "steps_per_epoch": 60, "batch_size": 64},
        },
        "search": RATES,
        "objective": {"metric": "frechet_distance"},
    },
    "ring_losses": {
        "trial": {
            "data": {"name": "ring", "points": 10_000},
            "generator": {"name": "mlp", "latent_dim": 16, "hidden": [64, 64]},
            "discriminator": {"name": "mlp", "hidden": [64, 64]},
            "train": {"epochs": EPOCHS, "steps_per_epoch": 80, "batch_size": 64},
            "eval": {"samples": 1000},
        },
        "search": {**RATES, "loss.name": {"choice": LOSSES}},
        "objective": {"metric": "mode_kl"},
    },
    "mnist_capacity": {
        "trial": {
            "data": {"name": "idx", "limit": 5000},
            "generator": {"name": "mlp", "latent_dim": 64, "hidden": [128, 256]},
            "discriminator": {"name": "mlp", "hidden": [256, 128]},
            "train": {"epochs": EPOCHS, "steps_per_epoch": 60, "batch_size": 32},
            "eval": {"samples": 500},
        },
        "search": {
            **RATES,
            "train.d_steps": {"int": [1, 2]},
            "generator.norm": {"choice": ["none", "batch"]},
            "discriminator.hidden": {"choice": [[32], [128], [256, 128]]},
        },
        "objective": {"metric": "frechet_distance"},
    },
}

ARMS: dict[str, dict[str, Any]] = {
    "asha": {"sampler": {"name": "tpe"}},
    "asha_stop": {"sampler": {"name": "tpe"}, "stop": STOP},
    "full": {"sampler": {"name": "random"}, "scheduler": {"name": "none"}},
}
"""What differs between the runs of a study; the scheduler is ASHA's default but for ``full``.

``full`` has random draws, which no trial's outcome changes: what any rule would have done to its
trials can be replayed exactly.
"""


def make_study(name: str, arm: str, seed: int, mnist: Path) -> Study:
    """A study with its arm's sampler, scheduler and stop."""
    tree = {"name": name, "budget": {"trials": TRIALS}, "samples": {"every": 0}}
    tree |= STUDIES[name] | ARMS[arm]
    tree["sampler"] = {**tree["sampler"], "seed": seed}
    tree["trial"] = {**tree["trial"], "seed": seed}
    if tree["trial"]["data"]["name"] == "idx":
        tree["trial"]["data"] = {**tree["trial"]["data"], "root": str(mnist)}
    return study_from_document(Document(name, tree))


def run_study(study: Study, host: TrainedOnce) -> list[dict[str, Any]]:
    """Runs a study, one trial after the other; returns its trials."""
    with tempfile.TemporaryDirectory() as folder:
        conductor = Conductor(RunPaths(Path(folder)), study, Silent())
        drive(conductor, host)
        conductor.close()
        if conductor.fatal:
            raise conductor.fatal
        told = Ledger(conductor.paths, study)
        told.close()
        return [_trial(told.ends[number], told.records[number]) for number in sorted(told.ends)]


def _trial(end: dict[str, Any], records: list[Record]) -> dict[str, Any]:
    return {
        "status": end["status"],
        "stopped_by": end["stopped_by"],
        "parameters": json.loads(end["parameters"]),
        "seed": end["seed"],
        "records": [{**record, "evidence": None} for record in records],
    }
