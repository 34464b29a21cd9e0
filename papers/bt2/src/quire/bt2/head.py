"""The head: a new part, a few extra dimensions, and two changes of basis between them."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Num

from quire.bt2.orthogonal_linear import OrthogonalLinear, Parametrisation, nearest_orthonormal
from quire.common.checks import check_at_least, check_positive, floating
from quire.common.layers.initialisers import normal
from quire.common.layers.nested import unit_rows


class BT2Out(NamedTuple):
    """What the head makes of features.

    Attributes:
        logits: of the new part.
        compat: b, the first d_o numbers of the embedding, which are compared with old vectors.
        new_part: h, which has the geometry of an independently trained model.
        embedding: phi_new, for galleries of its own kind.
    """

    logits: Float[Array, "*batch classes"]
    compat: Float[Array, "*batch d_old"]
    new_part: Float[Array, "*batch d_new"]
    embedding: Float[Array, "*batch d_out"]


def basis_transformation(
    new_part: Float[Array, "*batch d_new"],
    old_part: Float[Array, "*batch extra"],
    first: Float[Array, "d_new d_new"],
    second: Float[Array, "d_old d_old"],
    scale: float | Array,
) -> Float[Array, "*batch d_out"]:
    """`[Q n_(1..d_o) ; n_(d_o+1..)]` of `n = [o / |o| ; P (C h)]`.

    Nothing is lost: `<phi(x), phi(y)> = <o_x, o_y> / (|o_x| |o_y|) + C^2 <h_x, h_y>`, whatever the bases are.

    Args:
        new_part: h.
        old_part: o, the a extra dimensions; a zero vector stays zero.
        first: P, orthonormal.
        second: Q, orthonormal; `a <= d_o <= a + d`.
        scale: C.

    Returns:
        `[*batch, d + a]`; the first d_o numbers are the part that old vectors are compared with.

    Raises:
        ValueError: if the sizes do not fit.

    >>> turn = jnp.array([[0.0, -1.0], [1.0, 0.0]])
    >>> print(basis_transformation(jnp.array([0.6, 0.8]), jnp.array([5.0]), jnp.eye(2), turn, 2.0))
    [-1.2  1.   1.6]
    """
    check_sizes(new_part.shape[-1], len(second), old_part.shape[-1])
    if first.shape != (new_part.shape[-1],) * 2:
        raise ValueError(f"first has shape {first.shape}; new_part has {new_part.shape[-1]} numbers")
    rotated = jnp.concatenate([unit_rows(old_part), scale * new_part @ first.T], axis=-1)
    mixed, rest = jnp.split(rotated, [len(second)], axis=-1)  # the rest may be empty, and then is
    return jnp.concatenate([mixed @ second.T, rest], axis=-1)


def check_sizes(d_new: int, d_old: int, extra: int) -> None:
    """Sizes of a head.

    Raises:
        ValueError: unless `1 <= extra <= d_old <= extra + d_new`.
    """
    if not 1 <= extra <= d_old <= extra + d_new:
        raise ValueError(f"extra is {extra}, d_old {d_old}, d_new {d_new}; it needs 1 <= extra <= d_old <= extra + d_new")


class BT2Head(nnx.Module):
    """Features to an embedding of `d + a` numbers, of which the first d_o can be compared with the vectors of an old model.

    `h = f_(1..d)`, `o = W relu(f) + b`, both scaled to length 1, then `basis_transformation`; logits are `W_out h`.

    The features come from the last layer of a backbone, which has to end in `d + d_o` numbers.

    Args:
        d_new: d, the size of the independently trained new model, since h learns from its vectors.
        d_old: d_o, the size of the old vectors.
        num_classes: of the logits.
        extra: a, dimensions that the embedding has more than the new model.
        scale: C, the length of the new part beside the extra part of length 1; larger favours the new geometry.
        normalize: whether h has length 1. The extra part has in any case.
        method: of both changes of basis, see `OrthogonalLinear`.
        rngs: for the initial weights.

    Raises:
        ValueError: unless `1 <= extra <= d_old <= extra + d_new`, for fewer than two classes or a scale that is not positive;
            when called, if the features have another size.

    Differs from the authors' code: of their W, `[d_o, d + d_o]`, only the first a rows reach the output, and only those are here;
    vectors shorter than 1e-12 are scaled to length 1 as well; where `d_o = a + d` nothing is left behind the compatible part, and
    their slice `[-0:]` would repeat all of it.

    >>> head = BT2Head(d_new=16, d_old=12, num_classes=10, extra=4, scale=2.0, rngs=nnx.Rngs(0))
    >>> out = head(jnp.linspace(0, 1, 28)[None])
    >>> out.embedding.shape, out.compat.shape, f"{jnp.sum(out.embedding**2):.4f}"
    ((1, 20), (1, 12), '5.0000')
    """

    def __init__(
        self,
        d_new: int,
        d_old: int,
        num_classes: int,
        *,
        extra: int = 32,
        scale: float = 3.0,
        normalize: bool = True,
        method: Parametrisation = "expm",
        rngs: nnx.Rngs,
    ):
        check_sizes(d_new, d_old, extra)
        check_at_least("num_classes", num_classes, 2)
        self.d_new, self.d_old, self.extra = d_new, d_old, extra
        self.scale, self.normalize = check_positive("scale", scale), normalize
        width = d_new + d_old
        self.projection = nnx.Linear(width, extra, kernel_init=normal(width**-0.5), rngs=rngs)
        self.first = OrthogonalLinear(d_new, method, rngs=rngs)
        self.second = OrthogonalLinear(d_old, method, rngs=rngs)
        self.classifier = nnx.Linear(d_new, num_classes, use_bias=False, kernel_init=normal(d_new**-0.5), rngs=rngs)

    def __call__(self, features: Num[Array, "*batch width"], scale: float | Array | None = None) -> BT2Out:
        """See `BT2Out`; another `scale` than that of the head may be given."""
        new_part, old_part = self.parts(features)
        first, second = self.first.matrix, self.second.matrix
        embedding = basis_transformation(new_part, old_part, first, second, self.scale if scale is None else scale)
        return BT2Out(self.classifier(new_part), embedding[..., : self.d_old], new_part, embedding)

    def parts(self, features: Num[Array, "*batch width"]) -> tuple[Float[Array, "*batch d_new"], Float[Array, "*batch extra"]]:
        """h and o of features."""
        width = self.d_new + self.d_old
        if features.ndim == 0 or features.shape[-1] != width:
            raise ValueError(f"features has shape {features.shape}; its last axis needs d_new + d_old = {width} numbers")
        return _parts(floating(features)[0], self.projection, self.d_new, self.normalize)

    def folded(self) -> "FoldedHead":
        """The head for serving; both bases are made orthonormal anew."""
        assert self.projection.bias is not None
        first, second = (nearest_orthonormal(layer.matrix) for layer in (self.first, self.second))
        size = self.d_new + self.extra
        one = jnp.eye(size, dtype=first.dtype)
        inner = one.at[self.extra :, self.extra :].set(self.scale * first)
        outer = one.at[: self.d_old, : self.d_old].set(second)
        return FoldedHead(self.projection.kernel[...], self.projection.bias[...], (outer @ inner).T, self.normalize)


@dataclass(frozen=True)
class FoldedHead:
    """What is left of a head for serving: P, Q and C are one matrix, and there is no classifier.

    Attributes:
        kernel, bias: of the extra dimensions, `[d + d_o, a]` and `[a]`.
        matrix: `[a + d, a + d]`, applied to `[o ; h]` from the right.
        normalize: whether h is scaled to length 1.
    """

    kernel: Float[Array, "width extra"]
    bias: Float[Array, " extra"]
    matrix: Float[Array, "d_out d_out"]
    normalize: bool

    def __call__(self, features: Num[Array, "*batch width"]) -> Float[Array, "*batch d_out"]:
        """phi_new of features.

        Raises:
            ValueError: if the features have another size.
        """
        if features.ndim == 0 or features.shape[-1] != len(self.kernel):
            raise ValueError(f"features has shape {features.shape}; its last axis needs {len(self.kernel)} numbers")
        d_new = len(self.matrix) - len(self.bias)
        new, old = _parts(floating(features)[0], self._project, d_new, self.normalize)
        return jnp.concatenate([unit_rows(old), new], axis=-1) @ self.matrix

    def _project(self, x):
        old = x @ self.kernel
        return old + jnp.broadcast_to(self.bias, old.shape)


def _parts(features, projection, d_new, normalize):
    new_part = features[..., :d_new]
    return unit_rows(new_part) if normalize else new_part, projection(jax.nn.relu(features))
