"""C5: the reversal circuit in real animals."""

from dataclasses import dataclass

import jax
import numpy as np

from quire.common.data.calcium import Recordings, neuropal_worms
from quire.common.data.source import Source, open_or
from quire.dynamic_connectome.affinity import AffinityTensor, affinity_tensor
from quire.dynamic_connectome.baselines import static_correlation
from quire.dynamic_connectome.config import Worms
from quire.dynamic_connectome.factorisation import Factors, ncp_starts
from quire.dynamic_connectome.generated import generated_worms
from quire.dynamic_connectome.motifs import top_pairs

CIRCUIT = ("AVA", "AVE", "AIB")
"""Command and first-layer interneurons of reversals, left and right."""
TOP = 5
LOADERS = {"generated worms": generated_worms, "neuropal worms": neuropal_worms}


@dataclass(frozen=True)
class WormMotifs:
    """Factors of real recordings.

    Attributes:
        source: the recordings, identified neurons only.
        tensor: affinities.
        starts: the factorisation of every start.
        static: correlation of rates over all time, of every pair of the neurons that all animals have.
        static_names: these neurons.
    """

    source: Source[Recordings]
    tensor: AffinityTensor
    starts: list[Factors]
    static: np.ndarray
    static_names: tuple[str, ...]


def open_worms(config: Worms) -> Source[Recordings]:
    """The recordings of a preset, or what stands in for them.

    Raises:
        DatasetUnavailable: if they are missing, and nothing stands in.
        ValueError: for a data set that there is not.
    """
    for name in filter(None, (config.data_set, config.fallback)):
        if name not in LOADERS:
            raise ValueError(f"data_set is {name!r}; it must be one of {', '.join(LOADERS)}")
    source = open_or(
        LOADERS[config.data_set],
        LOADERS[config.fallback] if config.fallback else None,
        instead_of=config.data_set,
        stand_in_for=PAPERS_DATA if config.data_set == "neuropal worms" else "",
    )
    animals = tuple(animal.identified() for animal in source.value.animals)
    return Source(Recordings(source.value.name, animals), source.stand_in_for)


PAPERS_DATA = "the paper's worms under chemical stimuli, which are not public"


def worm_motifs(config: Worms, key: jax.Array) -> WormMotifs:
    """Affinities of the shared neurons, and their factors."""
    source = open_worms(config)
    animals = source.value.animals
    traces, names = [a.traces for a in animals], [a.neurons for a in animals]
    least = config.least_animals or None
    tensor = affinity_tensor(traces, names, kind=config.kind, sigma=config.sigma, pool=config.pool, least_animals=least)
    mask = None if tensor.mask.all() else tensor.mask
    starts = ncp_starts(tensor.x, config.rank, key, mask, config.iters, config.starts)
    everywhere = tuple(name for name in tensor.names if all(name in a.neurons for a in animals))
    shared = [np.stack([a.traces[a.neurons.index(name)] for name in everywhere]) for a in animals]
    return WormMotifs(source, tensor, starts, static_correlation(shared, "rates", config.sigma), everywhere)


def in_circuit(pair: tuple[str, str]) -> bool:
    """Whether both neurons belong to the circuit; sides do not matter.

    >>> in_circuit(("AVAL", "AIBR")), in_circuit(("AVAL", "RIML"))
    (True, False)
    """
    return all(name.rstrip("LR") in CIRCUIT for name in pair)


def circuit_share(column: np.ndarray, names: tuple[str, ...]) -> float:
    """Share of the largest entries of a pair factor that lie inside the circuit."""
    return float(np.mean([in_circuit(pair) for pair in top_pairs(column, names, TOP)]))


def circuit_terms(factors: Factors, names: tuple[str, ...]) -> list[int]:
    """Terms whose largest pairs all lie inside the circuit."""
    return [r for r, column in enumerate(factors.pairs.T) if circuit_share(column, names) == 1]
