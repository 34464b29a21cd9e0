"""Presets: what to train on, how large, how long. A preset changes sizes, never the code path."""

from dataclasses import dataclass
from typing import Literal

from quire.common.train.recipe import Recipe
from quire.crate.classifier import TINY, CRATEConfig
from quire.crate.language_model import CRATELMConfig
from quire.crate.masked_autoencoder import MAE_BASE, CRATEMAEConfig

ImageSet = Literal["digits", "cifar10", "imagenet-1k"]
Corpus = Literal["wikitext-2", "openwebtext"]


@dataclass(frozen=True)
class Training(Recipe):
    """Recipe of a training run: linear warm-up, then a cosine to zero; AdamW or Lion, whose decay is on every parameter.

    Attributes:
        label_smoothing: for classifiers.
    """

    weight_decay: float = 0.01
    warmup: float = 0.05
    label_smoothing: float = 0.0


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know.

    Attributes:
        image_set, classifier, classifier_training: for the classifier and its ViT baseline.
        mae_set, mae, mae_training: for the autoencoder; `mae_other_ratio` is a second mask ratio for the test, reported beside.
        corpus, lm, lm_training, lm_windows: for the language model; windows of the test text to score.
        corpus_fallback: whether a text that ships with Python may stand in for a missing corpus.
        report_images: test images for layer reports.
    """

    image_set: ImageSet
    classifier: CRATEConfig
    classifier_training: Training
    mae_set: ImageSet
    mae: CRATEMAEConfig
    mae_training: Training
    corpus: Corpus
    lm: CRATELMConfig
    lm_training: Training
    lm_windows: int = 1000
    corpus_fallback: bool = False
    mae_other_ratio: float = 0.75
    report_images: int = 360


QUICK = Preset(
    image_set="digits",
    classifier=CRATEConfig(48, 3, 4, image_size=(8, 8), patch_size=4, channels=1, num_classes=10),
    classifier_training=Training(steps=225, batch_size=64, learning_rate=2e-3, label_smoothing=0.1),
    mae_set="digits",
    mae=CRATEMAEConfig(32, 2, 4, image_size=(8, 8), patch_size=2, channels=1, mask_ratio=0.5, lam=0.1),
    mae_training=Training(steps=600, batch_size=32, learning_rate=5e-3, weight_decay=0.05, b2=0.95, warmup=0.1),
    corpus="wikitext-2",
    lm=CRATELMConfig(48, 2, 4, max_length=32),
    lm_training=Training(steps=300, batch_size=32, learning_rate=1e-2),
    corpus_fallback=True,
)
"""A laptop, about a minute: digits, 23 k parameters, bytes of WikiText-2."""

STANDARD = Preset(
    image_set="cifar10",
    classifier=CRATEConfig(192, 6, 6, image_size=(32, 32), patch_size=4, channels=3, num_classes=10),
    classifier_training=Training(steps=8000, batch_size=128, learning_rate=1e-3, weight_decay=0.05, label_smoothing=0.1),
    mae_set="cifar10",
    mae=CRATEMAEConfig(192, 4, 6, image_size=(32, 32), patch_size=4, channels=3, mask_ratio=0.5, lam=0.1),
    mae_training=Training(steps=8000, batch_size=128, learning_rate=1e-3, weight_decay=0.05, b2=0.95, warmup=0.1),
    corpus="wikitext-2",
    lm=CRATELMConfig(192, 6, 6, max_length=128),
    lm_training=Training(steps=3000, batch_size=64, learning_rate=2e-3),
    report_images=1000,
)
"""One GPU, minutes: CIFAR-10."""

_IMAGENET_EPOCH = 1_281_167 / 512

PAPER = Preset(
    image_set="imagenet-1k",
    classifier=TINY,
    classifier_training=Training(
        steps=round(200 * _IMAGENET_EPOCH),
        batch_size=512,
        learning_rate=2e-4,
        weight_decay=0.05,
        optimiser="lion",
        b2=0.99,
        label_smoothing=0.1,
    ),
    mae_set="imagenet-1k",
    mae=MAE_BASE,
    mae_training=Training(
        steps=round(800 * _IMAGENET_EPOCH / 8), batch_size=4096, learning_rate=2.4e-3, weight_decay=0.05, b2=0.95, warmup=0.05
    ),
    corpus="openwebtext",
    lm=CRATELMConfig(768, 12, 12, max_length=1024),
    lm_training=Training(steps=600_000, batch_size=384, learning_rate=6e-4, weight_decay=0.1, b2=0.95, warmup=0.003),
    mae_other_ratio=0.5,
)
"""The paper's sizes and data: CRATE-T on ImageNet-1K with Lion as in its section 4.1, CRATE-MAE-B with the schedule of MAE
(He et al. 2022), CRATE-GPT on OpenWebText with that of GPT-2."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
