"""A device without memory left: that trial's end, with what to change, never the study's."""

from pathlib import Path

import pytest

import gantune
from gantune.errors import DeviceMemoryError
from gantune.loader import load_study
from gantune.paths import RunPaths

HUNGRY = """
from pathlib import Path
from typing import Literal
import torch
import torch.nn.functional as F
from gantune import extend

class Options(extend.LossOptions):
    name: Literal["hungry"] = "hungry"
    steps: int = 10 ** 9

@extend.loss(Options)
def hungry(options):
    taken = []
    def discriminator(real, fake):
        taken.append(1)
        if len(taken) > options.steps:
            with Path(ATTEMPTS).open("a") as file:
                file.write("attempt\\n")
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        on_real, on_fake = F.softplus(-real).mean(-1), F.softplus(fake).mean(-1)
        return extend.DiscriminatorLoss((on_real + on_fake) / 2, on_real, on_fake)
    def generator(fake, real):
        return F.softplus(-fake).mean(-1)
    return extend.Loss(discriminator, generator, threshold=0.0)
"""

STUDY = """
name: hungry
extensions: [hungry.py]
trial:
  data: {name: ring, points: 200}
  generator: {name: mlp, hidden: [8], latent_dim: 2}
  discriminator: {name: mlp, hidden: [8]}
  loss: {name: hungry}
  train: {epochs: 3, steps_per_epoch: 4, batch_size: 24}
  eval: {samples: 50}
search:
  loss.steps: {choice: [0, 6, 1000]}
sampler: {name: grid}
scheduler: {name: none}
max_failures: 3
"""


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    """A study whose trials run out of memory at once, in their second epoch, and never."""
    attempts = tmp_path / "attempts"
    (tmp_path / "hungry.py").write_text(HUNGRY.replace("ATTEMPTS", repr(str(attempts))))
    (tmp_path / "hungry.yaml").write_text(STUDY)
    return tmp_path / "hungry.yaml"


def test_without_ray_it_is_the_message(study_file: Path, tmp_path: Path) -> None:
    study = load_study(study_file, ["loss.steps=6", "resources.gpu=0.25"])
    with pytest.raises(DeviceMemoryError) as error:
        gantune.train(study, tmp_path / "run")
    assert str(error.value) == (
        "out of memory on the device: lower train.batch_size (now 24) or the networks' sizes, "
        "or raise resources.gpu (now 0.25): fewer trials then share a GPU"
    )


@pytest.mark.slow
@pytest.mark.usefixtures("standing_ray")
def test_it_ends_its_trial_and_no_other(study_file: Path, tmp_path: Path) -> None:
    study = load_study(study_file)
    run = gantune.run(study, runs_dir=tmp_path, concurrency=1)
    assert run.status == "finished"
    ends = run.trials.set_index("config.loss.steps")
    assert ends["status"].to_dict() == {0: "failed", 6: "failed", 1000: "completed"}
    for steps in (0, 6):
        assert ends.loc[steps, "error"].startswith(
            "out of memory on the device: lower train.batch_size (now 24)"
        )
        text = RunPaths(run.root).error(ends.loc[steps, "number"]).read_text()
        assert "Tried to allocate 2.00 GiB" in text and text.startswith("Traceback")
    # Another attempt would have needed as much; the actor was used again.
    assert (tmp_path / "attempts").read_text().count("attempt") == 2
    assert run.trials["worker"].nunique() == 1
