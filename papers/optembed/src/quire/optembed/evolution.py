"""Evolution of dimensions: pure functions of a key, all candidates of a generation in one call of their fitness.

Two slips of the released code are not repeated. There, mutation writes into its parents, so that a parent and its child are one
array; and the cut of a crossover is drawn from `1 .. D` rather than from `1 .. F`, so that with `D > F` most children are copies.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, floating
from quire.common.random import draw_together

Fitness = Callable[[Int[Array, "n fields"]], Float[Array, " n"]]
"""Candidates to numbers, larger is better; traceable."""


class Evolved(NamedTuple):
    """What a search has seen.

    Attributes:
        best: the first candidate of the highest fitness, int32 `[fields]`.
        fitness: of it; NaN where no candidate had another.
        candidates: int32 `[generations, population, fields]`.
        history: their fitness `[generations, population]`.
    """

    best: Int[Array, " fields"]
    fitness: Float[Array, ""]
    candidates: Int[Array, "generations population fields"]
    history: Float[Array, "generations population"]


def uniform_integers(uniform: Float[AnyArray, "*shape"], low: int, high: int) -> Int[Array, "*shape"]:
    """Integers `low .. high - 1` from numbers in [0, 1)."""
    return jnp.minimum(low + jnp.floor(jnp.asarray(uniform) * (high - low)).astype(jnp.int32), high - 1)


def random_candidates(key: jax.Array, count: int, fields: int, dim: int) -> Int[Array, "count fields"]:
    """Candidates with c uniform in `0 .. dim - 1`, field by field."""
    return uniform_integers(jax.random.uniform(key, (count, fields)), 0, dim)


def mutated(
    parents: Int[AnyArray, "n fields"],
    chance: Float[AnyArray, "n fields"],
    value: Float[AnyArray, "n fields"],
    dim: int,
    probability: float,
) -> Int[Array, "n fields"]:
    """Each field is drawn anew, from `1 .. dim - 1`, with a probability.

    Args:
        parents: candidates.
        chance, value: uniform numbers, which field changes and to what.
        dim: D. With one dimension nothing changes.
        probability: of a change.

    >>> parents = jnp.zeros((1, 3), int)
    >>> print(mutated(parents, jnp.array([[0.05, 0.5, 0.01]]), jnp.array([[0.0, 0.3, 0.99]]), 8, 0.1), parents)
    [[1 0 7]] [[0 0 0]]
    """
    drawn = uniform_integers(value, min(1, dim - 1), dim)
    return jnp.where(jnp.asarray(chance) < probability, drawn, parents)


def crossed(
    parents: Int[AnyArray, "n fields"], order: Float[AnyArray, "n n"], cut: Float[AnyArray, " children"]
) -> Int[Array, "children fields"]:
    """Children with the first fields of one parent and the rest of another, cut at a point in `1 .. fields`.

    Args:
        parents: candidates.
        order: uniform numbers, one a pair of parents: the pairs with the smallest are taken, none twice.
        cut: uniform numbers, one a child.

    >>> print(crossed(jnp.array([[0, 0, 0], [5, 5, 5]]), jnp.array([[0.9, 0.1], [0.8, 0.7]]), jnp.array([0.4])))
    [[0 0 5]]
    """
    parents, fields = jnp.asarray(parents), parents.shape[1]
    pair = jnp.argsort(jnp.asarray(order).reshape(-1))[: len(cut)]
    head, tail = parents[pair // len(parents)], parents[pair % len(parents)]
    point = uniform_integers(cut, 1, fields + 1)
    return jnp.where(jnp.arange(fields)[None] < point[:, None], head, tail)


def evolve(
    fitness: Fitness,
    fields: int,
    dim: int,
    key: jax.Array,
    *,
    generations: int = 30,
    keep: int = 0,
    mutation: int = 10,
    crossover: int = 10,
    probability: float = 0.1,
) -> Evolved:
    """Search the dimensions of every field. Wrap it in `jax.jit`: it is one scan, and one key makes all of its draws.

    A generation is sorted by fitness; the first `keep` stay, the first `mutation` mutate, and the first `crossover + 1`
    cross. The best of all generations is remembered.

    Args:
        fitness: of candidates, `[n, fields] -> [n]`.
        fields: F.
        dim: D; candidates hold c, the last dimension that is kept, in `0 .. D - 1`.
        key: of all draws.
        generations: that are judged, the first of them random.
        keep, mutation, crossover: how the next one is made; their sum is the population.
        probability: that a field mutates.

    Raises:
        ValueError: for a size below 1, a population of none, a probability outside [0, 1], or more crossovers than pairs.

    >>> found = evolve(lambda c: -jnp.abs(c - 3).sum(1), 4, 8, jax.random.key(0), generations=20)
    >>> found.best.shape, found.history.shape, bool(found.fitness == found.history.max())
    ((4,), (20, 20), True)

    References:
        Guo et al., *Single path one-shot neural architecture search with uniform sampling*, 2020, whose search the authors take.
    """
    population = _check_sizes(fields, dim, generations, keep, mutation, crossover, probability)
    crossing = min(population, crossover + 1)
    shapes = [(mutation, fields), (mutation, fields), (crossing, crossing), (crossover,)]
    start, later = jax.random.split(key)

    def generation(candidates, key):
        (scores,) = floating(fitness(candidates))
        ranked = candidates[jnp.argsort(-scores)]  # what is not a number comes last
        chance, value, order, cut = draw_together(lambda shape: jax.random.uniform(key, shape), shapes)
        mutants = mutated(ranked[:mutation], chance, value, dim, probability)
        children = crossed(ranked[:crossing], order, cut)
        return jnp.concatenate([ranked[:keep], mutants, children]), (candidates, scores)

    first = random_candidates(start, population, fields, dim)
    _, (candidates, history) = jax.lax.scan(generation, first, jax.random.split(later, generations))
    return _best(candidates, history)


def random_search(fitness: Fitness, fields: int, dim: int, key: jax.Array, *, generations: int, population: int) -> Evolved:
    """As many random candidates as an evolution sees, and the best of them: the ablation.

    Raises:
        ValueError: for a size below 1.
    """
    _check_sizes(fields, dim, generations, population, 0, 0, 0.0)
    drawn = random_candidates(key, generations * population, fields, dim).reshape(generations, population, fields)
    return _best(drawn, *floating(jax.lax.map(fitness, drawn)))


def _best(candidates, history) -> Evolved:
    place = jnp.argmax(jnp.where(jnp.isnan(history), -jnp.inf, history).reshape(-1))
    return Evolved(candidates.reshape(-1, candidates.shape[-1])[place], history.reshape(-1)[place], candidates, history)


def _check_sizes(fields, dim, generations, keep, mutation, crossover, probability) -> int:
    for name, value in (("fields", fields), ("dim", dim), ("generations", generations)):
        check_at_least(name, value)
    for name, value in (("keep", keep), ("mutation", mutation), ("crossover", crossover)):
        check_at_least(name, value, 0)
    population = check_at_least("population", keep + mutation + crossover)
    if not 0 <= probability <= 1:
        raise ValueError(f"probability is {probability}; it must lie between 0 and 1")
    pairs = min(population, crossover + 1) ** 2
    if crossover > pairs:
        raise ValueError(f"crossover is {crossover}; a population of {population} has {pairs} pairs")
    return population
