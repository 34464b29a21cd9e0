"""Presets: what is quantised, how far, and how long rounding is learned. A preset changes sizes, never the code path."""

from dataclasses import dataclass, field
from typing import Literal

from quire.common.train.recipe import Recipe
from quire.flexround.blockwise import Scheme
from quire.flexround.layer_study import LayerSizes

ImageSet = Literal["digits", "cifar10", "imagenet-1k"]
Corpus = Literal["markov", "wikitext-2", "openwebtext"]


def _schemes(**options) -> dict[str, Scheme]:
    """The methods that are compared, each at the best of the rates that were tried."""
    common = {"steps": options["steps"], "batch_size": options["batch_size"], "bits": options["bits"]}
    common |= {name: options[name] for name in ("per_channel", "clip_search", "input_prob") if name in options}
    return {
        "RTN": Scheme("rtn", **common),
        "FlexRound": Scheme("flexround", rate=options["rate"], **common),
        "AdaRound": Scheme("adaround", rate=options["adaround_rate"], **common),
    }


@dataclass(frozen=True)
class VisionSizes:
    """A classifier of images and its quantisation.

    Attributes:
        image_set: to train and test on.
        network: widths of the hidden layers of an MLP, or blocks of every stage of a ResNet.
        convolutional: whether it is a ResNet.
        width: of the first stage of a ResNet.
        training: how it is trained; None for the published weights of ResNet-18.
        calibration: images.
        schemes: by name.
        train_images: of the digits; the others are for the test.
    """

    image_set: ImageSet
    network: tuple[int, ...]
    training: Recipe | None
    calibration: int
    bits: int
    steps: int
    batch_size: int
    rate: float
    adaround_rate: float
    convolutional: bool = False
    width: int = 16
    input_prob: float = 0.0
    train_images: int = 1200

    @property
    def schemes(self) -> dict[str, Scheme]:
        """The methods that are compared."""
        names = ("bits", "steps", "batch_size", "rate", "adaround_rate", "input_prob")
        return _schemes(**{name: getattr(self, name) for name in names})
