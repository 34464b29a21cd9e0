"""Graphs of knowledge: triples of subject, relation and object, with the parts that benchmarks are judged on."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from quire.common.checks import check_at_least, check_ids
from quire.common.data.archives import read_text
from quire.common.data.registry import fetch
from quire.common.errors import DatasetCorrupt

Triples = Int[np.ndarray, "_ 3"]
GRAPHS = ("nations", "kinship", "umls")


@dataclass(frozen=True)
class TripleGraph:
    """Triples `(subject, relation, object)` as ids, in three parts.

    Attributes:
        train, valid, test: int32 `[n, 3]`.
        entities, relations: their names, in the order of ids.
    """

    train: Triples
    valid: Triples
    test: Triples
    entities: tuple[str, ...]
    relations: tuple[str, ...]

    @property
    def num_entities(self) -> int:
        """How many entities all parts together have."""
        return len(self.entities)

    @property
    def num_relations(self) -> int:
        """How many relations all parts together have."""
        return len(self.relations)

    @property
    def all(self) -> Triples:
        """The triples of all parts."""
        return np.concatenate([self.train, self.valid, self.test])


def load_triples(name: str) -> TripleGraph:
    """Nations, Kinship or UMLS, three small benchmarks; names get their ids in alphabetical order.

    Raises:
        ValueError: for another name.
        DatasetUnavailable, DatasetCorrupt: as for every data set.
    """
    if name not in GRAPHS:
        raise ValueError(f"name is {name!r}; it must be one of {list(GRAPHS)}")
    parts = [read_triples(read_text(fetch("kg-small", f"{name}/{part}.txt"))) for part in ("train", "valid", "test")]
    return number_triples(*parts)


def read_triples(text: str) -> list[tuple[str, str, str]]:
    """Subject, relation and object a line, between them tabs.

    Raises:
        DatasetCorrupt: if a line is something else, or there is none.

    >>> read_triples("cat\\teats\\tmouse\\n")
    [('cat', 'eats', 'mouse')]
    """
    rows = []
    for number, line in enumerate(filter(None, text.splitlines()), 1):
        match line.split("\t"):
            case [subject, relation, object] if subject and relation and object:
                rows.append((subject, relation, object))
            case row:
                raise DatasetCorrupt(f"triple {number} is {tuple(row)}; it must be a subject, a relation and an object")
    if not rows:
        raise DatasetCorrupt("there is no triple")
    return rows


def number_triples(train: list[tuple], valid: list[tuple], test: list[tuple]) -> TripleGraph:
    """Named triples as a graph of ids."""
    named = [*train, *valid, *test]
    entities = sorted({name for s, _, o in named for name in (s, o)})
    relations = sorted({r for _, r, _ in named})
    entity, relation = ({name: i for i, name in enumerate(names)} for names in (entities, relations))
    parts = [
        np.array([(entity[s], relation[r], entity[o]) for s, r, o in part], np.int32).reshape(-1, 3)
        for part in (train, valid, test)
    ]
    return TripleGraph(*parts, tuple(entities), tuple(relations))


def with_inverses(triples: Triples, num_relations: int) -> Triples:
    """The triples and those read backwards, `(object, relation + num_relations, subject)`.

    A query for subjects becomes one for objects of the inverse relation.

    Raises:
        ValueError: if a relation is out of range.

    >>> with_inverses(np.array([[0, 1, 2]]), 3).tolist()
    [[0, 1, 2], [2, 4, 0]]
    """
    check_ids("relations", triples[:, 1], num_relations)
    return np.concatenate([triples, np.stack([triples[:, 2], triples[:, 1] + num_relations, triples[:, 0]], axis=1)])


def known_mask(triples: Triples, queries: Int[np.ndarray, "_ 2"], num_entities: int) -> Bool[np.ndarray, "_ _"]:
    """Which objects are known to be true for each query `(subject, relation)`: those that a filtered ranking leaves out.

    Args:
        triples: all that is known.
        queries: subject and relation.
        num_entities: of the graph.

    Raises:
        ValueError: if a subject or an object is out of range.

    >>> known_mask(np.array([[0, 1, 2], [0, 1, 0], [1, 1, 1]]), np.array([[0, 1], [2, 0]]), 3).tolist()
    [[True, False, True], [False, False, False]]
    """
    check_at_least("num_entities", num_entities)
    check_ids("entities", triples[:, ::2], num_entities)
    check_ids("subjects", np.asarray(queries)[:, 0], num_entities)
    objects: dict[tuple[int, int], list[int]] = {}
    for s, r, o in triples.tolist():
        objects.setdefault((s, r), []).append(o)
    mask = np.zeros((len(queries), num_entities), bool)
    for row, query in zip(mask, np.asarray(queries).tolist(), strict=True):
        row[objects.get(tuple(query), [])] = True
    return mask
