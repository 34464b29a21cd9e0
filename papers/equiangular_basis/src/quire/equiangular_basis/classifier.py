"""A network with any of the heads that are compared: which one it is stands in arrays, so that all of them are one program."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Num

from quire.common.layers.class_heads import cosine_logits, simplex_vectors
from quire.common.layers.initialisers import he_normal
from quire.common.layers.patch_net import PatchNet
from quire.common.layers.resnet import resnet50
from quire.equiangular_basis.annealing import annealed_descent
from quire.equiangular_basis.config import Sweep
from quire.equiangular_basis.generate import normal_rows, random_unit_vectors


class Head(NamedTuple):
    """A head of a sweep; arrays may have leading axes for many of them.

    Attributes:
        vectors: fixed class vectors, zeros behind their d coordinates; any for a head that learns.
        mask: 1 for the features that the head uses.
        fixed: 1 for fixed vectors, 0 for those that learn.
        cosine: 1 for cosines over the temperature, 0 for plain products with a bias.
    """

    vectors: Float[np.ndarray, "*heads classes dim"]
    mask: Float[np.ndarray, "*heads dim"]
    fixed: Float[np.ndarray, "*heads"]
    cosine: Float[np.ndarray, "*heads"]


def _small_normal(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
    """Normal weights with the variance of PyTorch's default, `1 / (3 fan_in)`."""
    return he_normal(key, shape, dtype) * 6**-0.5


class Classifier(nnx.Module):
    """Images to features of `dim` numbers by a backbone that ends in a linear map; logits by a `Head`.

    Args:
        sweep: sizes.
        num_classes: N.
        mean, std: of the pixels.
        rngs: for the initial weights.
    """

    def __init__(self, sweep: Sweep, num_classes: int, mean: float, std: float, *, rngs: nnx.Rngs):
        self.mean, self.std, self.tau = mean, std, sweep.tau
        if sweep.channels:
            self.backbone = PatchNet(
                sweep.channels,
                sweep.dim,
                patch=sweep.patch,
                in_channels=sweep.in_channels,
                kernel_init=_small_normal,
                rngs=rngs,
            )
            self.last = None
        else:
            self.backbone = resnet50(in_channels=sweep.in_channels, rngs=rngs)
            self.last = nnx.Linear(2048, sweep.dim, rngs=rngs)
        self.linear = nnx.Linear(sweep.dim, num_classes, rngs=rngs)

    def features(self, images: Num[Array, "batch h w c"]) -> Float[Array, "batch dim"]:
        """Features of images, bytes or floats."""
        z = self.backbone((images - jnp.float32(self.mean)) / self.std)
        return z if self.last is None else self.last(z)

    def logits(self, z: Float[Array, "batch dim"], head: Head) -> Float[Array, "batch classes"]:
        """Logits of features by one head."""
        z = z * head.mask[None]
        weights = jnp.where(head.fixed > 0, head.vectors, self.linear.kernel[...].T)
        return jnp.where(head.cosine > 0, cosine_logits(z, weights, 1 / self.tau), self.linear(z))


def sweep_heads(sweep: Sweep, num_classes: int, keys: Sequence[jax.Array]) -> tuple[list[str], Head]:
    """Names of all heads of a sweep, and the heads `[names, seeds]`.

    Optimised vectors of every d and seed come out of one program: they start with zeros behind their d coordinates, which stay.
    """
    shape = len(keys), num_classes, sweep.dim
    learned = np.zeros(shape, np.float32)

    def drawn(draw, d):
        return np.stack([_padded(draw(jax.random.fold_in(key, d), num_classes, d), sweep.dim) for key in keys])

    starts = [drawn(normal_rows, d) for d in sweep.ebv_dims]
    random = [drawn(random_unit_vectors, d) for d in sweep.random_dims]
    optimised = jax.vmap(lambda start: annealed_descent(start, steps=sweep.ebv_steps).vectors)(np.concatenate(starts))
    sets = [("FC", sweep.dim, learned), ("cosine FC", sweep.dim, learned)]
    sets += [(f"EBV, d = {d}", d, x) for d, x in zip(sweep.ebv_dims, np.reshape(optimised, (-1, *shape)), strict=True)]
    sets += [(f"random, d = {d}", d, x) for d, x in zip(sweep.random_dims, random, strict=True)]
    if sweep.simplex:
        simplex = _padded(simplex_vectors(num_classes), sweep.dim)
        sets.append((f"simplex, d = {num_classes - 1}", num_classes - 1, np.broadcast_to(simplex, shape)))
    names, dims, vectors = zip(*sets, strict=True)
    mask = np.arange(sweep.dim) < np.reshape(dims, (-1, 1, 1))
    kinds = np.array([(name not in ("FC", "cosine FC"), name != "FC") for name in names], np.float32)
    repeated = np.broadcast_to(kinds[:, None], (len(names), len(keys), 2))
    wide = np.broadcast_to(mask, (len(names), len(keys), sweep.dim)).astype(np.float32)
    return list(names), Head(np.stack(vectors), wide, repeated[..., 0], repeated[..., 1])


def _padded(vectors: np.ndarray | Array, dim: int) -> np.ndarray:
    return np.pad(np.asarray(vectors, np.float32), ((0, 0), (0, dim - vectors.shape[1])))
