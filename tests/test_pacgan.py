"""PacGAN's grid, its short form: the study of the report at 2,000 rounds, one seed."""

from pathlib import Path

import pytest
import torch
from pacgan_grid import outcomes, table

import gantune
from gantune.engine.draws import keyed_generator
from gantune.engine.networks import DISCRIMINATORS, GENERATORS
from gantune.study import with_values

STUDY = Path(__file__).parent.parent / "search_spaces" / "papers" / "pacgan_grid.yaml"

# Samples of a generator that has learned nothing lie in one mode, at a Fréchet distance of 16: the
# variance of the grid. In seven whole runs the better of the first two evaluations had 0.7 to 1.9,
# and 7 to 17 modes.
LEARNED = 4.0
SEEN = 5


@pytest.mark.long
@pytest.mark.usefixtures("standing_ray")
def test_both_find_modes_within_2000_rounds(tmp_path: Path) -> None:
    study = gantune.load_study(STUDY, ["train.epochs=2", "seed=0"])
    assert study.budget.trials == 2  # a grid of packs of 1 and 2
    run = gantune.run(study, runs_dir=tmp_path)
    epochs = outcomes(run)
    assert sorted(epochs["pack"].unique()) == [1, 2] and epochs["epoch"].max() == 2
    assert run.epochs.groupby("number")["images_seen"].max().tolist() == [200_000, 400_000]
    trials = run.epochs.groupby("number")
    assert (trials["frechet_distance"].min() < LEARNED).all()
    assert (trials["modes"].max() >= SEEN).all()
    assert (trials["mode_kl"].min() < 2.0).all()
    lines = table(epochs.assign(seed=0))
    assert [line.split("|")[1].strip() for line in lines] == [
        "GAN",
        "GAN, the paper",
        "PacGAN2",
        "PacGAN2, the paper",
    ]


def test_the_study_is_the_papers_protocol() -> None:
    """Parameters of both networks as counted in the authors' code, with packs of 1 and 2."""
    base = gantune.load_study(STUDY).trial
    rng = keyed_generator(torch.device("cpu"), "test", 0)
    generator = GENERATORS["mlp"](base.generator, (2,))
    assert sum(p.numel() for p in generator.init(rng)[0].values()) == 484_802
    for pack, count in ((1, 405_201), (2, 405_201 + 2 * 200 * 5)):
        trial = with_values(base, {"discriminator.pack": pack})
        discriminator = DISCRIMINATORS["maxout"](trial.discriminator, (2,))
        assert sum(p.numel() for p in discriminator.init(rng)[0].values()) == count
