"""Graphs of knowledge and perceptual worlds that the experiments open."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from quire.common.checks import check_at_least, check_ids
from quire.common.data.source import Source, open_or
from quire.common.graphs.triples import TripleGraph, load_triples
from quire.common.random import generator

IMAGES = "Visual Relationship Detection (photographs)"
"""What the paper's scenes are; here concepts have drawn features instead."""


@dataclass(frozen=True)
class KnownGraph:
    """A graph, and its name with its size."""

    name: str
    graph: TripleGraph


def named_graph(name: str) -> KnownGraph:
    """Nations, Kinship or UMLS.

    Raises:
        ValueError: for another name.
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    return _named(name.upper() if name == "umls" else name.capitalize(), load_triples(name))


def open_graph(name: str) -> Source[KnownGraph]:
    """The graph of a perceptual world; where its files are not on this machine, a made one."""
    return open_or(lambda: named_graph(name), made_graph, stand_in_for=IMAGES, instead_of=f"{name} and {IMAGES}")


def made_graph(num_entities: int = 14, num_relations: int = 55, largest: int = 120, rank: int = 3) -> KnownGraph:
    """A graph that needs no file: of every relation the pairs that score highest in a ComplEx model with random embeddings.

    As in real graphs, relations hold for very different numbers of pairs, from 4 to `largest` in equal ratios, and some entities
    take part in more of them than others.

    Raises:
        ValueError: if a size is not positive, or there are fewer pairs than asked for.
    """
    check_at_least("rank", rank)
    if not 4 <= largest <= num_entities**2 or num_relations < 1:
        raise ValueError(
            f"largest is {largest}, num_relations {num_relations}; {num_entities} entities have {num_entities**2} pairs"
        )
    draw = np.random.default_rng(0)
    entities, relations = (draw.normal(size=(n, rank, 2)) @ (1, 1j) for n in (num_entities, num_relations))
    popular = draw.normal(size=(2, num_entities)) * np.sqrt(2 * rank)
    scores = np.einsum("si,pi,oi->pso", entities, relations, entities.conj()).real + popular[0][:, None] + popular[1]
    counts = np.geomspace(4, largest, num_relations).round().astype(int)
    best = [np.argsort(-score.ravel())[:count] for score, count in zip(scores, counts, strict=True)]
    pairs = np.concatenate(best)
    triples = np.stack([pairs // num_entities, np.repeat(np.arange(num_relations), counts), pairs % num_entities], axis=1)
    train, valid, test = np.split(draw.permutation(triples.astype(np.int32)), [int(0.8 * len(triples)), int(0.9 * len(triples))])
    names = [tuple(f"{kind} {i}" for i in range(n)) for kind, n in (("entity", num_entities), ("relation", num_relations))]
    return _named("made graph", TripleGraph(train, valid, test, *names))


def _named(name: str, graph: TripleGraph) -> KnownGraph:
    size = f"{graph.num_entities} entities, {graph.num_relations} predicates, {len(graph.train)} training triples"
    return KnownGraph(f"{name} ({size})", graph)


class PerceptualWorld(NamedTuple):
    """What concepts look like: features of entities `[n_E, d]` and of predicates `[n_P, d]`."""

    entities: np.ndarray
    predicates: np.ndarray

    def appearance(self, triples: Int[np.ndarray, "n 3"]) -> Float[np.ndarray, "n r_u"]:
        """`[f(s); f(o); f(p)]` of triples (subject, predicate, object), without noise.

        Raises:
            ValueError: if an id is out of range.
        """
        check_ids("entities", triples[:, ::2], len(self.entities))
        check_ids("predicates", triples[:, 1], len(self.predicates))
        s, p, o = np.asarray(triples).T
        return np.concatenate([self.entities[s], self.entities[o], self.predicates[p]], axis=1)


def perceptual_world(
    key: jax.Array, num_entities: int, num_predicates: int, features: int, classes: int = 0, within: float = 0.5
) -> PerceptualWorld:
    """Normal features; with classes, entities of a class share its mean and deviate from it by `within`.

    Args:
        key: for the draw, which is made on the host.
        num_entities, num_predicates, features: sizes.
        classes: entities take turns in them; 0 for entities that have nothing in common.
        within: standard deviation inside a class.

    Raises:
        ValueError: if a size is not positive, or classes is negative.
    """
    for name, size in (("num_entities", num_entities), ("num_predicates", num_predicates), ("features", features)):
        check_at_least(name, size)
    check_at_least("classes", classes, 0)
    draw = generator(key)
    entities = draw.standard_normal((num_entities, features), dtype=np.float32)
    if classes:
        means = draw.standard_normal((classes, features), dtype=np.float32)
        entities = means[np.arange(num_entities) % classes] + np.float32(within) * entities
    return PerceptualWorld(entities, draw.standard_normal((num_predicates, features), dtype=np.float32))
