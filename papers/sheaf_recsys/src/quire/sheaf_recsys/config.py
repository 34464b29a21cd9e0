"""Presets: what to train on, how large, how long. A preset changes sizes, never the code path."""

from dataclasses import dataclass
from itertools import product
from typing import Literal

from quire.common.graphs.sheaves import MapKind
from quire.sheaf_recsys.training import Setting

FeedbackSet = Literal["generated", "movielens-100k", "movielens-1m", "facebook-books"]
LinkSet = Literal["generated", "umls", "cora", "ogbl-ddi"]
Grid = tuple[tuple[str, tuple[Setting, ...]], ...]
"""Settings to choose from on validation, by model; a single one is taken as it is."""


def grid(rates: tuple[float, ...], penalties: tuple[float, ...]) -> tuple[Setting, ...]:
    """Every pair of a learning rate and a penalty."""
    return tuple(Setting(*pair) for pair in product(rates, penalties))


GRAPH_MODELS = ("sheaf", "LightGCN", "NGCF", "MF")


def _grids(models: tuple[str, ...], rates: tuple[float, ...], penalties: tuple[float, ...]) -> Grid:
    return tuple((name, grid(rates, penalties)) for name in models)


@dataclass(frozen=True)
class Preset:
    """Everything the claims need to know.

    Attributes:
        feedback: interactions of the recommenders.
        fallback: whether generated data may stand in where a set is not on this machine; tables then name them.
        dim, num_layers, batch_size: of the recommenders.
        shipped: setting of the loss as the authors' code ships it, penalty 1.
        shipped_steps: steps with it.
        steps: steps with tuned settings.
        grid: settings of every recommender.
        links: graph for link prediction.
        link_dim, link_layers, link_batch_size, link_steps, link_grid: as above, for links.
        non_edges, hits_k: negative pairs of the evaluation, and K of Hits@K.
        kinds_feedback: interactions for the comparison of restriction maps.
        kinds: kinds of maps and stalk dimensions to compare.
        kinds_steps: steps of each.
        kinds_setting: their setting.
    """

    feedback: FeedbackSet
    dim: int
    num_layers: int
    batch_size: int
    shipped: Setting
    shipped_steps: int
    steps: int
    grid: Grid
    links: LinkSet
    link_dim: int
    link_layers: int
    link_batch_size: int
    link_steps: int
    link_grid: Grid
    non_edges: int
    kinds_feedback: FeedbackSet
    kinds: tuple[tuple[MapKind, int], ...]
    kinds_steps: int
    kinds_setting: Setting
    hits_k: int = 20
    fallback: bool = False


ALL_KINDS: tuple[tuple[MapKind, int], ...] = (
    ("scalar", 1),
    ("diagonal", 2),
    ("diagonal", 4),
    ("orthogonal", 2),
    ("orthogonal", 4),
    ("general", 2),
    ("general", 4),
)

QUICK = Preset(
    feedback="movielens-100k",
    fallback=True,
    dim=32,
    num_layers=2,
    batch_size=4096,
    shipped=Setting(0.06, 1.0),
    shipped_steps=60,
    steps=100,
    grid=(
        ("MF", grid((0.03,), (0.01,))),
        ("LightGCN", grid((0.06,), (0.001,))),
        ("NGCF", grid((0.06,), (0.001,))),
        ("sheaf", grid((0.06,), (0.01,))),
    ),
    links="umls",
    link_dim=32,
    link_layers=2,
    link_batch_size=4096,
    link_steps=200,
    link_grid=(
        ("MF", grid((0.01,), (0.1,))),
        ("LightGCN", grid((0.01,), (0.01,))),
        ("NGCF", grid((0.01,), (0.1,))),
        ("GCN", grid((0.01,), (0.001,))),
        ("sheaf", grid((0.03,), (0.1,))),
    ),
    non_edges=2000,
    kinds_feedback="generated",
    kinds=(("scalar", 1), ("general", 2)),
    kinds_steps=60,
    kinds_setting=Setting(0.03, 0.1),
)
"""A laptop, about a minute: MovieLens 100K where it is at hand, else a generated set; the settings that the full grids chose."""

STANDARD = Preset(
    feedback="movielens-100k",
    dim=64,
    num_layers=3,
    batch_size=4096,
    shipped=Setting(0.03, 1.0),
    shipped_steps=300,
    steps=300,
    grid=_grids(GRAPH_MODELS, (0.01, 0.03, 0.06), (0.0, 1e-3, 1e-2, 1e-1)),
    links="cora",
    link_dim=64,
    link_layers=2,
    link_batch_size=4096,
    link_steps=400,
    link_grid=_grids((*GRAPH_MODELS, "GCN"), (0.01, 0.03), (0.0, 1e-3, 1e-2, 1e-1)),
    non_edges=10_000,
    kinds_feedback="movielens-100k",
    kinds=ALL_KINDS,
    kinds_steps=300,
    kinds_setting=Setting(0.03, 0.1),
)
"""One GPU, minutes: MovieLens 100K and Cora, full grids for every model."""

_ML1M_EPOCH = 668_000 // 1024
"""Batches of 1024 in one pass over 80 % of the 836000 interactions."""

PAPER = Preset(
    feedback="movielens-1m",
    dim=64,
    num_layers=5,
    batch_size=1024,
    shipped=Setting(1e-3, 1.0),
    shipped_steps=50 * _ML1M_EPOCH,
    steps=50 * _ML1M_EPOCH,
    grid=_grids(GRAPH_MODELS, (1e-3, 1e-2, 1e-1), (0.0, 1e-4, 1e-2, 1.0)),
    links="ogbl-ddi",
    link_dim=64,
    link_layers=2,
    link_batch_size=65_536,
    link_steps=4000,
    link_grid=_grids((*GRAPH_MODELS, "GCN"), (1e-3, 1e-2), (0.0, 1e-4, 1e-2)),
    non_edges=100_000,
    kinds_feedback="movielens-100k",
    kinds=ALL_KINDS,
    kinds_steps=6400,
    kinds_setting=Setting(1e-3, 0.1),
)
"""The paper's sizes: MovieLens 1M for 50 epochs of batches of 1024, width 64, 5 layers; ogbl-ddi."""

PRESETS = {"quick": QUICK, "standard": STANDARD, "paper": PAPER}
