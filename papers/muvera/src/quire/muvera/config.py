"""Sizes of the experiments at the three presets. A preset changes sizes, never the code path."""

from dataclasses import dataclass, replace

from quire.muvera.encoding import FDEConfig
from quire.muvera.token_collections import CollectionName

SMALL, MIDDLE, LARGE = (FDEConfig(64, 20, k, 8) for k in (3, 4, 5))
"""The smallest three encodings that the paper found Pareto-optimal, for tokens of 64 dimensions."""


@dataclass(frozen=True)
class BoundConfig:
    """C1 and C2: random pairs of sets of unit vectors, with up to so many tokens."""

    pairs: int = 200
    dim: int = 16
    query_tokens: int = 8
    document_tokens: int = 12
    repetitions: int = 4
    simhash_bits: int = 4
    proj_dim: int = 6
    final_dim: int = 48


@dataclass(frozen=True)
class FillingConfig:
    """C3: documents of random unit tokens, queries of noisy copies of some."""

    pairs: int = 20
    dim: int = 32
    query_tokens: int = 16
    document_tokens: int = 32
    noise: float = 0.6
    repetitions: int = 4
    max_bits: int = 8
    compared: tuple[int, int] = (2, 5)
    """k whose errors the last one's is compared with, filled and not filled."""


@dataclass(frozen=True)
class NeedleConfig:
    """C4a: the generator `needles` and the encoding."""

    dim: int = 64
    queries: int = 40
    tokens: int = 16
    distractors: int = 40
    others: int = 48
    fde: FDEConfig = MIDDLE
    sv_tokens: int = 40


@dataclass(frozen=True)
class SearchConfig:
    """C4b, C5, C6: a collection, the ladder of encodings, and what follows the search."""

    collection: CollectionName = "cranfield"
    dim: int = 64
    ladder: tuple[FDEConfig, ...] = (SMALL, MIDDLE, LARGE)
    pooled_rival: FDEConfig = LARGE
    """one of the ladder, for C4b"""
    sv_tokens: int = 40
    """document tokens fetched for every query token"""
    shortlist: int = 50
    """N of C5's 1Recall@N"""
    reranked: int = 100
    """candidates of C6"""
    kept: int = 10
    """documents that re-ranking returns"""
    taus: tuple[float, ...] = (0.7, 0.8, 0.9)
    judged_tau: float = 0.8
    quantised: FDEConfig = MIDDLE
    """one of the ladder, for C6"""
    centres: int = 64
    group_dim: int = 8
    iters: int = 5


@dataclass(frozen=True)
class Config:
    """All experiments."""

    bound: BoundConfig = BoundConfig()
    filling: FillingConfig = FillingConfig()
    needles: NeedleConfig = NeedleConfig()
    search: SearchConfig = SearchConfig()


quick = Config()

_wide = (SMALL, MIDDLE, LARGE, FDEConfig(64, 20, 5, 16), FDEConfig(64, 20, 5, 32))
standard = replace(
    quick,
    bound=replace(quick.bound, pairs=2000, dim=64, query_tokens=32, document_tokens=64),
    filling=replace(quick.filling, pairs=100, dim=64, max_bits=10),
    needles=replace(quick.needles, queries=100, distractors=80),
    search=replace(quick.search, ladder=_wide, centres=256, iters=10),
)

_colbert = tuple(FDEConfig(128, 20, k, p) for k, p in ((4, 8), (5, 8), (5, 16), (5, 32)))
paper = replace(
    standard,
    bound=replace(standard.bound, dim=128),
    filling=replace(standard.filling, dim=128, max_bits=12),
    needles=replace(standard.needles, dim=128, queries=200, fde=FDEConfig(128, 20, 5, 16)),
    search=replace(
        standard.search,
        collection="scidocs",  # "msmarco" takes the same path, and memory for 8.8 million encodings
        dim=128,
        ladder=_colbert,
        pooled_rival=FDEConfig(128, 20, 5, 16),
        shortlist=100,
        taus=(0.6, 0.7, 0.8),
        judged_tau=0.7,
        quantised=FDEConfig(128, 20, 5, 16),
    ),
)
