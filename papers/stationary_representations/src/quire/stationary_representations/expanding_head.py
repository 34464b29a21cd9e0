"""The classifier that fixed ones replace: it learns, and grows by rows for the classes of every task."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from quire.common.checks import check_at_least
from quire.common.layers.initialisers import normal


class ExpandingHead(nnx.Module):
    """Logits `z W^T` of learned rows, one for every class so far, without bias.

    Args:
        dim: of the features.
        num_classes: of the first task.
        rngs: for the initial weights, whose variance is that of PyTorch's linear maps.

    Raises:
        ValueError: for sizes below 1; when called, for features of another dimension.

    >>> head = ExpandingHead(4, 10, rngs=nnx.Rngs(0))
    >>> first = head.kernel[...]
    >>> head.expand(15, rngs=nnx.Rngs(1))
    >>> head(jnp.ones((2, 4))).shape, bool((head.kernel[:10] == first).all())
    ((2, 25), True)
    """

    def __init__(self, dim: int, num_classes: int, *, rngs: nnx.Rngs):
        check_at_least("dim", dim)
        check_at_least("num_classes", num_classes)
        self.kernel = nnx.Param(normal((3 * dim) ** -0.5)(rngs.params(), (num_classes, dim)))

    def expand(self, count: int, *, rngs: nnx.Rngs) -> None:
        """Append rows for `count` further classes; those that are there stay. An optimiser has to be made anew.

        Raises:
            ValueError: for a count below 1.
        """
        new = ExpandingHead(self.kernel.shape[1], check_at_least("count", count), rngs=rngs)
        self.kernel = nnx.Param(jnp.concatenate([self.kernel[...], new.kernel[...].astype(self.kernel.dtype)]))

    def __call__(self, z: Float[Array, "*batch dim"]) -> Float[Array, "*batch classes"]:
        """Logits of all classes so far."""
        if z.shape[-1] != self.kernel.shape[1]:
            raise ValueError(f"z has dimension {z.shape[-1]}; the classifier has {self.kernel.shape[1]}")
        return z @ self.kernel[...].T
