"""Which layer and which prefix a training step looks at (section 3)."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key

from quire.common.checks import check_at_least
from quire.common.layers.nested import check_sizes


def geometric_sizes(smallest: int, dim: int) -> tuple[int, ...]:
    """S: sizes that double from the smallest while they are below the dimension, which is always trained and not among them.

    Args:
        smallest: first size.
        dim: D.

    Raises:
        ValueError: for a smallest size below 1, or not below the dimension.

    >>> geometric_sizes(8, 768)
    (8, 16, 32, 64, 128, 256, 512)
    """
    check_at_least("smallest", smallest)
    if smallest >= dim:
        raise ValueError(f"smallest is {smallest} and dim {dim}; at least one size must be below the dimension")
    sizes = [smallest]
    while 2 * sizes[-1] < dim:
        sizes.append(2 * sizes[-1])
    return tuple(sizes)


def sample_layer_dim(key: Key[Array, ""], num_layers: int, sizes: Sequence[int]) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """`n ~ Uniform{1 .. L - 1}` and `k ~ Uniform(S)`, traced integers that one compiled step takes.

    Args:
        key: of the step.
        num_layers: L; the last layer is trained always, and the embedding layer never.
        sizes: S.

    Raises:
        ValueError: for fewer than two layers, or sizes that do not increase.

    >>> layer, dim = sample_layer_dim(jax.random.key(0), 12, (8, 16))
    >>> 1 <= layer <= 11, int(dim) in (8, 16)
    (Array(True, dtype=bool), True)
    """
    check_at_least("num_layers", num_layers, 2)
    sizes = check_sizes(sizes, max(sizes, default=0))
    at_layer, at_size = jax.random.split(key)
    layer = jax.random.randint(at_layer, (), 1, num_layers)
    return layer, jnp.asarray(sizes)[jax.random.randint(at_size, (), 0, len(sizes))]
