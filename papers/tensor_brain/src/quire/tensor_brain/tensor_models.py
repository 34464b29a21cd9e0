"""Tensor models of the adjacency tensor of a knowledge graph: RESCAL, Tucker, DistMult, ComplEx, TransE, and CP with a time mode.

A score is the logit of a triple being true. All but TransE compare the object with a *query* made of subject and predicate,
`score = <query(a_s, p), a_o>`, so that all objects are scored by one product of matrices.
"""

from typing import Literal, get_args

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, Num

from quire.common.checks import check_at_least, check_ids, floating
from quire.common.random import generator
from quire.common.tensors.multilinear import cp_score, tucker_score
from quire.tensor_brain.index_layer import normal
from quire.tensor_brain.representation import AnyArray

Kind = Literal["rescal", "tucker", "distmult", "complex", "transe"]
KINDS = get_args(Kind)
Rows = Num[AnyArray, "*_ r"]


def rescal_score(a_s: Rows, R_p: Num[AnyArray, "*_ r r"], a_o: Rows) -> Float[Array, "*_"]:
    """`a_s^T R_p a_o`."""
    return jnp.einsum("...a,...ab,...b->...", *floating(a_s, R_p, a_o))


def distmult_score(a_s: Rows, a_p: Rows, a_o: Rows) -> Float[Array, "*_"]:
    """`sum_i a_s a_p a_o`: the same for subject and object exchanged.

    >>> float(distmult_score(jnp.array([1.0, 2.0]), jnp.array([1.0, 1.0]), jnp.array([3.0, 4.0])))
    11.0
    """
    return cp_score(*floating(a_s, a_p, a_o))


def complex_score(a_s: Rows, a_p: Rows, a_o: Rows) -> Float[Array, "*_"]:
    """`Re(sum_i a_s a_p conj(a_o))`, the first half of each row real, the second imaginary.

    Raises:
        ValueError: if r is odd.

    >>> float(complex_score(jnp.array([1.0, 2.0]), jnp.array([0.0, 1.0]), jnp.array([3.0, 4.0])))
    -2.0
    """
    return cp_score(complex_product(a_s, a_p), *floating(a_o))


def complex_product(x: Rows, y: Rows) -> Float[Array, "*_ r"]:
    """Product of complex rows, halves real and imaginary.

    Raises:
        ValueError: if r is odd.
    """
    if x.shape[-1] % 2:
        raise ValueError(f"r is {x.shape[-1]}; rows of real and imaginary halves need an even one")
    (xr, xi), (yr, yi) = (jnp.split(z, 2, axis=-1) for z in floating(x, y))
    return jnp.concatenate([xr * yr - xi * yi, xr * yi + xi * yr], axis=-1)


def transe_score(a_s: Rows, a_p: Rows, a_o: Rows) -> Float[Array, "*_"]:
    """`-||a_s + a_p - a_o||_1`.

    >>> float(transe_score(jnp.array([1.0, 2.0]), jnp.array([1.0, 0.0]), jnp.array([2.0, 1.0])))
    -1.0
    """
    a_s, a_p, a_o = floating(a_s, a_p, a_o)
    return -jnp.abs(a_s + a_p - a_o).sum(-1)


def episodic_score(a_s: Rows, a_p: Rows, a_o: Rows, a_t: Rows) -> Float[Array, "*_"]:
    """CP with a time mode, `sum_i a_s a_p a_o a_t`: was the triple true at that time?"""
    return cp_score(*floating(a_s, a_p, a_o, a_t))


class KGModel(nnx.Module):
    """Embeddings of entities and relations, and the score of a kind.

    Args:
        kind: of the score.
        n_entities, n_relations: sizes; count inverse relations in.
        r: rank, even for ComplEx.
        scale: standard deviation of the initial weights.
        rngs: random keys.

    Raises:
        ValueError: for another kind, a size below 1, or an odd rank of ComplEx.
    """

    def __init__(self, kind: Kind, n_entities: int, n_relations: int, r: int, *, scale: float = 0.1, rngs: nnx.Rngs):
        if kind not in KINDS:
            raise ValueError(f"kind is {kind!r}; it must be one of {', '.join(KINDS)}")
        for name, size in (("n_entities", n_entities), ("n_relations", n_relations), ("r", r)):
            check_at_least(name, size)
        if kind == "complex" and r % 2:
            raise ValueError(f"r is {r}; ComplEx needs an even one")
        draw, self.kind = generator(rngs.params()), kind
        self.entities = nnx.Param(normal(draw, (n_entities, r), scale))
        self.relations = nnx.Param(normal(draw, (n_relations, *((r, r) if kind == "rescal" else (r,))), scale))
        self.core = nnx.Param(normal(draw, (r, r, r) if kind == "tucker" else (0,), scale))

    def score(self, s: Int[AnyArray, " b"], p: Int[AnyArray, " b"], o: Int[AnyArray, " b"]) -> Float[Array, " b"]:
        """Scores of triples.

        Raises:
            ValueError: if an id is out of range.
        """
        self._check(s, p)
        check_ids("o", o, len(self.entities[...]))
        a_s, a_p, a_o = self.entities[...][s], self.relations[...][p], self.entities[...][o]
        if self.kind == "tucker":
            return tucker_score(self.core[...], a_s, a_p, a_o)
        scores = {"rescal": rescal_score, "distmult": distmult_score, "complex": complex_score, "transe": transe_score}
        return scores[self.kind](a_s, a_p, a_o)

    def object_scores(self, s: Int[AnyArray, " b"], p: Int[AnyArray, " b"]) -> Float[Array, "b n_E"]:
        """Scores of every object for queries of subject and relation: one product of matrices.

        Raises:
            ValueError: if an id is out of range.
        """
        self._check(s, p)
        a_s, a_p, everyone = self.entities[...][s], self.relations[...][p], self.entities[...]
        if self.kind == "transe":
            return transe_score(a_s[:, None], a_p[:, None], everyone[None])
        return query(self.kind, a_s, a_p, self.core[...]) @ everyone.T

    def _check(self, s, p) -> None:
        check_ids("s", s, len(self.entities[...]))
        check_ids("p", p, len(self.relations[...]))


def query(kind: Kind, a_s: Rows, a_p: Num[AnyArray, "..."], core: Num[AnyArray, "..."]) -> Float[Array, "*_ r"]:
    """What is compared with the objects: the gradient of the score by `a_o`."""
    if kind == "rescal":
        return jnp.einsum("...a,...ab->...b", a_s, a_p)
    if kind == "tucker":
        return jnp.einsum("abc,...a,...b->...c", core, a_s, a_p, optimize="optimal")
    return complex_product(a_s, a_p) if kind == "complex" else a_s * a_p
