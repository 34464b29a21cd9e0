"""Sizes of the experiments at the three presets. A preset changes sizes, never the code path."""

from dataclasses import dataclass, replace

from quire.common.train.recipe import Recipe
from quire.evonorm.networks import NetworkConfig
from quire.evonorm.proxy import Proxy, ProxyConfig
from quire.evonorm.search import SearchConfig
from quire.evonorm.sources import ImageSet
from quire.evonorm.transfer import TransferConfig
from quire.evonorm.worker_batches import StudyConfig


@dataclass(frozen=True)
class ExactConfig:
    """C1 to C3: random inputs.

    Attributes:
        samples, side, features, groups: of the inputs and layers.
        factor: that inputs are multiplied by in C3.
    """

    samples: int = 6
    side: int = 5
    features: int = 8
    groups: int = 2
    factor: float = 3.0


@dataclass(frozen=True)
class SearchStudy:
    """C6 and C7: a search, and what it is compared with.

    Attributes:
        data: images.
        proxies: networks and trainings that score a candidate.
        search: the evolution; random search gets as many tests.
        finalists: that are trained again, for longer.
        rerank: training of the finalists.
    """

    data: ImageSet
    proxies: ProxyConfig
    search: SearchConfig
    finalists: int
    rerank: Recipe


@dataclass(frozen=True)
class Config:
    """All experiments; None for what a preset leaves out."""

    exact: ExactConfig
    workers: StudyConfig
    search: SearchStudy
    generalisation: SearchStudy | None = None
    transfer: TransferConfig | None = None


_digits = NetworkConfig("switched", width=8, depths=(1,), groups=2)
_brief = Recipe(60, 16, 0.03, schedule="constant", optimiser="adam")
_cosine = Recipe(300, 64, 0.1, schedule="cosine", optimiser="sgd", b1=0.9, clip=1.0)

quick = Config(
    exact=ExactConfig(),
    workers=StudyConfig("digits", NetworkConfig("preact", width=8, depths=(2,), groups=2), _cosine, workers=(64, 2)),
    search=SearchStudy(
        "digits",
        ProxyConfig(
            tuple(Proxy(_digits, switches) for switches in ((1.0, 1.0), (0.0, 1.0), (1.0, 0.0))),
            _brief,
            quality_steps=20,
            quality_proxies=1,
            stability_steps=0,
            validation=287,
        ),
        SearchConfig(tests=40, founders=20),
        finalists=3,
        rerank=replace(_brief, steps=150),
    ),
)


def _three(width: int, groups: int, depths: tuple[int, ...], bottleneck: bool) -> tuple[Proxy, ...]:
    """The paper's three architectures at one width: pre-activation ResNet, MobileNetV2, EfficientNet."""
    return (
        Proxy(NetworkConfig("preact", width, depths, bottleneck, groups)),
        Proxy(NetworkConfig("mobilenet_v2", width, groups=groups)),
        Proxy(NetworkConfig("efficientnet", width, groups=groups)),
    )


_middle = SearchStudy(
    "cifar10-subset",
    ProxyConfig(_three(8, 4, (1, 1, 1), False), _cosine, quality_steps=50, quality_proxies=1, stability_steps=20, validation=500),
    SearchConfig(tests=200, founders=100),
    finalists=5,
    rerank=replace(_cosine, steps=1000),
)
standard = Config(
    exact=ExactConfig(samples=16, side=9, features=32, groups=8),
    workers=StudyConfig(
        "cifar10-subset",
        NetworkConfig("preact", width=16, depths=(2, 2, 2), groups=8),
        replace(_cosine, steps=2000, batch_size=128),
        workers=(128, 4),
    ),
    search=_middle,
    generalisation=_middle,
    transfer=TransferConfig(),
)

_full = SearchStudy(
    "cifar10",
    ProxyConfig(_three(16, 8, (3, 4, 6, 3), True), replace(_cosine, steps=2000, batch_size=128), validation=2000),
    SearchConfig(tests=5000, founders=1000),
    finalists=10,
    rerank=replace(_cosine, steps=20_000, batch_size=128),
)
paper = Config(
    exact=ExactConfig(samples=32, side=16, features=64, groups=32),
    workers=StudyConfig(
        "cifar10",
        NetworkConfig("preact", width=64, depths=(3, 4, 6, 3), bottleneck=True, groups=32),
        replace(_cosine, steps=60_000, batch_size=1024),
        workers=(128, 4),
    ),
    search=_full,
    generalisation=_full,
    transfer=TransferConfig(width=64, recipe=Recipe(20_000, 64, 1e-3, optimiser="adam")),
)
PRESETS = {"quick": quick, "standard": standard, "paper": paper}
