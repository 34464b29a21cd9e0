"""Two classes of nodes under diffusion: what plain diffusion smooths away, a sheaf keeps apart (section 3.2 of neural sheaf
diffusion).

The graph is bipartite, with two classes on each side. Both sides are judged apart: a bipartite graph has the eigenvalue -1, and
plain propagation swings between the sides.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from quire.common.checks import check_at_least, is_concrete
from quire.common.graphs.edges import Graph, bipartite
from quire.common.graphs.propagation import lightgcn_propagate
from quire.common.graphs.sheaf_layers import sheaf_step
from quire.common.graphs.sheaves import sheaf_laplacian


@partial(jax.tree_util.register_dataclass, data_fields=["graph", "x", "second"], meta_fields=["num_users"])
@dataclass(frozen=True)
class TwoClasses:
    """A bipartite graph with features of its nodes.

    Attributes:
        graph: users, then items.
        x: features `[n, channels]`.
        second: bool `[n]`, the class of every node.
        num_users: users.
    """

    graph: Graph
    x: Array
    second: Array
    num_users: int

    def sides(self) -> dict[str, slice]:
        """Rows of the users and of the items."""
        return {"users": slice(0, self.num_users), "items": slice(self.num_users, None)}


def two_classes(seed: int, num_users: int = 20, num_items: int = 30, *, density: float = 1.0, channels: int = 8) -> TwoClasses:
    """Random classes on both sides, features `N(0, 1) ± v / 2` with `v ~ N(0, 1)` for each channel.

    Args:
        seed: of the draw.
        num_users, num_items: sizes of the sides.
        density: share of the pairs that are edges.
        channels: of the features.

    Raises:
        ValueError: for a side of fewer than two, which would lack a class, no channels, or a density outside of 0 .. 1.
    """
    check_at_least("num_users", num_users, 2)
    check_at_least("num_items", num_items, 2)
    check_at_least("channels", channels)
    if not 0 <= density <= 1:
        raise ValueError(f"density is {density}; it must lie in [0, 1]")
    rng = np.random.default_rng(seed)
    n = num_users + num_items
    second = rng.integers(0, 2, n).astype(bool)
    second[[0, num_users]], second[[1, num_users + 1]] = False, True  # no side lacks a class
    x = rng.standard_normal((n, channels)) + 0.5 * np.where(second, 1, -1)[:, None] * rng.standard_normal(channels)
    chosen = rng.permutation(num_users * num_items)[: round(density * num_users * num_items)]
    user, item = np.divmod(np.sort(chosen), num_items)
    return TwoClasses(bipartite(user, item, num_users, num_items), jnp.asarray(x), jnp.asarray(second), num_users)


def class_maps(case: TwoClasses) -> Float[Array, " sides"]:
    """Scalar maps that know the classes: 1 at users; at items 1 towards a user of the same class and -1 towards the other."""
    user, item = case.graph.pairs
    same = case.second[user] == case.second[item]
    return jnp.concatenate([jnp.ones(len(user)), jnp.where(same, 1.0, -1.0)]).astype(case.x.dtype)


def diffuse(case: TwoClasses, form: str, steps: int) -> Float[Array, "steps n channels"]:
    """Features after 0, 1, ... steps.

    Args:
        case: graph and features.
        form: `"sheaf"` (`x - Delta x` with `class_maps`), `"plain"` (the same with maps of 1) or `"LightGCN"`.
        steps: number of steps.

    Raises:
        ValueError: for another form, or a negative number of steps.
    """
    if form not in ("sheaf", "plain", "LightGCN"):
        raise ValueError(f"form is {form!r}; it must be 'sheaf', 'plain' or 'LightGCN'")
    check_at_least("steps", steps, 0)
    maps = class_maps(case) if form == "sheaf" else jnp.ones(2 * case.graph.num_edges, case.x.dtype)
    laplacian = sheaf_laplacian(case.graph, maps, "scalar")

    def step(x, _):
        x = lightgcn_propagate(case.graph, x) if form == "LightGCN" else sheaf_step(laplacian, x, x)
        return x, x

    return jnp.concatenate([case.x[None], jax.lax.scan(step, case.x, length=steps)[1]])


def between_and_within(x: Float[Array, "n channels"], second: Bool[Array, " n"]) -> tuple[Array, Array]:
    """Distance of the class means, and root mean squared distance of the nodes to the mean of their class.

    Raises:
        ValueError: if there is not one class for every node, or all nodes are of one class, unless the classes are traced.
    """
    if second.shape != x.shape[:1]:
        raise ValueError(f"second has shape {second.shape}; the {len(x)} rows of x need one class each")
    if is_concrete(second) and len(np.unique(np.asarray(second))) != 2:
        raise ValueError(f"second is {bool(second[0])} for all {len(second)} nodes; both classes need one")
    weight = second.astype(x.dtype)[:, None]
    means = [jnp.sum(w * x, 0) / jnp.sum(w) for w in (1 - weight, weight)]
    own = jnp.where(second[:, None], means[1][None], means[0][None])
    return jnp.linalg.norm(means[1] - means[0]), jnp.sqrt(jnp.mean(jnp.sum((x - own) ** 2, -1)))


@partial(jax.jit, static_argnums=(1, 2))
def followed(case: TwoClasses, forms: tuple[str, ...], steps: int) -> dict[str, dict[str, tuple[Array, Array]]]:
    """`between_and_within` after every step, `[form][side]`."""
    result = {}
    for form in forms:
        states = diffuse(case, form, steps)
        result[form] = {
            side: jax.vmap(between_and_within, (0, None))(states[:, rows], case.second[rows])
            for side, rows in case.sides().items()
        }
    return result
