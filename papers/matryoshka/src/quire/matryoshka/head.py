"""Linear classifiers on every prefix of an embedding: one each (MRL), or slices of a single one (MRL-E)."""

from collections.abc import Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Num

from quire.common.checks import check_at_least, floating
from quire.common.layers.nested import check_sizes, prefixes
from quire.common.random import draw_together

Kernel = Num[Array, "_ classes"]
Bias = Num[Array, " classes"]


def prefix_logits(
    z: Num[Array, "*batch dim"], kernels: Sequence[Kernel], biases: Sequence[Bias] | None = None
) -> Float[Array, "sizes *batch classes"]:
    """MRL: `logits_m = z_{1:m} W_m + b_m`, a classifier for each size.

    Args:
        z: embeddings.
        kernels: W_m `[m, classes]`; their lengths are the sizes, which increase.
        biases: b_m.

    Returns:
        Logits, the sizes first.

    Raises:
        ValueError: if the sizes do not increase or exceed the dimension.

    >>> prefix_logits(jnp.ones((3, 4)), [jnp.ones((2, 5)), jnp.ones((4, 5))])[:, 0, 0].tolist()
    [2.0, 4.0]
    """
    z, *kernels = floating(z, *kernels)
    parts = prefixes(z, [len(kernel) for kernel in kernels])
    logits = jnp.stack([part @ kernel for part, kernel in zip(parts, kernels, strict=True)])
    return logits if biases is None else logits + jnp.stack(biases).reshape(len(kernels), *(1,) * (z.ndim - 1), -1)


def cumulative_logits(
    z: Num[Array, "*batch dim"], kernel: Kernel, sizes: Sequence[int], bias: Bias | None = None
) -> Float[Array, "sizes *batch classes"]:
    """MRL-E: `logits_m = z_{1:m} W_{1:m} + b`, all sizes in one pass over the dimensions.

    `logits_{m'} = logits_m + z_{m+1:m'} W_{m+1:m'}`: every block of dimensions is multiplied once and the products are summed up,
    which costs what the largest classifier costs alone.

    Args:
        z: embeddings.
        kernel: W, shared by all sizes.
        sizes: increasing, at most the number of rows of W.
        bias: b, added once at every size.

    Raises:
        ValueError: if the sizes do not increase, or exceed the dimension or the rows of the kernel.

    >>> cumulative_logits(jnp.ones((3, 4)), jnp.ones((4, 5)), (1, 4), jnp.ones(5))[:, 0, 0].tolist()
    [2.0, 5.0]
    """
    sizes = check_sizes(sizes, min(z.shape[-1], len(kernel)))
    z, kernel = floating(z, kernel)
    blocks = [z[..., start:stop] @ kernel[start:stop] for start, stop in pairwise((0, *sizes))]
    logits = jnp.cumsum(jnp.stack(blocks), axis=0)
    return logits if bias is None else logits + bias.reshape(*(1,) * z.ndim, -1)


class MatryoshkaHead(nnx.Module):
    """Classifiers of all prefixes `z_{1:m}`, m in a nesting list; one size alone is the fixed-feature baseline FF-m.

    Args:
        nesting: the sizes M.
        num_classes: C.
        efficient: MRL-E: one `[d, C]` map, sliced, and one bias, instead of a map and a bias for each size.
        use_bias: whether there are biases.
        rngs: for the initial weights, those of PyTorch's linear layers: uniform in `± 1 / sqrt(m)`.

    Raises:
        ValueError: if the sizes are not positive and strictly increasing, or there is no class.

    >>> MatryoshkaHead((2, 4, 8), 10, rngs=nnx.Rngs(0))(jnp.ones((3, 8))).shape
    (3, 3, 10)

    References:
        Section 3, equation 1; MRL-E: section 3, "Efficient Matryoshka Representation Learning".
    """

    def __init__(
        self, nesting: Sequence[int], num_classes: int, *, efficient: bool = False, use_bias: bool = True, rngs: nnx.Rngs
    ):
        self.nesting = check_sizes(nesting, max(nesting, default=0))
        self.num_classes, self.efficient = check_at_least("num_classes", num_classes), efficient
        fan_ins = self.nesting[-1:] if efficient else self.nesting
        shapes = [(m, num_classes) for m in fan_ins] + [(num_classes,)] * len(fan_ins) * use_bias
        drawn = draw_together(lambda shape: jax.random.uniform(rngs.params(), shape, minval=-1.0, maxval=1.0), shapes)
        scaled = [x * m**-0.5 for x, m in zip(drawn, fan_ins * 2, strict=False)]
        self.kernels = nnx.List([nnx.Param(x) for x in scaled[: len(fan_ins)]])
        self.biases = nnx.List([nnx.Param(x) for x in scaled[len(fan_ins) :]])

    def __call__(self, z: Num[Array, "*batch dim"]) -> Float[Array, "sizes *batch classes"]:
        """Logits of every size.

        Raises:
            ValueError: if the embeddings are shorter than the largest size.
        """
        kernels, biases = ([x[...] for x in group] for group in (self.kernels, self.biases))
        if self.efficient:
            return cumulative_logits(z, kernels[0], self.nesting, *biases)
        return prefix_logits(z, kernels, biases or None)

    def at(self, z: Num[Array, "*batch dim"], size: int) -> Float[Array, "*batch classes"]:
        """Logits of one size from embeddings of at least as many numbers: what inference computes, and no more.

        Args:
            z: embeddings, or their prefixes.
            size: one of the nesting list; MRL-E takes any up to the largest, as it slices.

        Raises:
            ValueError: for a size without a classifier, or embeddings that are shorter.
        """
        if self.efficient:
            return cumulative_logits(z, self.kernels[0][...], (size,), *(b[...] for b in self.biases))[0]
        if size not in self.nesting:
            raise ValueError(f"size is {size}; there are classifiers for {self.nesting}, others need a probe of their own")
        place = self.nesting.index(size)
        biases = [self.biases[place][...]] if self.biases else None
        return prefix_logits(z, [self.kernels[place][...]], biases)[0]
