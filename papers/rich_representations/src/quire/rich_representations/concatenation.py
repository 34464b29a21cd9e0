"""CATn: the representations of several training episodes side by side, and the head that makes them an ensemble."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Num

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, floating
from quire.common.train.seeds import stack


def cat_features(trunks: Sequence[Callable[[Array], Array]], x: Num[AnyArray, "batch ..."]) -> Float[Array, "batch features"]:
    """`phi(x) = [phi_1(x); ...; phi_n(x)]`, of representations of any sizes.

    Args:
        trunks: maps of a batch of inputs to features `[batch, f_i]`.
        x: a batch of inputs.

    Returns:
        `[batch, f_1 + ... + f_n]`.

    Raises:
        ValueError: without a trunk, or if one gives no rows of features.

    >>> cat_features([lambda x: 2 * x, lambda x: x[:, :1]], jnp.array([[1.0, 3.0]])).tolist()
    [[2.0, 6.0, 1.0]]
    """
    check_at_least("number of trunks", len(trunks))
    x = jnp.asarray(x)
    parts = [trunk(x) for trunk in trunks]
    if any(part.ndim != 2 or len(part) != len(x) for part in parts):
        raise ValueError(f"trunks gave shapes {[part.shape for part in parts]}; they need rows [{len(x)}, features]")
    return jnp.concatenate(parts, axis=1)


def cat_head(
    weights: Num[AnyArray, "n classes features"], biases: Num[AnyArray, "n classes"]
) -> tuple[Float[Array, "classes joint"], Float[Array, " classes"]]:
    """The head on CATn whose logits are the mean of the n models' logits: `W = [w_1, ..., w_n] / n`, `b = mean_i b_i`.

    The authors' `cat_weights`: where training on a concatenation starts.

    Args:
        weights, biases: heads of the n models.

    Returns:
        `[classes, n * features]` and `[classes]`.

    Raises:
        ValueError: without a model, or if the shapes do not fit.

    >>> w, b = cat_head(jnp.array([[[2.0, 4.0]], [[6.0, 8.0]]]), jnp.array([[1.0], [3.0]]))
    >>> w.tolist(), b.tolist()
    ([[1.0, 2.0, 3.0, 4.0]], [2.0])
    """
    if weights.ndim != 3 or biases.shape != weights.shape[:2]:
        raise ValueError(f"weights has shape {weights.shape} and biases {biases.shape}; they need [n, classes, f], [n, classes]")
    n = check_at_least("number of heads", len(weights))
    weights, biases = floating(weights, biases)
    return weights.transpose(1, 0, 2).reshape(weights.shape[1], -1) / n, biases.mean(axis=0)


class Concatenation(nnx.Module):
    """CATn of trunks of one architecture as one module: their variables are stacked, and one batched product serves all.

    Trained from scratch it is the wide and deep rival, n networks side by side with one head.

    Args:
        trunks: a module whose variables have a leading axis of parts; see `stack_trunks`.

    >>> from quire.rich_representations.networks import Perceptron
    >>> trunks = [Perceptron((4, 3), rngs=nnx.Rngs(seed)) for seed in range(2)]
    >>> x = jnp.ones((5, 4))
    >>> bool((stack_trunks(trunks)(x) == cat_features(trunks, x)).all())
    True
    """

    def __init__(self, trunks: nnx.Module):
        self.trunks = trunks

    def __call__(self, x: Num[AnyArray, "batch ..."]) -> Float[Array, "batch features"]:
        """Features `[batch, n f]`, the first part first."""
        parts = nnx.vmap(lambda trunk, x: trunk(x), in_axes=(0, None))(self.trunks, x)
        return jnp.moveaxis(parts, 0, 1).reshape(len(x), -1)


def stack_trunks(trunks: Sequence[nnx.Module]) -> Concatenation:
    """The concatenation of trunks of one architecture.

    Raises:
        ValueError: without a trunk, or if their variables differ in shape; `cat_features` joins those.
    """
    check_at_least("number of trunks", len(trunks))
    graphs, states = zip(*map(nnx.split, trunks), strict=True)
    shapes = [jax.tree.map(jnp.shape, nnx.to_pure_dict(state)) for state in states]
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError("trunks have variables of different shapes; stacking needs one architecture, cat_features does not")
    return concatenate(graphs[0], stack(states))


def concatenate(graph: nnx.GraphDef, states: Any) -> Concatenation:
    """The same from states `[n, ...]` that are stacked already."""
    return Concatenation(nnx.merge(graph, states))
