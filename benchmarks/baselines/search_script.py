"""A hand-written Ray Tune search of a GAN on digits, that trains and measures as gantune does.

    python benchmarks/baselines/search_script.py --seed 0 --epochs 960 --out objectives.json

OptunaSearch and ASHAScheduler as in ``ray_tune_script.py``; networks, training and Fréchet distance
are those of ``search_spaces/lr_beta.yaml``, so that only the search differs. Writes the Fréchet
distance of every epoch of every trial, in the order in which they arrived.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from search_record import TASKS, task_study

from gantune.host import Host
from gantune.seeds import derive_seed
from gantune.study import SampleGrids, Study, with_values
from gantune.trial import TrialSpec
from gantune.tuning.cluster import local_ray

DIVERGED = 1e6


def train_gan(config: dict[str, Any], study: Study) -> None:
    """Trains one GAN and reports its Fréchet distance after every epoch."""
    from ray import tune

    values = {
        "optimizer.generator.lr": config["g_lr"],
        "optimizer.discriminator.lr": config["g_lr"] * config["ratio"],
        "optimizer.generator.beta1": config["beta1"],
        "optimizer.discriminator.beta1": config["beta1"],
    }
    trial = with_values(study.trial, values)
    host, epochs = Host(), trial.train.epochs
    with tempfile.TemporaryDirectory() as folder:
        handle = host.open(
            TrialSpec(
                trial_id="by_hand",
                number=0,
                seed=derive_seed("by hand", study.trial.seed, json.dumps(values)),
                config=trial,
                metric=study.objective.metric,
                goal=study.objective.direction,
                rungs=(),
                folder=folder,
                threads=1,
                samples=SampleGrids(every=0),
                last_every=1000,
            )
        )
        status = "running"
        for _ in range(epochs):
            if status == "running":
                progress = host.advance(handle, until=0, at_most_s=0)
                status = progress.status
            value = DIVERGED if status == "diverged" else progress.records[-1]["objective"]
            tune.report({"fid": value})


def search(seed: int, epochs: int, storage: str) -> list[float]:
    """Runs the search until its trials have trained so many epochs together."""
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    arrived: list[float] = []

    class Budget(tune.Stopper):  # type: ignore[misc]
        """Notes every result, and ends the search."""

        def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
            if "fid" in result:
                arrived.append(result["fid"])
            return self.stop_all()

        def stop_all(self) -> bool:
            return len(arrived) >= epochs

    study = task_study(TASKS["digits"], f"seed={seed}")
    length = study.trial.train.epochs
    trainable = tune.with_parameters(train_gan, study=study)
    tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space={
            "g_lr": tune.loguniform(1e-5, 1e-2),
            "ratio": tune.loguniform(0.1, 10),
            "beta1": tune.uniform(0.0, 0.9),
        },
        tune_config=tune.TuneConfig(
            metric="fid",
            mode="min",
            num_samples=100_000,
            search_alg=OptunaSearch(seed=seed),
            scheduler=ASHAScheduler(max_t=length, grace_period=4, reduction_factor=3),
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            storage_path=storage,
            verbose=0,
            stop=Budget(),
            failure_config=tune.FailureConfig(fail_fast=True),
        ),
    ).fit()
    return arrived[:epochs]


def main() -> None:
    """Reads the command line, runs the search and writes what it measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    with local_ray(), tempfile.TemporaryDirectory() as storage:
        objectives = search(options.seed, options.epochs, storage)
    options.out.write_text(json.dumps(objectives))


if __name__ == "__main__":
    main()
