"""PPGN and PPGN++: networks on pairs of nodes whose layers multiply matrices (Maron et al. 2019; Puny et al. 2023).

Inside, tensors are `[B, n, n, C]`, so that 1x1 convolutions are products with a matrix.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from quire.common.checks import check_ids, is_concrete


def _xavier(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
    """Xavier's uniform weights `[in, out]`, drawn on the host: for every shape, JAX would compile a generator."""

    def draw(data):
        return np.random.default_rng(np.asarray(data)).uniform(-1, 1, shape).astype(dtype) * (6 / sum(shape)) ** 0.5

    data = jax.random.key_data(key)
    if not is_concrete(data):
        return jax.pure_callback(draw, jax.ShapeDtypeStruct(shape, dtype), data, vmap_method="sequential")
    return jnp.asarray(draw(data))


class PairMLP(nnx.Module):
    """Two 1x1 convolutions, a ReLU after each.

    Args:
        in_channels, width: sizes.
        rngs: for the weights (Xavier uniform, biases zero).
    """

    def __init__(self, in_channels: int, width: int, *, rngs: nnx.Rngs):
        self.convs = nnx.List([nnx.Linear(c, width, kernel_init=_xavier, rngs=rngs) for c in (in_channels, width)])

    def __call__(self, Z: Float[Array, "*batch C"]) -> Float[Array, "*batch width"]:
        for conv in self.convs:
            Z = jax.nn.relu(conv(Z))
        return Z


class PPGNBlock(nnx.Module):
    """`conv([Z, MLP1(Z) @ MLP2(Z)])`, the product per channel over pairs.

    Args:
        in_channels, width: sizes; the output has `width` channels.
        transpose: PPGN++: MLP1 also sees the transpose of Z.
        rngs: for the weights.
    """

    def __init__(self, in_channels: int, width: int, *, transpose: bool = False, rngs: nnx.Rngs):
        self.transpose = transpose
        self.mlp1 = PairMLP(in_channels * (2 if transpose else 1), width, rngs=rngs)
        self.mlp2 = PairMLP(in_channels, width, rngs=rngs)
        self.skip = nnx.Linear(in_channels + width, width, kernel_init=_xavier, rngs=rngs)

    def __call__(self, Z: Float[Array, "B n n C"], mask: Float[Array, "B n n 1"]) -> Float[Array, "B n n width"]:
        left = jnp.concatenate([Z, Z.swapaxes(1, 2)], -1) if self.transpose else Z
        product = jnp.einsum("bikc,bkjc->bijc", self.mlp1(left) * mask, self.mlp2(Z) * mask)
        return self.skip(jnp.concatenate([Z, product], -1)) * mask


def append_identity(Z: Float[Array, "B n n C"]) -> Float[Array, "B n n D"]:
    """The identity matrix as one more channel, on padded nodes too, as in the authors' code."""
    B, n, _, _ = Z.shape
    eye = jnp.broadcast_to(jnp.eye(n, dtype=Z.dtype)[None, :, :, None], (B, n, n, 1))
    return jnp.concatenate([Z, eye], -1)


def pooled(Z: Float[Array, "B n n C"], sizes: Int[Array, " B"]) -> Float[Array, "B D"]:
    """Means of the diagonal and of the rest over the true nodes, `D = 2 C`; 0 where there are none: one node has no rest."""
    diagonal = jnp.einsum("biic->bc", Z)
    rest = jnp.einsum("bijc->bc", Z) - diagonal
    n = sizes.astype(Z.dtype)[:, None]
    return jnp.concatenate([diagonal / jnp.maximum(n, 1), rest / jnp.maximum(n * (n - 1), 1)], -1)


def _rematerialised(block: PPGNBlock, Z: Array, mask: Array) -> Array:
    graph, state = nnx.split(block)
    return jax.checkpoint(lambda state, Z, mask: nnx.merge(graph, state)(Z, mask))(state, Z, mask)


