"""What tests share: a cache of their own, small studies, one standing Ray."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from store_keys import store_keys

from gantune.document import Document
from gantune.loader import study_from_document
from gantune.parts.foreign import EXTRA_METRICS, EXTRAS
from gantune.study import Study


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Classifiers go to a folder of the session, not to the user's."""
    before = os.environ.get("GANTUNE_CACHE")
    os.environ["GANTUNE_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["GANTUNE_CACHE"]
    else:
        os.environ["GANTUNE_CACHE"] = before


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_is_heard() -> None:
    """Also where a shell runs the tests in the background: their processes would ignore it, too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_extensions() -> Iterator[None]:
    """No extension of one test is known in another."""
    before = dict(EXTRA_METRICS), {kind: dict(extras) for kind, extras in EXTRAS.items()}
    yield
    EXTRA_METRICS.clear()
    EXTRA_METRICS.update(before[0])
    for kind, extras in before[1].items():
        EXTRAS[kind].clear()
        EXTRAS[kind].update(extras)


def make_study(**sections: Any) -> Study:
    """A checked study from plain data; a small, quick trial unless told otherwise."""
    trial = {
        "data": {"name": "ring", "points": 200},
        "generator": {"hidden": [8], "latent_dim": 2},
        "discriminator": {"hidden": [8]},
        "train": {"epochs": 4, "steps_per_epoch": 2, "batch_size": 8},
        "eval": {"samples": 50},
    }
    tree: dict[str, Any] = {
        "name": "tiny",
        "trial": trial,
        "search": {
            "optimizer.generator.lr": {"log_uniform": [1e-5, 1e-2]},
            "optimizer.discriminator.lr": {
                "log_uniform": [0.1, 10],
                "times": "optimizer.generator.lr",
            },
            "optimizer.generator.beta1": {"uniform": [0.0, 0.9]},
        },
        "start": [],
        "scheduler": {"grace_epochs": 1},
        "budget": {"trials": 4},
    }
    for name, value in sections.items():
        tree[name] = {**tree[name], **value} if name == "trial" else value
    return study_from_document(Document("test", tree))


@pytest.fixture(scope="session")
def standing_ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One Ray for all tests that may share it."""
    from gantune.tuning.cluster import local_ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "")  # the same on machines with and without a GPU
        # Workers have the environment that their Ray was started in.
        for name, value in store_keys(tmp_path_factory.mktemp("keys")).items():
            patch.setenv(name, value)
        with local_ray():
            yield


@pytest.fixture(scope="session")
def mnist10k() -> Path:
    """Folder with 10,000 real digits of MNIST, in IDX files."""
    beside = Path(__file__).parent.parent.parent / "shared" / "data" / "mnist10k"
    folder = Path(os.environ.get("GANTUNE_MNIST10K") or beside)
    assert (folder / "t10k-images-idx3-ubyte.gz").is_file(), (
        f"{folder} does not have MNIST's test digits: point GANTUNE_MNIST10K to a folder with "
        "t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz"
    )
    return folder


@pytest.fixture
def lr_beta() -> Path:
    """The shipped study."""
    return Path(__file__).parent.parent / "search_spaces" / "lr_beta.yaml"
