"""Data sets and their options."""

from typing import Annotated, Literal

from pydantic import Field, Tag

from gantune.parts.base import FOREIGN, Fraction, Options, by_name
from gantune.parts.foreign import ForeignPart

Side = Annotated[int, Field(ge=8, le=128)]
Points = Annotated[int, Field(ge=100, le=10_000_000)]
Root = Annotated[str, Field(min_length=1, max_length=4096)]
Workers = Annotated[int, Field(ge=0, le=256)]


class ImageSet(Options):
    """What all sets of images have in common."""

    name: str
    limit: Annotated[int, Field(ge=2, le=100_000_000)] | None = Field(
        None, description="Use only this many images (a fixed sample)."
    )
    holdout: Fraction = Field(0.0, description="Share kept apart from training.")
    image_size: Side | None = Field(
        None, description="Resize to a square of this side when loaded; null: as stored."
    )


class Digits(ImageSet):
    """scikit-learn's 1,797 real handwritten digits, 8x8, one channel, 10 classes."""

    name: Literal["digits"] = "digits"


class Downloaded(ImageSet):
    """A set that torchvision knows: its training split."""

    root: Root = Field("data", description="Folder with the set's files, in torchvision's layout.")
    download: bool = Field(False, description="Fetch the files if they are not there.")


class Mnist(Downloaded):
    """MNIST: 60,000 digits, 28x28, one channel, 10 classes."""

    name: Literal["mnist"] = "mnist"


class FashionMnist(Downloaded):
    """Fashion-MNIST: 60,000 pictures of clothes, 28x28, one channel, 10 classes."""

    name: Literal["fashion_mnist"] = "fashion_mnist"


class Kmnist(Downloaded):
    """Kuzushiji-MNIST: 60,000 Japanese characters, 28x28, one channel, 10 classes."""

    name: Literal["kmnist"] = "kmnist"


class Cifar10(Downloaded):
    """CIFAR-10: 50,000 pictures, 32x32, three channels, 10 classes."""

    name: Literal["cifar10"] = "cifar10"


class Svhn(Downloaded):
    """Street View House Numbers: 73,257 digits, 32x32, three channels, 10 classes."""

    name: Literal["svhn"] = "svhn"


class Idx(ImageSet):
    """Images (and labels) in IDX files, the format of MNIST, compressed or not."""

    name: Literal["idx"] = "idx"
    root: Root = Field("data", description="Folder with the files.")


class ImageFolder(ImageSet):
    """A folder of image files; its sub-folders, where it has any, are the classes."""

    name: Literal["image_folder"] = "image_folder"
    root: Root = Field("data", description="The folder.")
    channels: Literal[1, 3] = Field(3, description="1: grey, 3: colour.")
    workers: Workers = Field(
        0, description="0: the whole set in memory; more: files are read during training by these."
    )


class Npz(ImageSet):
    """Arrays ``images`` and, if there, ``labels`` in a file of NumPy's."""

    name: Literal["npz"] = "npz"
    root: Root = Field("data.npz", description="The file.")


class StackedMnist(ImageSet):
    """Three random digits as the three channels of an image: 1,000 classes."""

    name: Literal["stacked_mnist"] = "stacked_mnist"
    root: Root = Field("data", description="Folder with IDX files of digits and their labels.")
    points: Points = Field(128_000, description="Number of stacks.")


class Ring(Options):
    """A mixture of Gaussians on a circle, means at 2*pi*i/modes (PacGAN, arXiv 1712.04086)."""

    name: Literal["ring"] = "ring"
    modes: Annotated[int, Field(ge=2, le=1000)] = 8
    radius: Annotated[float, Field(gt=0, le=1000)] = 1.0
    std: Annotated[float, Field(gt=0, le=100)] = 0.01
    points: Points = 100_000
    holdout: Fraction = 0.0


class Grid(Options):
    """A mixture of Gaussians on a square grid centred on 0 (PacGAN, arXiv 1712.04086)."""

    name: Literal["grid"] = "grid"
    side: Annotated[int, Field(ge=2, le=100)] = 5
    spacing: Annotated[float, Field(gt=0, le=1000)] = 2.0
    std: Annotated[float, Field(gt=0, le=100)] = 0.05
    points: Points = 100_000
    holdout: Fraction = 0.0


AnyData = ImageSet | Ring | Grid
"""Every data set, also an extension's."""

BUILT_IN_DATA = (
    "digits",
    "ring",
    "grid",
    "mnist",
    "fashion_mnist",
    "kmnist",
    "cifar10",
    "svhn",
    "idx",
    "image_folder",
    "npz",
    "stacked_mnist",
)


Data = Annotated[
    Annotated[Digits, Tag("digits")]
    | Annotated[Ring, Tag("ring")]
    | Annotated[Grid, Tag("grid")]
    | Annotated[Mnist, Tag("mnist")]
    | Annotated[FashionMnist, Tag("fashion_mnist")]
    | Annotated[Kmnist, Tag("kmnist")]
    | Annotated[Cifar10, Tag("cifar10")]
    | Annotated[Svhn, Tag("svhn")]
    | Annotated[Idx, Tag("idx")]
    | Annotated[ImageFolder, Tag("image_folder")]
    | Annotated[Npz, Tag("npz")]
    | Annotated[StackedMnist, Tag("stacked_mnist")]
    | Annotated[ImageSet, ForeignPart("data", ImageSet, BUILT_IN_DATA), Tag(FOREIGN)],
    by_name("digits", *BUILT_IN_DATA),
]
