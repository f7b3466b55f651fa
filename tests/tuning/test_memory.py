"""A device without memory left: that trial's end, with what to change, never the study's."""

from pathlib import Path

import pytest
import torch
from conftest import make_study
from test_host import base, spec

import gantune
from gantune.engine.engine import Engine
from gantune.engine.materials import make_materials
from gantune.engine.memory import keep_to_share, memory_errors
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


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
)
def test_what_cuda_and_its_libraries_say(
    tmp_path: Path, error: RuntimeError, is_memory: bool
) -> None:
    expected = DeviceMemoryError if is_memory else type(error)
    with pytest.raises(expected), memory_errors(spec(tmp_path, base())):
        raise error


@pytest.mark.parametrize(
    ("device", "gpu", "share"), [("cuda", 0.25, [0.25]), ("cuda", 1, []), ("cpu", 0.25, [])]
)
def test_a_share_of_a_gpu_is_a_share_of_its_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, gpu: float, share: list[float]
) -> None:
    """There is no GPU: what PyTorch is told."""
    told: list[float] = []
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", told.append)
    keep_to_share(spec(tmp_path, base(), gpu=gpu), torch.device(device))
    assert told == share


def test_a_trial_is_held_to_its_share_before_it_takes_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine of a GPU that is not there: its first tensor would be another error."""

    class ToldError(Exception):
        pass

    def tell(share: float) -> None:
        raise ToldError(share)

    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", tell)
    config = make_study().trial
    engine = Engine(make_materials(config), torch.device("cpu"))
    engine.device = torch.device("cuda")
    with pytest.raises(ToldError, match=r"0\.25"):
        engine.open(spec(tmp_path, config, gpu=0.25))


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
