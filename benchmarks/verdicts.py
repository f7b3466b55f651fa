"""Plants faults in small GANs and counts what the verdicts say of them.

    python benchmarks/verdicts.py run --runs verdicts.jsonl --mnist DIR [--seeds 2] [--minutes 20]
    python benchmarks/verdicts.py table --runs verdicts.jsonl --out benchmarks/results/verdicts.md

``run`` trains; it adds a line per run (its records and the truth) to the file and goes on where it
stopped. ``table`` diagnoses the records again: thresholds change without training anything. Half of
the studies set the thresholds, the other half is held out.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent))

from confusion import Judged, left_out, summary, truth_of
from machine import describe
from plants import SEEDS, STUDIES, Plant, configure, plants

from gantune.config import TrialConfig
from gantune.diagnosis.context import context_of
from gantune.diagnosis.verdicts import diagnose
from gantune.engine.draws import draw_latents, keyed_generator
from gantune.engine.engine import Engine, Lane, generate
from gantune.engine.materials import Materials, make_materials, materials_key
from gantune.metrics.evaluator import Evaluator
from gantune.trial import TrialSpec

HEAD = """# What the verdicts say of planted faults

`python benchmarks/verdicts.py run`, then `table`: {runs} runs of small networks (`plants.py`), each
with a fault planted in it or none. {machine}.

Truth is measured apart from what a verdict sees, at the end of each run: parameters that are not
finite (diverged); 10,000 samples whose modes are as good as sqrt(K) of K or fewer (mode collapse);
at least 5% of 1,000 samples copies in pixels (memorizing); all modes, exp(-KL) of 0.75 and coverage
of 0.15 (healthy); dominance by the plant. A plant that did not take is left out and listed.

While the thresholds were set, verdicts on runs of seed 0 of the held-out half were seen once: 12
healthy ones, 7 that memorize and 2 that collapse. Seed 1 was trained after the thresholds were
final. Macro F1 is the mean over the truths; what is said of runs that are left out does not count.
"""

CPU = torch.device("cpu")
TRUTH_SAMPLES = 10_000
COPIED = 1000
COPY = 1 / 2
"""A sample is a copy if its nearest training image is at less than this of the second nearest's
distance, in pixels. (Yoon et al. 2023, Diffusion probabilistic models generalize when they fail to
memorize, take a third; samples of these small networks are noisier.)
"""


def train(plant: Plant, config: TrialConfig, materials: Materials) -> dict[str, Any]:
    """Trains a run and measures what became of it, on samples no verdict sees."""
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
        truth |= measure(lane, materials)
    return {"key": plant.key, **plant._asdict(), "records": records, "truth": truth}


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


def run(path: Path, mnist: str, seeds: int, minutes: float) -> None:
    """Trains what is not in the file yet."""
    torch.set_num_threads(1)
    done = {json.loads(line)["key"] for line in path.open()} if path.exists() else set()
    shared: dict[str, Materials] = {}
    began = time.monotonic()
    for plant in plants(seeds):
        if plant.key in done:
            continue
        if time.monotonic() - began > 60 * minutes:
            break
        config = configure(plant, mnist)
        key = materials_key(config)
        if key not in shared:
            shared[key] = make_materials(config)
        line = json.dumps(train(plant, config, shared[key]), allow_nan=False)
        with path.open("a") as file:
            file.write(line + "\n")
        print(plant.key, f"{time.monotonic() - began:.0f} s", flush=True)


def judge(path: Path, mnist: str) -> list[Judged]:
    """Diagnoses every run of a file."""
    judged = []
    for line in path.open():
        run = json.loads(line)
        plant = Plant(run["study"], run["fault"], run["variant"], run["seed"])
        context = context_of(configure(plant, mnist))
        assert context.modes is not None
        verdict = diagnose(run["records"], context)
        truth = truth_of(plant.fault, run["truth"], context.modes)
        half = STUDIES[plant.study].half
        judged.append(Judged(plant.key, half, plant.fault, truth, verdict.name, verdict.evidence))
    return judged


def table(runs: list[Judged]) -> str:
    """The report."""
    held, used = ([run for run in runs if run.half == half] for half in ("held", "set"))
    return "\n".join(
        [
            HEAD.format(runs=len(runs), machine=describe()),
            "## Held out\n",
            *summary(held),
            "\n## The half that set the thresholds\n",
            *summary(used),
            "\n## Left out\n",
            *left_out(runs),
            "",
        ]
    )


def main() -> None:
    """Trains, or prints the table and writes it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("run", "table"))
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--mnist", default="data", help="folder with IDX files of digits")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.what == "run":
        run(options.runs, options.mnist, options.seeds, options.minutes)
        return
    text = table(judge(options.runs, options.mnist))
    print(text)
    if options.out:
        options.out.write_text(text)


if __name__ == "__main__":
    main()
