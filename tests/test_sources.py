"""What data sets say of themselves before they are loaded, and every way in which files are bad."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_study
from data_files import (
    idx_bytes,
    random_images,
    two_classes,
    with_wrong_checksum,
    write_idx,
    write_pictures,
)
from PIL import Image

from gantune.config import TrialConfig
from gantune.engine.data import load_dataset
from gantune.errors import ConfigError, DataError
from gantune.parts.data import (
    AnyData,
    Cifar10,
    Digits,
    Grid,
    Idx,
    ImageFolder,
    Mnist,
    Npz,
    Ring,
    StackedMnist,
    Svhn,
)
from gantune.sources import SourceInfo, source_info, training_size

LABELS = np.arange(20, dtype=np.uint8) % 10


def npz(folder: Path, **arrays: Any) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "x.npz", **arrays)
    return str(folder / "x.npz")


def test_sizes_shapes_and_classes_without_loading(tmp_path: Path, mnist10k: Path) -> None:
    idx = str(write_idx(tmp_path / "idx", random_images(20, 9, 7), LABELS))
    bare = str(write_idx(tmp_path / "bare", random_images(20, 9, 7), packed=False))
    folder = str(two_classes(tmp_path / "folder"))
    flat = str(
        write_pictures(tmp_path / "flat", {"a.jpg": random_images(9, 8), "b.bmp": LABELS[None]})
    )
    arrays = npz(tmp_path, images=random_images(20, 9, 8, 3), labels=LABELS)
    cases: list[tuple[AnyData, SourceInfo]] = [
        (Digits(), SourceInfo(1797, (1, 8, 8), 10)),
        (Digits(limit=9, image_size=16), SourceInfo(9, (1, 16, 16), 10)),
        (Ring(modes=5, points=100), SourceInfo(100, (2,), 5)),
        (Grid(side=3, points=100), SourceInfo(100, (2,), 9)),
        (Mnist(), SourceInfo(60_000, (1, 28, 28), 10)),
        (Cifar10(image_size=16), SourceInfo(50_000, (3, 16, 16), 10)),
        (Svhn(), SourceInfo(73_257, (3, 32, 32), 10)),
        (Idx(root=str(mnist10k)), SourceInfo(10_000, (1, 28, 28), 10)),
        (Idx(root=idx), SourceInfo(20, (1, 9, 7), 10)),
        (Idx(root=bare), SourceInfo(20, (1, 9, 7), None)),
        (ImageFolder(root=folder), SourceInfo(12, (3, 8, 8), 2)),
        (ImageFolder(root=folder, channels=1, workers=2), SourceInfo(12, (1, 8, 8), 2)),
        (ImageFolder(root=flat, image_size=12), SourceInfo(2, (3, 12, 12), None)),
        (Npz(root=arrays), SourceInfo(20, (3, 9, 8), 10)),
        (StackedMnist(root=str(mnist10k), points=500), SourceInfo(500, (3, 28, 28), 1000)),
    ]
    for options, expected in cases:
        assert source_info(options) == expected, options
    assert training_size(Idx(root=idx, limit=10, holdout=0.3)) == 7


def test_files_that_are_not_compressed_and_training_files_come_first(tmp_path: Path) -> None:
    write_idx(tmp_path, random_images(20, 9, 9), LABELS)
    write_idx(tmp_path, random_images(5, 9, 9), LABELS[:5], "train")
    write_idx(tmp_path, random_images(4, 9, 9), LABELS[:4], "train", packed=False)
    assert source_info(Idx(root=str(tmp_path))).size == 4


def test_a_home_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_idx(tmp_path / "digits", random_images(20, 9, 9))
    assert source_info(Idx(root="~/digits")).size == 20


def test_one_folder_or_one_label_is_no_class(tmp_path: Path) -> None:
    one = write_pictures(tmp_path / "one", {f"all/{i}.png": random_images(8, 8) for i in range(3)})
    assert source_info(ImageFolder(root=str(one))).classes is None
    same = npz(tmp_path, images=random_images(3, 8, 8), labels=np.zeros(3, int))
    assert source_info(Npz(root=same)).classes is None
    assert load_dataset(Npz(root=same)).labels is None


# What is wrong, how it comes about, whether the headers show it, and what the message says.
Plant = Callable[[Path], AnyData]


def _raw(name: str, content: bytes) -> Plant:
    def plant(folder: Path) -> AnyData:
        (folder / name).write_bytes(content)
        return Idx(root=str(folder))

    return plant


def _arrays(**arrays: Any) -> Plant:
    return lambda folder: Npz(root=npz(folder, **arrays))


def _labels(content: bytes) -> Plant:
    def plant(folder: Path) -> AnyData:
        write_idx(folder, random_images(20, 9, 9))
        (folder / "t10k-labels-idx1-ubyte").write_bytes(content)
        return Idx(root=str(folder))

    return plant


def _two_sets(folder: Path) -> AnyData:
    for name in ("a", "b"):
        write_idx(folder, random_images(3, 9, 9), name=name)
    return Idx(root=str(folder))


def _stacks(labels: Any) -> Plant:
    def plant(folder: Path) -> AnyData:
        return StackedMnist(root=str(write_idx(folder, random_images(20, 9, 9), labels)))

    return plant


def _pictures(names: dict[str, Any], **options: Any) -> Plant:
    def plant(folder: Path) -> AnyData:
        for name, content in names.items():
            if isinstance(content, bytes):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)
            else:
                write_pictures(folder, {name: content})
        return ImageFolder(root=str(folder), **options)

    return plant


def _truncated_picture(folder: Path) -> AnyData:
    write_pictures(folder, {f"{name}.png": random_images(40, 40, 3) for name in "abc"})
    content = (folder / "b.png").read_bytes()
    (folder / "b.png").write_bytes(content[: len(content) // 2])
    return ImageFolder(root=str(folder))


def _wide_picture(folder: Path) -> AnyData:
    write_pictures(folder, {"a.png": random_images(8, 8)})
    Image.fromarray(np.full((8, 8), 3000, np.uint16)).save(folder / "b.png")
    return ImageFolder(root=str(folder))


def _bad_checksum(folder: Path) -> AnyData:
    path = npz(folder, images=random_images(20, 9, 9))
    return Npz(root=str(with_wrong_checksum(Path(path))))


def _not_a_zip(folder: Path) -> AnyData:
    (folder / "x.npz").write_bytes(b"no zip at all")
    return Npz(root=str(folder / "x.npz"))


GOOD = idx_bytes(random_images(20, 9, 9))
IMAGES = "t10k-images-idx3-ubyte"
PICTURE = random_images(8, 8, 3)

FAULTS: dict[str, tuple[Plant, bool, str]] = {
    "no folder": (lambda f: Idx(root=str(f / "no")), True, "no is no folder"),
    "no files": (lambda f: Idx(root=str(f)), True, r"has no \*-images-idx3-ubyte"),
    "two sets": (_two_sets, True, "several sets.*a-images-idx3-ubyte.gz, b-images"),
    "magic": (
        _raw(IMAGES, b"\x00\x00\x09\x03" + GOOD[4:]),
        True,
        f"{IMAGES}.*begins with 00000903",
    ),
    "axes": (_raw(IMAGES, idx_bytes(LABELS)), True, f"{IMAGES}.*00000801, not 00000803"),
    "short header": (_raw(IMAGES, GOOD[:10]), True, f"{IMAGES} is truncated"),
    "no images": (_raw(IMAGES, idx_bytes(random_images(0, 9, 9))), True, f"{IMAGES} is empty"),
    "one image": (_raw(IMAGES, idx_bytes(random_images(1, 9, 9))), True, "at least 2 are needed"),
    "truncated": (_raw(IMAGES, GOOD[:-1]), False, f"{IMAGES} is truncated: 1,619 of 1,620"),
    "endless": (_raw(IMAGES, GOOD[:4] + b"\x7f\xff\xff\xff" * 3), False, "is truncated: 0 of"),
    "trailing": (_raw(IMAGES, GOOD + b"x"), False, f"{IMAGES} has more bytes than the 1,620"),
    "no gzip": (_raw(f"{IMAGES}.gz", GOOD), True, f"{IMAGES}.gz cannot be read: Not a gzipped"),
    "cut gzip": (_raw(f"{IMAGES}.gz", gzip.compress(GOOD)[:-9]), False, f"{IMAGES}.gz cannot be"),
    "corrupt gzip": (
        _raw(f"{IMAGES}.gz", gzip.compress(GOOD)[:-8] + bytes(8)),
        False,
        f"{IMAGES}.gz cannot be read: CRC",
    ),
    "lengths": (_labels(idx_bytes(LABELS[:7])), True, "idx1-ubyte has 7 labels for the 20 images"),
    "truncated labels": (_labels(idx_bytes(LABELS)[:-2]), True, "idx1-ubyte is truncated"),
    "stacks without labels": (_stacks(None), True, f"{IMAGES}.gz has no labels beside it"),
    "stacks of others": (_stacks(LABELS // 2), True, "has 5 classes, and stacks are of 10"),
    "folder missing": (lambda f: ImageFolder(root=str(f / "no")), True, "no is no folder"),
    "empty folder": (_pictures({"readme.txt": b"x"}), True, "has no images"),
    "mixed layout": (_pictures({"a.png": PICTURE, "b/c.png": PICTURE}), True, r"a\.png.*\(b\)"),
    "no picture": (_pictures({"a.png": b"x", "b.png": PICTURE}), True, r"a\.png is no image"),
    "no second picture": (
        _pictures({"a.png": PICTURE, "b.png": b"x"}),
        False,
        r"b\.png is no image",
    ),
    "truncated picture": (_truncated_picture, False, r"b\.png cannot be read"),
    "wide picture": (_wide_picture, False, r"b\.png has pixels of mode I"),
    "mixed sizes": (
        _pictures({"a.png": PICTURE, "b.png": random_images(8, 9, 3)}),
        False,
        r"b\.png is 9x8 and .*a\.png is 8x8: set data.image_size",
    ),
    "npz missing": (lambda f: Npz(root=str(f / "no.npz")), True, r"no\.npz is no file"),
    "no zip": (_not_a_zip, True, r"x\.npz cannot be read: File is not a zip"),
    "no array": (_arrays(pictures=PICTURE), True, r"x\.npz has no array 'images'; it has pictures"),
    "dtype": (_arrays(images=np.zeros((3, 8, 8), int)), True, r"x\.npz are int64"),
    "objects": (_arrays(images=np.array([None, 1])), True, r"images in .*x\.npz are object"),
    "shape": (
        _arrays(images=random_images(3, 8, 8, 4)),
        True,
        r"x\.npz have the shape \(3, 8, 8, 4\)",
    ),
    "flat": (_arrays(images=random_images(3, 64)), True, r"x\.npz have the shape \(3, 64\)"),
    "nothing": (_arrays(images=random_images(0, 8, 8)), True, r"x\.npz are empty"),
    "nan": (_arrays(images=np.full((3, 8, 8), np.nan)), False, r"x\.npz have numbers that are not"),
    "range": (_arrays(images=np.full((3, 8, 8), 255.0)), False, r"x\.npz go from 255 to 255"),
    "check sum": (_bad_checksum, False, r"x\.npz cannot be read: Bad CRC"),
    "label count": (
        _arrays(images=random_images(3, 8, 8), labels=[0, 1]),
        True,
        r"x\.npz has 2 labels for 3 images",
    ),
    "label type": (
        _arrays(images=random_images(3, 8, 8), labels=[0.5, 1, 2]),
        True,
        r"labels in .*x\.npz are float64",
    ),
    "label range": (
        _arrays(images=random_images(3, 8, 8), labels=[-1, 1, 2]),
        True,
        r"labels in .*x\.npz go from -1 to 2",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_bad_files_are_named_with_the_field(fault: str, tmp_path: Path) -> None:
    plant, in_header, message = FAULTS[fault]
    options = plant(tmp_path)
    with pytest.raises(DataError, match=message) as caught:
        load_dataset(options)
    assert caught.value.field == "data.root" and str(tmp_path) in caught.value.message
    assert caught.value.exit_code == 2
    if in_header:
        with pytest.raises(DataError, match=message):
            source_info(options)
        with pytest.raises(ConfigError, match=r"trial\.data\.root: "):
            make_study(trial={"data": options.model_dump()})


def test_more_than_there_are_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"trial\.data\.limit: 1798 images are more than the 1797"
    ):
        make_study(trial={"data": {"name": "digits", "limit": 1798}})


def test_an_error_survives_the_way_to_another_process() -> None:
    import copy

    error = copy.copy(DataError("data.root", "no"))
    assert (str(error), error.field) == ("data.root: no", "data.root")


def test_checking_reads_each_header_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gantune.sources import info

    reads = []
    find = info.idx.find_idx
    monkeypatch.setattr(info.idx, "find_idx", lambda *a: reads.append(a) or find(*a))
    root = str(write_idx(tmp_path, random_images(60, 8, 8), np.tile(LABELS, 3)))
    make_study(trial={"data": {"name": "idx", "root": root}})  # a thousand draws
    assert len(reads) == 1


def test_a_study_without_its_data_says_so_and_nothing_else(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        make_study(trial={"data": {"name": "idx", "root": str(tmp_path / "no")}})
    assert [problem.path for problem in caught.value.problems] == ["trial.data.root"]


def test_a_searched_root_is_checked_too(tmp_path: Path) -> None:
    root = str(write_idx(tmp_path / "a", random_images(60, 8, 8), np.tile(LABELS, 3)))
    search = {"data.root": {"choice": [root, str(tmp_path / "no")]}}
    with pytest.raises(ConfigError, match=r"data\.root: data.root = .*no is no folder"):
        make_study(
            trial={"data": {"name": "idx", "root": root}},
            search=search,
            objective={"metric": "modes"},
        )
    with pytest.raises(ConfigError, match=r"data\.root is searched"):
        make_study(trial={"data": {"name": "idx", "root": root}}, search=search)


@pytest.mark.parametrize("path", ["data.limit", "data.holdout"])
def test_distances_to_other_real_samples_do_not_compare(path: str) -> None:
    values = [100, 200] if path == "data.limit" else [0.1, 0.2]
    trial, search = {"data": {"name": "digits"}}, {path: {"choice": values}}
    with pytest.raises(ConfigError, match=f"to other samples do not compare, and {path}"):
        make_study(trial=trial, search=search)
    make_study(trial=trial, search=search, objective={"metric": "classifier_score"})


@pytest.mark.parametrize("metric", ["classifier_score", "modes", "mode_kl", "mode_entropy"])
def test_metrics_of_classes_need_labels(metric: str, tmp_path: Path) -> None:
    bare = str(write_idx(tmp_path / "bare", random_images(60, 8, 8)))
    full = str(write_idx(tmp_path / "full", random_images(60, 8, 8), np.tile(LABELS, 3)))
    make_study(trial={"data": {"name": "idx", "root": full}}, objective={"metric": metric})
    with pytest.raises(ConfigError, match=f"{metric} needs classes, and this idx set"):
        make_study(trial={"data": {"name": "idx", "root": bare}}, objective={"metric": metric})
    # The classifier of other data is another one: its score compares no more than a distance does.
    reason = "is searched" if metric == "classifier_score" else "needs classes, and this idx set"
    with pytest.raises(ConfigError, match=reason):
        make_study(
            trial={"data": {"name": "idx", "root": full}},
            objective={"metric": metric},
            search={"data.root": {"choice": [full, bare]}},
        )


def test_points_have_no_classifier_and_images_no_high_quality() -> None:
    with pytest.raises(ConfigError, match="does not exist for ring, only for images with labels"):
        make_study(objective={"metric": "classifier_score"})
    with pytest.raises(ConfigError, match="does not exist for digits, only for ring, grid"):
        make_study(
            objective={"metric": "high_quality"},
            search={"data.name": {"choice": ["ring", "digits"]}},
        )


def test_every_set_can_be_made_from_its_name_alone() -> None:
    for name in ("svhn", "npz", "image_folder", "stacked_mnist"):
        assert TrialConfig.model_validate({"data": {"name": name}}).data.name == name
