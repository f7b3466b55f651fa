"""Plants faults in small GANs and counts what the verdicts say of them.

    python benchmarks/verdicts.py run --runs verdicts.jsonl --mnist DIR [--minutes 20]
    python benchmarks/verdicts.py pack --runs verdicts.jsonl --out reports/verdicts
    python benchmarks/verdicts.py table --out reports/verdicts

``run`` trains; it adds a line per run (its records and the truth) to the file and goes on where it
stopped. ``pack`` keeps what a verdict reads as two small tables. ``table`` diagnoses those again
and writes the report: thresholds change without training anything.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent))

from machine import describe
from plant_studies import CLASSES, STUDIES
from plants import SHOWN, Plant, configure, plants, with_labels, withhold_labels
from verdict_records import from_line, load, machine_of, save
from verdict_report import report

from gantune.config import TrialConfig
from gantune.diagnosis.context import context_of
from gantune.engine.draws import draw_latents, keyed_generator
from gantune.engine.engine import Engine, Lane, generate
from gantune.engine.materials import Materials, make_materials, materials_key
from gantune.metrics.evaluator import Evaluator
from gantune.trial import TrialSpec

CPU = torch.device("cpu")
TRUTH_SAMPLES = 10_000
COPIED = 1000
COPY = 1 / 2
"""A sample is a copy if its nearest training image is at less than this of the second nearest's
distance, in pixels. (Yoon et al. 2023, Diffusion probabilistic models generalize when they fail to
memorize, take a third; samples of these small networks are noisier.)
"""


class Shared:
    """Materials, made once for all runs that can use them."""

    def __init__(self) -> None:
        self._made: dict[str, Materials] = {}

    def get(self, config: TrialConfig) -> Materials:
        """What a run is trained on and measured by."""
        key = materials_key(config)
        if key not in self._made:
            self._made[key] = make_materials(config)
        return self._made[key]


def train(plant: Plant, config: TrialConfig, shared: Shared) -> dict[str, Any]:
    """Trains a run and measures what became of it, on samples no verdict sees."""
    materials = shared.get(config)
    engine = Engine(materials, CPU)
    spec = TrialSpec(
        trial_id=plant.key,
        number=0,
        seed=plant.seed,
        config=config,
        metric="frechet_distance",
        goal="minimize",
        rungs=(),
        folder="",
        threads=1,
    )
    lane = engine.open(spec, None, 0)
    records: list[dict[str, Any]] = []
    diverged = None
    while diverged is None and lane.epoch < config.train.epochs:
        result = engine.epoch([lane])[0]
        diverged = result.diverged
        end = {"verdict": "diverged", "evidence": diverged} if diverged else {}
        records.append({**result.record, **end})
    truth = {"is_finite": diverged is None}
    if diverged is None:
        is_known = materials.dataset.classes is not None
        truth |= measure(lane, materials if is_known else shared.get(with_labels(config)))
    context = asdict(context_of(config))
    line = {"key": plant.key, **plant._asdict(), "context": context}
    return {**line, "records": records, "truth": truth}


def measure(lane: Lane, materials: Materials) -> dict[str, Any]:
    """Modes, coverage and copies among fresh samples."""
    config = lane.spec.config
    shape = (TRUTH_SAMPLES, config.generator.latent_dim)
    latents = draw_latents(shape, config.generator.latent, keyed_generator(CPU, "truth", 1))
    samples = generate(lane.generator, lane.state, latents)
    scores = Evaluator(materials.reference, CPU).score(samples, ("modes", "manifold"))
    train = torch.as_tensor(materials.dataset.train[:]).float().flatten(1)
    if materials.dataset.train.dtype.kind == "u":
        train = train / 127.5 - 1
    nearest = torch.cdist(samples[:COPIED].flatten(1), train).topk(2, largest=False).values
    scores["near_copies"] = float((nearest[:, 0] < COPY * nearest[:, 1]).float().mean())
    return scores


def run(path: Path, mnist: str, minutes: float) -> None:
    """Trains what is not in the file yet."""
    torch.set_num_threads(1)
    done = {json.loads(line)["key"] for line in path.open()} if path.exists() else set()
    shared = Shared()
    began = time.monotonic()
    with TemporaryDirectory() as folder:
        digits = Path(folder) / "digits.npz"
        withhold_labels(digits)
        for plant in plants():
            if plant.key in done:
                continue
            if time.monotonic() - began > 60 * minutes:
                break
            config = configure(plant, mnist, str(digits))
            line = json.dumps(train(plant, config, shared), allow_nan=False)
            with path.open("a") as file:
                file.write(line + "\n")
            print(plant.key, f"{time.monotonic() - began:.0f} s", flush=True)


def pack(path: Path, folder: Path) -> None:
    """Keeps of a file of runs what is needed to diagnose them again."""
    runs = []
    for line in path.open():
        run = json.loads(line)
        study = STUDIES[run["study"]]
        half = "shown" if run["fault"] in SHOWN else study.half
        runs.append(from_line(line, half, CLASSES[study.data]))
    folder.mkdir(parents=True, exist_ok=True)
    save(runs, folder, describe())


def main() -> None:
    """Trains, packs, or writes the report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("run", "pack", "table"))
    parser.add_argument("--runs", type=Path, default=Path("verdicts.jsonl"))
    parser.add_argument("--mnist", default="data", help="folder with IDX files of digits")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--out", type=Path, default=Path("reports/verdicts"))
    options = parser.parse_args()
    if options.what == "run":
        run(options.runs, options.mnist, options.minutes)
    elif options.what == "pack":
        pack(options.runs, options.out)
    else:
        text = report(load(options.out), machine_of(options.out))
        (options.out / "README.md").write_text(text)


if __name__ == "__main__":
    main()
