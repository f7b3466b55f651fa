"""Batches from memory and from files: the same, bit for bit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from data_files import random_images, two_classes, write_pictures

from gantune.engine.batches import Batches, InMemory, Streamed
from gantune.engine.data import load_dataset, to_images
from gantune.errors import DataError
from gantune.parts.data import ImageFolder
from gantune.sources.folder import ImageFiles

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> ImageFolder:
    root = two_classes(tmp_path_factory.mktemp("pictures"), count=20, side=11)
    return ImageFolder(root=str(root), workers=2, holdout=0.1, image_size=9)


@pytest.fixture(scope="module")
def files(options: ImageFolder) -> ImageFiles:
    train = load_dataset(options).train
    assert isinstance(train, ImageFiles)
    return train


@pytest.fixture(scope="module")
def memory(options: ImageFolder) -> Batches:
    return InMemory(torch.tensor(load_dataset(options.model_copy(update={"workers": 0})).train))


def tables(*shape: int) -> torch.Tensor:
    return torch.randint(36, shape, generator=torch.Generator().manual_seed(1))


def test_memory_takes_rows_with_a_leading_axis() -> None:
    data = torch.from_numpy(random_images(10, 3, 4, 4))
    rows = torch.tensor([[0, 3], [3, 9], [1, 1]])
    batch = InMemory(data)(rows)
    assert batch.shape == (3, 2, 3, 4, 4)
    torch.testing.assert_close(batch, to_images(data)[rows])
    points = torch.randn(5, 2)
    assert InMemory(points)(torch.tensor([4, 0])).equal(points[[4, 0]])


def test_a_stream_equals_memory_over_several_epochs(files: ImageFiles, memory: Batches) -> None:
    before = torch.get_rng_state()
    stream = Streamed(files, CPU, workers=2)
    for rows in (tables(7, 5), tables(3, 5), tables(4, 2, 5)):
        stream.begin(rows)
        for batch in rows:
            assert torch.equal(stream(batch), memory(batch))
    assert torch.equal(torch.get_rng_state(), before)


def test_an_epoch_that_was_left_does_not_leak_into_the_next(
    files: ImageFiles, memory: Batches
) -> None:
    stream, rows = Streamed(files, CPU, workers=1), tables(9, 4)
    stream.begin(rows)
    stream(rows[0])
    stream.begin(rows.flip(0))
    for batch in rows.flip(0):
        assert torch.equal(stream(batch), memory(batch))


def test_batches_come_in_order_and_those_left_out_are_passed_over(files: ImageFiles) -> None:
    """A rule of balance can leave updates out; no batch comes twice or late."""
    stream, rows = Streamed(files, CPU, workers=1), tables(3, 4)
    stream.begin(rows)
    found = stream(rows[1].clone())  # equal is enough
    assert torch.equal(found, InMemory(torch.from_numpy(files[:]))(rows[1]))
    with pytest.raises(AssertionError, match="no batch of the table"):
        stream(rows[0])


def test_a_file_that_breaks_while_training_is_named(tmp_path: Path) -> None:
    write_pictures(tmp_path, {f"{i}.png": random_images(8, 8, 3) for i in range(6)})
    train = load_dataset(ImageFolder(root=str(tmp_path), workers=1)).train
    assert isinstance(train, ImageFiles)
    (tmp_path / "4.png").write_bytes(b"gone")
    stream, rows = Streamed(train, CPU, workers=1), torch.arange(6).view(3, 2)
    stream.begin(rows)
    stream(rows[0])
    stream(rows[1])
    with pytest.raises(DataError, match=r"data\.root: .*4\.png"):
        stream(rows[2])


SPAWNED = """
import sys, torch, torch.multiprocessing
from gantune.engine.batches import InMemory, Streamed
from gantune.engine.data import load_dataset
from gantune.parts.data import ImageFolder

if __name__ == "__main__":
    torch.multiprocessing.set_start_method("spawn")
    train = load_dataset(ImageFolder(root=sys.argv[1], workers=1)).train
    stream, rows = Streamed(train, torch.device("cpu"), 1), torch.arange(8).view(2, 4)
    stream.begin(rows)
    for batch in rows:
        assert stream(batch).equal(InMemory(torch.tensor(train[:]))(batch))
    print("equal")
"""


@pytest.mark.slow
def test_it_works_where_processes_are_spawned(options: ImageFolder, tmp_path: Path) -> None:
    script = tmp_path / "spawned.py"
    script.write_text(SPAWNED)
    done = subprocess.run(
        [sys.executable, str(script), options.root],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.stdout == "equal\n", done.stderr
