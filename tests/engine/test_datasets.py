"""Loaded data: what was on disk, in the right order, with its labels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data_files import random_images, two_classes, write_idx, write_pictures
from PIL import Image

from gantune.engine.data import load_dataset, load_source, to_images
from gantune.engine.datasets import downloaded
from gantune.errors import DataError
from gantune.parts.data import (
    AnyData,
    Cifar10,
    Digits,
    FashionMnist,
    Grid,
    Idx,
    ImageFolder,
    Kmnist,
    Mnist,
    Npz,
    Ring,
    StackedMnist,
    Svhn,
)
from gantune.sources import SourceInfo, info, source_info, training_size

LABELS = np.arange(40, dtype=np.uint8) % 10


@pytest.fixture
def small_constants(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets of torchvision's that are small enough to write."""
    for name, shape in (("mnist", (1, 28, 28)), ("cifar10", (3, 32, 32)), ("svhn", (3, 32, 32))):
        for like in ("mnist", "fashion_mnist", "kmnist") if name == "mnist" else (name,):
            monkeypatch.setitem(info.FIXED, like, SourceInfo(40, shape, 10))
    source_info.cache_clear()


def test_real_digits_are_read_as_they_are(mnist10k: Path) -> None:
    data = load_dataset(Idx(root=str(mnist10k)))
    assert data.train.shape == (10_000, 1, 28, 28) and data.train.dtype == np.uint8
    assert data.labels is not None and data.labels.dtype == np.int64
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(data.labels).tolist() == counts
    # The first test digit of MNIST is a seven; ink is in the middle.
    assert data.labels[:4].tolist() == [7, 2, 1, 0]
    assert data.train[:, 0, 10:18, 10:18].mean() > 5 * data.train[:, 0, :4].mean()


def test_bytes_become_images_in_minus_one_to_one() -> None:
    batch = torch.tensor([0, 51, 255], dtype=torch.uint8)
    torch.testing.assert_close(to_images(batch), torch.tensor([-1.0, -0.6, 1.0]))
    floats = torch.tensor([0.25, 3.0])
    assert to_images(floats) is floats


SETS: dict[str, AnyData] = {
    "digits": Digits(limit=100, holdout=0.3),
    "idx": Idx(root="idx", limit=31, holdout=0.3),
    "image_folder": ImageFolder(root="folder", limit=10, holdout=0.3),
    "streamed": ImageFolder(root="folder", limit=10, holdout=0.3, workers=1),
    "npz": Npz(root="x.npz", limit=31, holdout=0.3),
    "stacked_mnist": StackedMnist(root="idx", points=500, limit=200, holdout=0.3),
    "ring": Ring(points=100, holdout=0.3),
    "grid": Grid(points=100, holdout=0.3),
}


@pytest.fixture
def sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source_info.cache_clear()  # relative roots mean another folder now
    info.list_images.cache_clear()
    images = random_images(40, 9, 9)
    write_idx(tmp_path / "idx", images, LABELS)
    np.savez(tmp_path / "x.npz", images=images, labels=LABELS)
    two_classes(tmp_path / "folder", count=10)


@pytest.mark.usefixtures("sets")
@pytest.mark.parametrize("name", SETS)
def test_limit_and_holdout_are_fixed_parts_with_their_own_labels(name: str) -> None:
    options = SETS[name]
    whole, part, again = load_source(options), load_dataset(options), load_dataset(options)
    size = source_info(options).size
    assert len(part.train) == training_size(options) == size - round(size * 0.3)
    assert len(part.train) + len(part.holdout) == size
    assert part.train.shape[1:] == source_info(options).shape
    assert whole.labels is not None and part.labels is not None
    label_of = {row.tobytes(): k for row, k in zip(whole.samples[:], whole.labels, strict=True)}
    assert part.holdout_labels is not None
    for rows, labels in ((part.train[:], part.labels), (part.holdout, part.holdout_labels)):
        assert [label_of[row.tobytes()] for row in rows] == labels.tolist()
    if name != "stacked_mnist":  # the same stack can be drawn twice
        kept = {row.tobytes() for row in part.train[:]}
        assert not kept & {row.tobytes() for row in part.holdout}
    np.testing.assert_array_equal(part.train[:], again.train[:])
    np.testing.assert_array_equal(part.holdout, again.holdout)


