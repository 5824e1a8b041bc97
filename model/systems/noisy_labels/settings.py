"""The sizes of the networks and how much the adversarial part counts. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from data.settings import Settings

Filters = Annotated[int, Field(ge=8, le=2048)]
Convolutions = Annotated[int, Field(ge=1, le=8)]


class NoisyLabelsArchitecture(Settings):
    """The defaults are the published ones (arXiv 2010.09849, for RAF-DB). Published with them: batches of 128, Adam at
    1e-4 without decay, and equal task weights."""

    side_px: Literal[32, 64] = 64
    """Side of the faces that are encoded and decoded; larger crops are shrunk to it."""
    latent: Annotated[int, Field(ge=1, le=1024)] = 100
    """Numbers in the latent code, which holds what the labels do not say."""
    filters: tuple[Filters, Filters, Filters, Filters, Filters] = (64, 128, 256, 512, 512)
    """Filters of the convolutions of each of the encoder's five stages."""
    convolutions: tuple[Convolutions, Convolutions, Convolutions, Convolutions, Convolutions] = (2, 2, 3, 3, 3)
    """Convolutions in each of the encoder's stages."""
    hidden: Annotated[int, Field(ge=8, le=4096)] = 500
    """Units of each of the encoder's two hidden layers."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of the units that dropout zeroes in training, after each hidden layer."""
    batch_normalisation: bool = False
    """Normalise after each convolution of the encoder, without which a small one hardly learns from scratch."""
    decoder_filters: tuple[Filters, Filters, Filters, Filters, Filters] = (512, 512, 256, 128, 64)
    """Filters of the decoder's deconvolutions before the last, which gives the face; faces of 32 px need four."""
    discriminator_filters: tuple[Filters, Filters, Filters, Filters] = (64, 128, 256, 512)
    """Filters of the image discriminator's residual blocks before the last two."""
    features: Annotated[int, Field(ge=8, le=2048)] = 512
    """Features of each of the four discriminators of a single part: face, latent code, expression, valence-arousal."""
    joint_features: Annotated[int, Field(ge=8, le=4096)] = 1024
    """Features of the discriminator that sees those of the four side by side."""
    discriminator_steps: Annotated[int, Field(ge=1, le=10)] = 2
    """Updates of the discriminators before each update of encoder and decoder."""
    gan_weight: Annotated[float, Field(ge=0, le=100)] = 1.0
    """Weight of the adversarial loss (the paper's lambda); 0: none, so that the encoder alone is trained."""
    adversarial_from_epoch: Annotated[int, Field(ge=0, le=10_000)] = 5
    """Epoch (from 0) from which the adversarial part is trained; the labels alone train the encoder before."""
