"""Optimisers side by side: the principal subspace, and a head on digits that stay as they are."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from quire.common.data.images import digits
from quire.common.layers.class_heads import subspace_logits
from quire.common.manifolds.grassmann import exp_by_gram, qr_retract, random_subspaces
from quire.common.random import generator
from quire.common.train.batches import epoch_indices
from quire.common.train.rsgd import retracted, rsgd
from quire.grassmann_class.descent import head_loss, off_manifold, trajectory

NEVER = 10**9


def qr_step(basis: Array, tangent: Array, t: Array) -> Array:
    """A step along the tangent, off the manifold, and back by QR."""
    return qr_retract(basis + t * tangent)


def optimisers(rate: float, momentum: float) -> dict[str, optax.GradientTransformation]:
    """RSGD and what it is compared with, at one learning rate."""
    gram = partial(rsgd, rate, momentum, move=exp_by_gram)
    return {
        "RSGD": gram(),
        "never re-orthonormalised": gram(reorth_every=NEVER),
        "momentum transported": gram(transport_momentum=True),
        "QR retraction": rsgd(rate, momentum, move=qr_step, reorth_every=NEVER),
        "plain SGD + QR": retracted(optax.sgd(rate, momentum)),
        "no constraint": optax.sgd(rate, momentum),
    }


# --- Principal subspace ---


def principal_subspace(
    key: Array, *, starts: int = 20, steps: int = 200, rate: float = 0.02, k: int = 3, eigenvalues: int = 10
) -> dict[str, Float[np.ndarray, "starts steps"]]:
    """Minimise `-tr(S^T A S)` with `A = diag(n, ..., 1)` from random starts, by gradient descent without momentum; float64.

    Args:
        key: of the starts.
        starts, steps, rate: of the descent.
        k, eigenvalues: dimension of the subspace, and n.

    Returns:
        Gap to the sum of the k largest eigenvalues, at the start and after every step, by optimiser `[starts, steps + 1]`.
    """
    with jax.enable_x64():
        values = np.arange(eigenvalues, 0, -1.0)
        bases = jnp.asarray(np.linalg.qr(generator(key).standard_normal((starts, eigenvalues, k)))[0])

        found = _descend(bases, jnp.asarray(values), steps, rate)
        return {name: values[:k].sum() + np.asarray(losses) for name, losses in found.items()}


PRINCIPAL = ("RSGD", "QR retraction", "plain SGD + QR")


@partial(jax.jit, static_argnums=(2, 3))
def _descend(bases, values, steps, rate):
    """Losses before every step, and the last, from every start."""

    def loss(basis, weight):
        return -weight * jnp.sum(values[:, None] * basis**2)

    def descent(tx):
        return jax.vmap(lambda basis: trajectory(loss, basis, tx, (jnp.ones(steps + 1),))[0])(bases)

    return {name: descent(tx) for name, tx in optimisers(rate, 0.0).items() if name in PRINCIPAL}


# --- A head on digits ---


def digits_race(key: Array, *, k: int = 3, steps: int = 200, batch: int = 64, rate: float = 0.1, momentum: float = 0.9):
    """Subspaces of the ten digits among images of 64 pixels, by every optimiser on the same batches; float32.

    Args:
        key: of the start and the batches.
        k: dimension of the subspaces.
        steps, batch, rate, momentum: of the descent.

    Returns:
        By optimiser: `loss` and `off` (largest entry of `S^T S - I`) of every step `[steps]`, `accuracy` on the test images; and
        the name of the data.
    """
    data = digits()
    (x, y), (points, truth) = ((part.images.reshape(len(part), -1), part.labels) for part in (data.train, data.test))
    chosen = epoch_indices(key, len(x), batch, steps)
    start = random_subspaces(key, (data.num_classes, x.shape[1], k))

    found = jax.tree.map(np.asarray, _race(start, x[chosen], y[chosen], points, rate, momentum))
    results = {}
    for name in optimisers(rate, momentum):  # in this order: what comes out of a compiled function is sorted by name
        losses, off, predicted = found[name]
        results[name] = {"loss": losses, "off": off, "accuracy": float(np.mean(predicted == truth))}
    return results, data.name


@partial(jax.jit, static_argnums=(4, 5))
def _race(start, x, y, points, rate, momentum):
    """Losses, distances from the manifold, and predictions at the end, by optimiser."""

    def descend(tx):
        losses, bases = trajectory(head_loss, start, tx, (x, y))
        return losses, off_manifold(bases).max(-1), subspace_logits(points, bases[-1]).argmax(-1)

    return {name: descend(tx) for name, tx in optimisers(rate, momentum).items()}