@pytest.mark.usefixtures("sets")
def test_files_that_stay_on_disk_equal_those_in_memory() -> None:
    options = ImageFolder(root="folder", holdout=0.2)
    memory, files = (load_dataset(options.model_copy(update={"workers": w})) for w in (0, 1))
    assert isinstance(memory.train, np.ndarray) and not isinstance(files.train, np.ndarray)
    assert files.train.shape == memory.train.shape and files.train.dtype == memory.train.dtype
    np.testing.assert_array_equal(files.train[:], memory.train)
    np.testing.assert_array_equal(files.train.read(3), memory.train[3])
    np.testing.assert_array_equal(files.labels, memory.labels)
    np.testing.assert_array_equal(files.holdout, memory.holdout)


@pytest.mark.usefixtures("sets")
@pytest.mark.parametrize("name", sorted(set(SETS) - {"ring", "grid"}))
def test_images_are_resized_once_at_load(name: str) -> None:
    options = SETS[name].model_copy(update={"image_size": 13, "limit": None, "holdout": 0.0})
    data = load_dataset(options)
    assert data.train.shape[2:] == (13, 13) == source_info(options).shape[1:]
    before = load_dataset(options.model_copy(update={"image_size": None}))
    assert data.train.dtype == before.train.dtype
    small, large = to_images(torch.tensor(before.train[:])), to_images(torch.tensor(data.train[:]))
    # Bilinear: no new extremes, about the same mean.
    assert large.min() >= small.min() and large.max() <= small.max()
    assert float(large.mean()) == pytest.approx(float(small.mean()), abs=0.05)


def test_reduction_has_antialias(tmp_path: Path) -> None:
    stripes = np.zeros((20, 32, 32), np.uint8)
    stripes[:, :, ::2] = 254
    data = load_dataset(Idx(root=str(write_idx(tmp_path, stripes)), image_size=8))
    assert set(np.unique(data.train[..., 2:-2]).tolist()) <= {126, 127, 128}


def test_class_folders_are_labels_in_alphabetical_order(tmp_path: Path) -> None:
    two_classes(tmp_path, count=3)
    (tmp_path / "empty").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "cats" / "notes.txt").write_text("no image")
    data = load_dataset(ImageFolder(root=str(tmp_path)))
    assert data.classes == 2 and data.labels is not None
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1]
    with Image.open(tmp_path / "dogs" / "1.png") as image:
        np.testing.assert_array_equal(data.train[4], np.asarray(image).transpose(2, 0, 1))


def test_a_flat_folder_of_mixed_kinds_has_no_labels(tmp_path: Path) -> None:
    grey, colour = random_images(12, 8), random_images(8, 12, 3)
    write_pictures(tmp_path, {"a.PNG": grey, "b.webp": colour, "c.bmp": colour, "d.jpg": grey})
    for channels in (1, 3):
        data = load_dataset(ImageFolder(root=str(tmp_path), channels=channels, image_size=10))
        assert data.train.shape == (4, channels, 10, 10)
        assert data.labels is None and data.classes is None and data.holdout_labels is None


@pytest.mark.parametrize("layout", ["(n, H, W)", "(n, H, W, C)", "(n, C, H, W)"])
def test_npz_layouts(layout: str, tmp_path: Path) -> None:
    images = random_images(6, 3, 8, 9)
    stored = {"(n, H, W)": images[:, 0], "(n, H, W, C)": images.transpose(0, 2, 3, 1)}
    np.savez_compressed(tmp_path / "x.npz", images=stored[layout] if layout in stored else images)
    data = load_dataset(Npz(root=str(tmp_path / "x.npz")))
    expected = images[:, :1] if layout == "(n, H, W)" else images
    np.testing.assert_array_equal(data.train, expected)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_npz_floats_end_in_minus_one_to_one(dtype: Any, tmp_path: Path) -> None:
    unit = np.linspace(0, 1, 2 * 64).reshape(2, 8, 8).astype(dtype)
    for images in (unit, 2 * unit - 1):
        np.savez(tmp_path / "x.npz", images=images)
        data = load_dataset(Npz(root=str(tmp_path / "x.npz")))
        assert data.train.dtype == np.float32
        np.testing.assert_allclose(data.train[:, 0], 2 * unit - 1, atol=2e-3)


