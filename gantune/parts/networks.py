"""Networks and their options."""

from typing import Annotated, Literal

from pydantic import Field, Tag

from gantune.parts.base import FOREIGN, Options, Width, Widths, by_name
from gantune.parts.foreign import ForeignPart

Activation = Literal["leaky_relu", "relu", "tanh", "silu"]
Slope = Annotated[float, Field(ge=0, lt=1, description="Negative slope of leaky_relu.")]
Eps = Annotated[float, Field(gt=0, le=1, description="Added to the variance by a norm.")]
Rate = Annotated[float, Field(ge=0, lt=1, description="Share of activations set to zero.")]
Pack = Annotated[int, Field(ge=1, le=16, description="Samples judged together (PacGAN).")]
Initial = Literal["uniform", "normal", "normal_zero", "kaiming", "kaiming_uniform"]
"""Initial weights: PyTorch's U(+-1/sqrt(fan_in)), DCGAN's N(0, 0.02), PacGAN's with
biases 0, He et al.'s two."""


class Generator(Options):
    """What every generator has."""

    name: str
    latent_dim: Width = 64
    latent: Literal["normal", "uniform"] = Field("normal", description="N(0, 1) or U(-1, 1).")
    output: Literal["tanh", "sigmoid", "linear"] | None = Field(
        None, description="Last activation; null: tanh for images, linear for points."
    )


class Discriminator(Options):
    """What every discriminator has."""

    name: str
    pack: Pack = 1
    minibatch_std: bool = Field(
        False, description="Shows the spread of the batch as one more feature (Karras et al. 2018)."
    )


class MlpGenerator(Generator):
    """Fully connected generator: latent -> hidden layers -> a sample."""

    name: Literal["mlp"] = "mlp"
    hidden: Widths = (128, 256)
    activation: Activation = "leaky_relu"
    negative_slope: Slope = 0.2
    norm: Literal["none", "batch", "layer"] = "none"
    norm_eps: Eps = 1e-5
    norm_momentum: Annotated[float, Field(gt=0, le=1)] = Field(
        0.1, description="Weight of the newest batch in batch norm's running statistics."
    )
    norm_first: bool = Field(False, description="Norm after the first hidden layer, too.")
    norm_bias: bool = Field(False, description="Bias before batch norm: dead, in tutorials.")
    dropout: Rate = 0.0
    init: Initial = "uniform"


class MlpDiscriminator(Discriminator):
    """Fully connected discriminator: a sample -> hidden layers -> one logit."""

    name: Literal["mlp"] = "mlp"
    hidden: Widths = (256, 128)
    activation: Activation = "leaky_relu"
    negative_slope: Slope = 0.2
    norm: Literal["none", "batch", "layer", "spectral"] = "none"
    norm_eps: Eps = 1e-5
    dropout: Rate = 0.0
    unit_input: bool = Field(
        False, description="Sees images in [0, 1], as tutorials with sigmoid outputs do."
    )
    init: Initial = "uniform"


class ConvGenerator(Generator):
    """What the convolutional generators share."""

    features: Annotated[int, Field(ge=1, le=4096)] = Field(
        64, description="Channels at the largest resolution; doubled at each halving."
    )
    extra_layers: Annotated[int, Field(ge=0, le=16)] = Field(
        0, description="3x3 layers at the last resolution but one."
    )
    activation: Activation = "relu"
    negative_slope: Slope = 0.2
    norm: Literal["none", "batch", "instance", "layer"] = "batch"
    norm_eps: Eps = 1e-5
    norm_bias: bool = Field(False, description="Bias before batch norm: dead, in tutorials.")
    dropout: Rate = 0.0
    init: Initial = "normal"


class ConvDiscriminator(Discriminator):
    """What the convolutional discriminators share."""

    features: Annotated[int, Field(ge=1, le=4096)] = Field(
        64, description="Channels at the largest resolution; doubled at each halving."
    )
    extra_layers: Annotated[int, Field(ge=0, le=16)] = Field(
        0, description="3x3 layers at half the image's size."
    )
    activation: Activation = "leaky_relu"
    negative_slope: Slope = 0.2
    norm: Literal["none", "batch", "instance", "layer", "spectral"] = "batch"
    norm_eps: Eps = 1e-5
    dropout: Rate = 0.0
    init: Initial = "normal"


class DcganGenerator(ConvGenerator):
    """Transposed convolutions with batch norm and ReLU (Radford et al. 2016)."""

    name: Literal["dcgan"] = "dcgan"


class DcganDiscriminator(ConvDiscriminator):
    """Strided convolutions with batch norm and leaky ReLU (Radford et al. 2016)."""

    name: Literal["dcgan"] = "dcgan"


