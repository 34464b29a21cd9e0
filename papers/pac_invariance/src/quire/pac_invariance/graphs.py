"""Models to try things on: random graphs of bounded in-degree, chain, fork, collider, and two paths that cancel."""

import jax
import numpy as np
from jaxtyping import Int

from quire.common.checks import check_at_least
from quire.common.random import generator
from quire.pac_invariance.sem import LinearSEM


def random_sem(key: jax.Array, p: int, in_degree: int = 2) -> LinearSEM:
    """A random model whose nodes have `in_degree` parents, as far as there are nodes before them.

    Weights are uniform on [0.5, 1.5] with random signs, variances uniform on [0.5, 1.5]; then every node is scaled to variance 1.
    The target is a node with at least one parent and one child, at random.

    Args:
        key: for graph, weights and target.
        p: nodes, at least 3.
        in_degree: largest number of parents.

    Raises:
        ValueError: for fewer nodes or an in-degree below 1.

    >>> sem = random_sem(jax.random.key(0), 8)
    >>> (sem.A != 0).sum(1).max(), sem.parents.size > 0, sem.children.size > 0
    (np.int64(2), True, True)
    """
    check_at_least("p", p, 3)
    check_at_least("in_degree", in_degree)
    draw = generator(key)
    before = np.tri(p, k=-1, dtype=bool)
    rank = np.where(before, draw.random((p, p)), np.inf).argsort(1).argsort(1)  # a random order of the nodes before each
    A = np.where(before & (rank < in_degree), draw.uniform(0.5, 1.5, (p, p)) * draw.choice([-1, 1], (p, p)), 0)
    between = np.flatnonzero(A.any(0) & A.any(1))
    return LinearSEM(A, draw.uniform(0.5, 1.5, p), int(draw.choice(between))).standardised()


def chain(p: int, *, weight: float = 1.0) -> LinearSEM:
    """`0 -> 1 -> ... -> p - 1` with the target in the middle.

    >>> chain(3).parents.tolist(), chain(3).children.tolist()
    ([0], [2])
    """
    check_at_least("p", p, 2)
    return LinearSEM(weight * np.eye(p, k=-1), np.ones(p), p // 2)


def fork(p: int, *, weight: float = 1.0) -> LinearSEM:
    """Node 0 is the parent of all others; the target is node 1, whose siblings predict it and do not cause it.

    >>> fork(4).parents.tolist(), fork(4).children.tolist()
    ([0], [])
    """
    check_at_least("p", p, 2)
    A = np.zeros((p, p))
    A[1:, 0] = weight
    return LinearSEM(A, np.ones(p), 1)


def collider(p: int, *, weight: float = 1.0) -> LinearSEM:
    """The last node is the child of all others, of the target 0 too: given the child, the others predict the target.

    >>> collider(4).parents.tolist(), collider(4).children.tolist()
    ([], [3])
    """
    check_at_least("p", p, 2)
    A = np.zeros((p, p))
    A[-1, :-1] = weight
    return LinearSEM(A, np.ones(p), 0)


def cancelling(sem: LinearSEM, *, strength: float = 1.0) -> LinearSEM:
    """The model with a cause of the target that does not correlate with it: its two paths cancel, against faithfulness.

    Node 0, which has no parent, and node 1 become the parents of the target; 0 acts through 1 as much as it acts directly, with
    the opposite sign. The nodes between keep their equations.

    Args:
        sem: a model whose target is node 2 or later.
        strength: weights of the edges from 0 to 1 and from 1 to the target.

    Returns:
        The changed model, scaled to variances of 1.

    Raises:
        ValueError: if there are not two nodes before the target.

    >>> model = cancelling(chain(5))
    >>> model.parents.tolist(), print(f"{abs(model.cov()[0, model.target]):.6f}")
    0.000000
    ([0, 1], None)
    """
    if sem.target < 2:
        raise ValueError(f"target is {sem.target}; two nodes must come before it")
    A = sem.A.copy()
    A[1], A[sem.target] = 0, 0
    A[1, 0], A[sem.target, 1], A[sem.target, 0] = strength, strength, -(strength**2)
    return LinearSEM(A, sem.noise_var, sem.target).standardised()


def nearest_nodes(sem: LinearSEM, count: int) -> Int[np.ndarray, " count"]:
    """The nodes nearest to the target, along edges in either direction; children come before parents.

    Args:
        sem: the model.
        count: how many.

    Raises:
        ValueError: if fewer nodes are connected to the target.

    >>> nearest_nodes(chain(5), 3).tolist()
    [3, 1, 4]
    """
    check_at_least("count", count)
    found = [sem.target]
    for node in found:  # grows: breadth first
        near = [*np.flatnonzero(sem.A[:, node]), *np.flatnonzero(sem.A[node])]
        found.extend(i for i in near if i not in found)
    if len(found) <= count:
        raise ValueError(f"count is {count}; {len(found) - 1} nodes are connected to the target")
    return np.array(found[1 : count + 1])
