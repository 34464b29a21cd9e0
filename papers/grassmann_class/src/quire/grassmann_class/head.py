"""Heads: a subspace for every class, and the class vectors that it is compared with."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Num

from quire.common.checks import check_at_least, check_positive
from quire.common.layers.class_heads import cosine_logits, subspace_logits
from quire.common.manifolds.grassmann import random_subspaces

Features = Num[Array, "n dim"]
Logits = Float[Array, "n classes"]


class GrassmannHead(nnx.Module):
    """Each class a subspace: `logit_c = gamma |S_c^T x / |x||`, the length of the projection of a direction on it. (3)

    Turning a basis within its subspace changes no logit. With k = 1 it is the absolute value of a cosine.

    Args:
        dim: d, of the features.
        classes: C.
        k: dimension of the subspaces, one for all or one for each class.
        gamma: the largest logit.
        rngs: for the initial subspaces, uniform on the manifold.

    Attributes:
        subspaces: orthonormal bases `[C, d, max k]`; a class of fewer dimensions has columns of zeros at the end, which neither
            its gradient nor `rsgd` moves.

    Raises:
        ValueError: for a k that is not in `1..dim` or not one for each class, a gamma that is not positive, or no classes.

    >>> head = GrassmannHead(6, 3, k=2, rngs=nnx.Rngs(0))
    >>> inside = head.subspaces[...][1, :, 0]
    >>> print(f"{head(5 * inside[None])[0, 1]:.2f}")
    25.00

    References:
        Section 3.2. The authors' code keeps the bases as rows, `[C k, d]`; see `load_head`.
    """

    def __init__(self, dim: int, classes: int, k: int | Sequence[int] = 8, gamma: float = 25.0, *, rngs: nnx.Rngs):
        check_at_least("classes", classes)
        dims = (k,) * classes if isinstance(k, int) else tuple(k)
        if len(dims) != classes or not 1 <= min(dims) <= max(dims) <= dim:
            raise ValueError(f"k is {k}; it must lie in 1..{dim} (dim), one for all {classes} classes or one for each")
        self.dims, self.gamma = dims, check_positive("gamma", gamma)
        bases = random_subspaces(rngs.params(), (classes, dim, max(dims)))
        keep = np.arange(max(dims)) < np.array(dims)[:, None]
        self.subspaces = nnx.Param(bases * keep[:, None].astype(np.float32))

    def __call__(self, x: Features) -> Logits:
        """Logits in `[0, gamma]`."""
        return subspace_logits(x, self.subspaces[...], self.gamma)


class VectorHead(nnx.Module):
    """Each class a vector: `logits = x W^T + b`, or `gamma` times the cosine, by a flag that may be traced.

    Args:
        dim: d, of the features.
        classes: C.
        gamma: scale of the cosines.
        rngs: for the initial weights, uniform in `± 1 / sqrt(d)`.

    Raises:
        ValueError: if a size or gamma is not positive.

    >>> VectorHead(4, 3, rngs=nnx.Rngs(0))(jnp.ones((2, 4))).shape
    (2, 3)
    """

    def __init__(self, dim: int, classes: int, gamma: float = 25.0, *, rngs: nnx.Rngs):
        check_at_least("dim", dim)
        check_at_least("classes", classes)
        self.gamma = check_positive("gamma", gamma)
        self.kernel = nnx.Param(jax.random.uniform(rngs.params(), (classes, dim), minval=-1.0, maxval=1.0) * dim**-0.5)
        self.bias = nnx.Param(jnp.zeros(classes))

    def __call__(self, x: Features, cosine: bool | Array = False) -> Logits:
        """Logits of the linear softmax, or of the cosine softmax."""
        kernel = self.kernel[...]
        return jnp.where(cosine, cosine_logits(x, kernel, self.gamma), x @ kernel.T + self.bias[...][None])
