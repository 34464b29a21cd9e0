"""How far a head is from what holds exactly: its identities, and the definition number by number."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.bt2 import brute_force
from quire.bt2.convert import load_head
from quire.bt2.head import BT2Head
from quire.bt2.loss import bt2_losses
from quire.bt2.orthogonal_linear import nearest_orthonormal
from quire.common.layers.nested import unit_rows
from quire.common.testing import max_relative_error


def cast_head(head: BT2Head, dtype: Any) -> BT2Head:
    """A copy in another dtype. In float64 the fixed factors of P and Q, which float32 has rounded, are made orthonormal anew."""
    graph, state = nnx.split(head)
    copy = nnx.merge(graph, jax.tree.map(lambda x: jnp.asarray(np.asarray(x), dtype), state))
    if dtype == jnp.float64:
        for layer in (copy.first, copy.second):
            layer.base[...] = nearest_orthonormal(layer.base[...])
    return copy


def identity_errors(head: BT2Head, features: jax.Array) -> dict[str, float]:
    """Largest absolute errors of the identities of a head with normalisation.

    `|phi|^2 = 1 + C^2`; `<phi(x), phi(y)> = <o_x, o_y> + C^2 <h_x, h_y>`, o at length 1; P and Q orthonormal; the folded head is
    the head.

    Args:
        head: any.
        features: `[n, d + d_o]`, without a zero vector.
    """
    return {name: float(x) for name, x in _identities(*nnx.split(head), features).items()}


@partial(jax.jit, static_argnums=0)
def _identities(graph, state, features):
    head = nnx.merge(graph, state)
    new_part, old_part = head.parts(features)
    embedding, old_part, square = head(features).embedding, unit_rows(old_part), head.scale**2
    bases = {"P orthonormal": head.first.matrix, "Q orthonormal": head.second.matrix}
    found = {
        "length": jnp.sum(embedding**2, axis=1) - (1 + square),
        "inner products": embedding @ embedding.T - (old_part @ old_part.T + square * new_part @ new_part.T),
        **{name: matrix @ matrix.T - jnp.eye(len(matrix), dtype=matrix.dtype) for name, matrix in bases.items()},
        "folded": head.folded()(features) - embedding,
    }
    return {name: jnp.abs(x).max() for name, x in found.items()}


def definition_error(
    d_new: int, d_old: int, extra: int, scale: float, normalize: bool, draw: np.random.Generator, dtype: Any
) -> float:
    """Largest relative error of outputs and losses against `brute_force`, for random weights and vectors."""
    state = random_state(d_new, d_old, 5, draw)
    head = load_head(state, extra=extra, scale=scale, normalize=normalize, method="cayley", dtype=dtype)
    features, labels = draw.standard_normal((6, d_new + d_old)), draw.integers(0, 5, 6)
    outputs = [brute_force.embed(row, state, extra, scale, normalize) for row in features.tolist()]
    old, new, prototypes = (draw.standard_normal(shape) for shape in ((6, d_old), (6, d_new), (5, d_old)))
    given = [jnp.asarray(x, dtype) for x in (features, old, new, prototypes)]
    out, losses = _outputs_and_losses(*nnx.split(head), jnp.asarray(labels), *given)
    found = [max_relative_error(getattr(out, name), [row[name] for row in outputs]) for name in outputs[0]]
    found.append(max_relative_error(losses, brute_force.losses(outputs, labels.tolist(), old, new, prototypes)))
    return float(np.max(found))  # NaN if any is, unlike Python's max


@partial(jax.jit, static_argnums=0)
def _outputs_and_losses(graph, state, labels, features, old, new, prototypes):
    out = nnx.merge(graph, state)(features)
    return out, bt2_losses(out, labels, old, new, prototypes)


def random_state(d_new: int, d_old: int, num_classes: int, draw: np.random.Generator) -> dict[str, np.ndarray]:
    """A head's weights under the authors' names; the parameters of the bases are at zero, where training starts."""
    width = d_new + d_old
    shapes = {"fc3.weight": (d_old, width, 1, 1), "fc3.bias": (d_old,), "fc_out.weight": (num_classes, d_new)}
    state = {name: draw.standard_normal(shape) for name, shape in shapes.items()}
    for name, n in (("ortholinear_p", d_new), ("ortholinear_old2", d_old)):
        state[f"{name}.parametrizations.weight.original"] = np.zeros((n, n))
        state[f"{name}.parametrizations.weight.0.base"] = np.linalg.qr(draw.standard_normal((n, n)))[0]
    return state
