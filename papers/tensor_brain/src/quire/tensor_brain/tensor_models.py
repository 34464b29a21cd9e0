"""Tensor models of the adjacency tensor of a knowledge graph: RESCAL, Tucker, DistMult, ComplEx, TransE, and CP with a time mode.

A score is the logit of a triple being true. All but TransE compare the object with a *query* made of subject and predicate,
`score = <query(a_s, p), a_o>`, so that all objects are scored by one product of matrices.
"""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, Num

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_ids, floating
from quire.common.random import generator
from quire.common.tensors.multilinear import cp_score, tucker_score
from quire.tensor_brain.index_layer import normal

Kind = Literal["rescal", "tucker", "distmult", "complex", "transe"]
KINDS = get_args(Kind)
Rows = Num[AnyArray, "*_ r"]
Ids = Int[AnyArray, " b"]
Number = Int[AnyArray, ""] | int


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
    """Embeddings of entities and relations, and the score of a kind, or of several.

    With several kinds, a number says which of them is meant; it may differ between the runs of one program.

    Args:
        kinds: name of the score, or names.
        num_entities, num_relations: sizes; count inverse relations in.
        r: rank, even for ComplEx.
        scale: standard deviation of the initial weights.
        rngs: random keys.

    Raises:
        ValueError: for another kind, a size below 1, or an odd rank of ComplEx.

    >>> model = KGModel("complex", 4, 2, 6, rngs=nnx.Rngs(0))
    >>> one = model.score(jnp.array([1]), jnp.array([0]), jnp.array([3]))
    >>> bool(jnp.allclose(one, model.object_scores(jnp.array([1]), jnp.array([0]))[0, 3]))
    True
    """

    def __init__(
        self, kinds: Kind | tuple[str, ...], num_entities: int, num_relations: int, r: int, *, scale: float = 0.1, rngs: nnx.Rngs
    ):
        self.kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
        if not self.kinds or not set(self.kinds) <= set(KINDS):
            raise ValueError(f"kinds is {kinds!r}; each must be one of {', '.join(KINDS)}")
        for name, size in (("num_entities", num_entities), ("num_relations", num_relations), ("r", r)):
            check_at_least(name, size)
        if "complex" in self.kinds and r % 2:
            raise ValueError(f"r is {r}; ComplEx needs an even one")
        draw = generator(rngs.params())
        self.entities = nnx.Param(normal(draw, (num_entities, r), scale))
        self.relations = nnx.Param(normal(draw, (num_relations, r), scale))
        self.matrices = nnx.Param(normal(draw, (num_relations, r, r) if "rescal" in self.kinds else (0,), scale))
        self.core = nnx.Param(normal(draw, (r, r, r) if "tucker" in self.kinds else (0,), scale))

    def score(self, s: Ids, p: Ids, o: Ids, kind: Number = 0) -> Float[Array, " b"]:
        """Scores of triples, in the kind of that number.

        Raises:
            ValueError: if an id is out of range.
        """
        self._check(s, p, kind)
        check_ids("o", o, len(self.entities[...]))
        a_s, a_o = self.entities[...][s], self.entities[...][o]
        scores = {"distmult": distmult_score, "complex": complex_score, "transe": transe_score, "rescal": rescal_score}

        def of(name):
            a_p = self._relation(name, p)
            return tucker_score(self.core[...], a_s, a_p, a_o) if name == "tucker" else scores[name](a_s, a_p, a_o)

        return self._switch(kind, of)

    def object_scores(self, s: Ids, p: Ids, kind: Number = 0) -> Float[Array, "b n_E"]:
        """Scores of every object for queries of subject and relation: one product of matrices.

        Raises:
            ValueError: if an id is out of range.
        """
        self._check(s, p, kind)
        everyone = self.entities[...]
        a_s = everyone[s]

        def of(name):
            a_p = self._relation(name, p)
            if name == "transe":
                return transe_score(a_s[:, None], a_p[:, None], everyone[None])
            return query(name, a_s, a_p, self.core[...]) @ everyone.T

        return self._switch(kind, of)

    def _relation(self, name, p):
        return (self.matrices if name == "rescal" else self.relations)[...][p]

    def _switch(self, kind, of):
        branches = [lambda name=name: of(name) for name in self.kinds]
        return branches[0]() if len(branches) == 1 else jax.lax.switch(kind, branches)

    def _check(self, s, p, kind) -> None:
        check_ids("s", s, len(self.entities[...]))
        check_ids("p", p, len(self.relations[...]))
        check_ids("kind", kind, len(self.kinds))


def query(kind: Kind, a_s: Rows, a_p: Num[AnyArray, "..."], core: Num[AnyArray, "..."]) -> Float[Array, "*_ r"]:
    """What is compared with the objects: the gradient of the score by `a_o`."""
    if kind == "rescal":
        return jnp.einsum("...a,...ab->...b", a_s, a_p)
    if kind == "tucker":
        return jnp.einsum("abc,...a,...b->...c", core, a_s, a_p, optimize="optimal")
    return complex_product(a_s, a_p) if kind == "complex" else jnp.multiply(a_s, a_p)