def test_stacks_have_the_classes_of_their_digits(mnist10k: Path) -> None:
    options = StackedMnist(root=str(mnist10k), points=5000)
    stacks, digits = load_dataset(options), load_dataset(Idx(root=str(mnist10k)))
    assert digits.labels is not None and stacks.labels is not None
    label_of = {row.tobytes(): k for row, k in zip(digits.train, digits.labels, strict=True)}
    for stack, label in zip(stacks.train[:500], stacks.labels[:500], strict=True):
        a, b, c = (label_of[channel.tobytes()] for channel in stack)
        assert label == 100 * a + 10 * b + c
    assert len(np.unique(stacks.labels)) > 980


@pytest.mark.usefixtures("small_constants")
@pytest.mark.parametrize(
    ("options", "folder"),
    [(Mnist(), "MNIST"), (FashionMnist(), "FashionMNIST"), (Kmnist(), "KMNIST")],
)
def test_sets_like_mnist_in_torchvisions_layout(options: Any, folder: str, tmp_path: Path) -> None:
    images = random_images(40, 28, 28)
    options = options.model_copy(update={"root": str(tmp_path)})
    with pytest.raises(DataError, match=r"set data\.download: true, or point data\.root") as caught:
        load_dataset(options)
    assert str(tmp_path) in str(caught.value)
    write_idx(tmp_path / folder / "raw", images, LABELS, "train", packed=False)
    data = load_dataset(options)
    np.testing.assert_array_equal(data.train[:, 0], images)
    np.testing.assert_array_equal(data.labels, LABELS)
    if folder == "MNIST":
        assert source_info(StackedMnist(root=str(tmp_path), points=100)).shape == (3, 28, 28)


def test_part_of_a_known_set_is_not_the_set(tmp_path: Path) -> None:
    write_idx(tmp_path / "MNIST" / "raw", random_images(40, 28, 28), LABELS, "train")
    with pytest.raises(DataError, match="has 40 images, and mnist has 60000"):
        load_dataset(Mnist(root=str(tmp_path)))


@pytest.mark.parametrize("options", [Cifar10(), Svhn()])
def test_colour_sets_without_files_say_what_to_do(options: Any, tmp_path: Path) -> None:
    missing = options.model_copy(update={"root": str(tmp_path)})
    with pytest.raises(DataError, match=f"files of {options.name}: set data.download: true"):
        load_dataset(missing)


@pytest.mark.usefixtures("small_constants")
def test_colour_sets_through_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import datasets

    images = random_images(40, 3, 32, 32)

    class Stored:
        def __init__(self, root: str, download: bool, **split: Any) -> None:
            assert split in ({"train": True}, {"split": "train"}) and not download
            is_cifar = "train" in split
            self.data = images.transpose(0, 2, 3, 1) if is_cifar else images
            self.targets, self.labels = LABELS.tolist(), LABELS

    monkeypatch.setattr(datasets, "CIFAR10", Stored)
    monkeypatch.setattr(datasets, "SVHN", Stored)
    for options in (Cifar10(), Svhn()):
        data = load_dataset(options)
        np.testing.assert_array_equal(data.train, images)
        np.testing.assert_array_equal(data.labels, LABELS)


def test_a_download_that_fails_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import datasets

    def fails(*arguments: Any, **options: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr(datasets, "MNIST", fails)
    with pytest.raises(DataError, match=r"data\.download: mnist cannot be downloaded.*no network"):
        load_dataset(Mnist(root=str(tmp_path), download=True))


def test_svhn_without_scipy_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloaded, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install scipy"):
        load_dataset(Svhn())