class UpsampleGenerator(ConvGenerator):
    """Nearest-neighbour upsampling and 3x3 convolutions (PyTorch-GAN's ``dcgan.py``)."""

    name: Literal["upsample"] = "upsample"
    norm_eps: Eps = 0.8
    activation: Activation = "leaky_relu"


class UpsampleDiscriminator(Discriminator):
    """Strided 3x3 convolutions, dropout, then batch norm (PyTorch-GAN's ``dcgan.py``)."""

    name: Literal["upsample"] = "upsample"
    features: Annotated[int, Field(ge=1, le=4096)] = 16
    activation: Activation = "leaky_relu"
    negative_slope: Slope = 0.2
    norm: Literal["none", "batch", "instance", "layer", "spectral"] = "batch"
    norm_eps: Eps = 0.8
    dropout: Rate = 0.25
    init: Initial = "normal"


class BasicGenerator(ConvGenerator):
    """fastai's ``basic_generator``."""

    name: Literal["basic"] = "basic"
    init: Initial = "kaiming_uniform"


class BasicDiscriminator(ConvDiscriminator):
    """fastai's ``basic_critic``."""

    name: Literal["basic"] = "basic"
    init: Initial = "kaiming_uniform"


class ResnetGenerator(Generator):
    """Residual blocks with nearest-neighbour upsampling (Gulrajani et al. 2017)."""

    name: Literal["resnet"] = "resnet"
    features: Annotated[int, Field(ge=1, le=4096)] = 64
    activation: Activation = "relu"
    negative_slope: Slope = 0.2
    norm: Literal["none", "batch"] = "batch"
    norm_eps: Eps = 1e-5
    init: Initial = "kaiming"


class ResnetDiscriminator(Discriminator):
    """Residual blocks with average pooling (Miyato et al. 2018)."""

    name: Literal["resnet"] = "resnet"
    features: Annotated[int, Field(ge=1, le=4096)] = 64
    activation: Activation = "relu"
    negative_slope: Slope = 0.2
    norm: Literal["none", "spectral"] = "spectral"
    init: Initial = "kaiming"


class DenseResidualDiscriminator(Discriminator):
    """fastai's ``gan_critic``: a dense residual block, spectral norm, self-attention, dropout."""

    name: Literal["dense_residual"] = "dense_residual"
    features: Annotated[int, Field(ge=1, le=4096)] = 128
    activation: Activation = "leaky_relu"
    negative_slope: Slope = 0.2
    norm: Literal["none", "spectral"] = "spectral"
    self_attention: bool = True
    dropout: Rate = 0.15
    init: Initial = "kaiming"


class MaxoutDiscriminator(Discriminator):
    """Linear maxout layers (PacGAN's discriminator of points, arXiv 1712.04086)."""

    name: Literal["maxout"] = "maxout"
    hidden: Widths = (200, 200, 200)
    pieces: Annotated[int, Field(ge=2, le=64)] = 5
    init: Initial = "normal"


BUILT_IN_GENERATOR = (
    "mlp",
    "dcgan",
    "upsample",
    "basic",
    "resnet",
)


GeneratorPart = Annotated[
    Annotated[MlpGenerator, Tag("mlp")]
    | Annotated[DcganGenerator, Tag("dcgan")]
    | Annotated[UpsampleGenerator, Tag("upsample")]
    | Annotated[BasicGenerator, Tag("basic")]
    | Annotated[ResnetGenerator, Tag("resnet")]
    | Annotated[Generator, ForeignPart("generator", Generator, BUILT_IN_GENERATOR), Tag(FOREIGN)],
    by_name("mlp", *BUILT_IN_GENERATOR),
]


BUILT_IN_DISCRIMINATOR = (
    "mlp",
    "dcgan",
    "upsample",
    "basic",
    "resnet",
    "dense_residual",
    "maxout",
)


DiscriminatorPart = Annotated[
    Annotated[MlpDiscriminator, Tag("mlp")]
    | Annotated[DcganDiscriminator, Tag("dcgan")]
    | Annotated[UpsampleDiscriminator, Tag("upsample")]
    | Annotated[BasicDiscriminator, Tag("basic")]
    | Annotated[ResnetDiscriminator, Tag("resnet")]
    | Annotated[DenseResidualDiscriminator, Tag("dense_residual")]
    | Annotated[MaxoutDiscriminator, Tag("maxout")]
    | Annotated[
        Discriminator,
        ForeignPart("discriminator", Discriminator, BUILT_IN_DISCRIMINATOR),
        Tag(FOREIGN),
    ],
    by_name("mlp", *BUILT_IN_DISCRIMINATOR),
]
