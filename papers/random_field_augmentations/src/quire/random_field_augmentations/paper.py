"""The paper, its citation and presets."""

from quire.common.claims import Paper
from quire.random_field_augmentations.config import PRESETS

paper = Paper(
    slug="random_field_augmentations",
    title="Random Field Augmentations for Self-Supervised Representation Learning",
    authors="Mansfield, Afkanpour, Morningstar, Singhal",
    year=2023,
    venue="preprint",
    arxiv="2311.03629",
    area="self-supervised vision",
    presets=PRESETS,
)