class PPGN(nnx.Module):
    """Blocks, pooling over diagonal and rest, and a head of two layers.

    Args:
        in_channels: channels of the input.
        width, depth: of the blocks.
        out: outputs a graph.
        head: hidden width of the head.
        plus: PPGN++: identity before every block, transposes within.
        remat: compute the activations of a block again in the backward pass, so that memory holds those of one block.
        rngs: for the weights.

    Raises:
        ValueError: for a size below 1.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        depth: int,
        out: int,
        head: int | None = None,
        *,
        plus: bool = False,
        remat: bool = False,
        rngs: nnx.Rngs,
    ):
        head = width if head is None else head
        if min(in_channels, width, depth, out, head) < 1:
            raise ValueError(
                f"in_channels, width, depth, out, head are {in_channels}, {width}, {depth}, {out}, {head}; all must be >= 1"
            )
        self.plus, self.remat = plus, remat
        self.in_channels = in_channels
        inputs = [c + plus for c in [in_channels] + [width] * (depth - 1)]
        self.blocks = nnx.List([PPGNBlock(c, width, transpose=plus, rngs=rngs) for c in inputs])
        self.hidden = nnx.Linear(2 * width, head, kernel_init=_xavier, rngs=rngs)
        self.out = nnx.Linear(head, out, kernel_init=_xavier, rngs=rngs)

    def __call__(
        self, Z: Float[Array, "B C n n"], mask: Float[Array, "B 1 n n"], sizes: Int[Array, " B"]
    ) -> Float[Array, "B out"]:
        """Outputs of padded graphs; `sizes` are the true numbers of nodes.

        Raises:
            ValueError: if the shapes do not fit each other or the network.
        """
        check_batch(Z, mask, sizes, self.in_channels)
        Z, mask = jnp.moveaxis(Z, 1, -1), jnp.moveaxis(mask, 1, -1)
        run = _rematerialised if self.remat else PPGNBlock.__call__
        for block in self.blocks:
            Z = run(block, append_identity(Z) if self.plus else Z, mask)
        return self.out(jax.nn.relu(self.hidden(pooled(Z, sizes))))


def PPGNPlusPlus(
    in_channels: int, width: int, depth: int, out: int, head: int | None = None, *, remat: bool = False, rngs: nnx.Rngs
) -> PPGN:
    """PPGN with an identity channel before every block and transposes within. Arguments as `PPGN`."""
    return PPGN(in_channels, width, depth, out, head, plus=True, remat=remat, rngs=rngs)


def read_only_first(model: PPGN, channels: int) -> PPGN:
    """A network that ignores all but its first input channels, and starts as one of so many channels would.

    Zeros stand for the weights of the others, and they stay zeros while those channels are zero: networks of several inputs are
    then trained side by side by one program.

    Args:
        model: as it was built; its first block is changed.
        channels: how many channels are read.

    Returns:
        The same network.

    Raises:
        ValueError: unless `channels` lies between 1 and the network's own number.
    """
    if not 1 <= channels <= model.in_channels:
        raise ValueError(f"channels is {channels}; it must lie between 1 and the {model.in_channels} of the network")
    read = np.arange(model.in_channels + model.plus) < channels
    read[model.in_channels :] = True  # the identity
    block = model.blocks[0]
    for linear, copies in ((block.mlp1.convs[0], 1 + block.transpose), (block.mlp2.convs[0], 1), (block.skip, 1)):
        fan_in, fan_out = linear.kernel.shape
        rows = np.concatenate([np.tile(read, copies), np.ones(fan_in - copies * len(read), bool)])
        scale = ((fan_in + fan_out) / (rows.sum() + fan_out)) ** 0.5  # from Xavier's bound to that of the smaller fan-in
        linear.kernel[...] *= jnp.asarray(np.where(rows, scale, 0)[:, None], linear.kernel.dtype)
    return model


def check_batch(Z: Array, mask: Array, sizes: Array, in_channels: int) -> None:
    """Shapes and sizes of a padded batch.

    Raises:
        ValueError: naming what does not fit.
    """
    if Z.ndim != 4 or Z.shape[2] != Z.shape[3] or Z.shape[1] != in_channels:
        raise ValueError(f"Z has shape {Z.shape}; it needs [B, {in_channels}, n, n]")
    if mask.shape != (Z.shape[0], 1, *Z.shape[2:]):
        raise ValueError(f"mask has shape {mask.shape}; it needs {(Z.shape[0], 1, *Z.shape[2:])} to fit Z")
    if sizes.shape != Z.shape[:1]:
        raise ValueError(f"sizes has shape {sizes.shape}; it needs one number for each of the {Z.shape[0]} graphs")
    check_ids("sizes", sizes, Z.shape[2] + 1)


class NodePrototype(nnx.Module):
    """The prototypical node-based network: `h_i <- MLP(h_i, sum_j X_ij MLP(h_j), sum_j MLP(h_j))`; message passing.

    The two sums are the contractions of the node-based bank: over the neighbours, for every channel of X, and over all nodes.

    Args:
        in_channels: channels of the input; their diagonals are the node features, a constant is appended.
        width, depth: of the layers.
        out: outputs a graph.
        rngs: for the weights.

    Raises:
        ValueError: for a size below 1.
    """

    def __init__(self, in_channels: int, width: int, depth: int, out: int, *, rngs: nnx.Rngs):
        if min(in_channels, width, depth, out) < 1:
            raise ValueError(f"in_channels, width, depth, out are {in_channels}, {width}, {depth}, {out}; all must be >= 1")
        self.in_channels = in_channels
        inputs = [in_channels + 1] + [width] * (depth - 1)
        self.message = nnx.List([PairMLP(c, width, rngs=rngs) for c in inputs])
        self.update = nnx.List([PairMLP(c + (in_channels + 1) * width, width, rngs=rngs) for c in inputs])
        self.hidden = nnx.Linear(2 * width, width, kernel_init=_xavier, rngs=rngs)
        self.out = nnx.Linear(width, out, kernel_init=_xavier, rngs=rngs)

    def __call__(
        self, Z: Float[Array, "B C n n"], mask: Float[Array, "B 1 n n"], sizes: Int[Array, " B"]
    ) -> Float[Array, "B out"]:
        """As `PPGN.__call__`; the readout takes the mean and the sum over nodes."""
        check_batch(Z, mask, sizes, self.in_channels)
        nodes = jnp.diagonal(mask, axis1=2, axis2=3).swapaxes(1, 2)
        h = jnp.concatenate([jnp.diagonal(Z, axis1=2, axis2=3).swapaxes(1, 2), nodes], -1)
        X = jnp.concatenate([Z * mask, mask], 1)
        for message, update in zip(self.message, self.update, strict=True):
            sums = jnp.einsum("bcij,bjw->bicw", X, message(h) * nodes)
            h = update(jnp.concatenate([h, sums.reshape(*sums.shape[:2], sums.shape[2] * sums.shape[3])], -1)) * nodes
        total = h.sum(1)
        pooled = jnp.concatenate([total, total / jnp.maximum(sizes, 1).astype(h.dtype)[:, None]], -1)
        return self.out(jax.nn.relu(self.hidden(pooled)))
