"""The additive deformation: one sine network a covariate, which moves nothing where its covariate is zero. Section 3.2."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.fields.siren import Layers
from quire.common.fields.siren_stack import sine_features


def skip_layer(layers: Layers) -> int | None:
    """Sine layer after which the point enters again: half of the hidden ones; none in a network without hidden layers.

    >>> layer = jnp.zeros((4, 4)), jnp.zeros(4)
    >>> skip_layer([layer] * 8), skip_layer([layer] * 2)
    (3, None)
    """
    hidden = len(layers) - 2
    return hidden // 2 if hidden else None


def displacement(
    net: Layers,
    p: Float[Array, "*s P dim"],
    c: Float[Array, "*s k"],
    z: Float[Array, "*s Z"],
    zero: Float[Array, "*s P"] | None = None,
    *,
    omega: float = 30.0,
) -> Float[Array, "*s P dim"]:
    """`d_i(p) = f_i(p, c_i, z) - f_i(p, 0, z)`: exactly zero for `c_i = 0`.

    The output layer meets the difference of the features, so that its bias, which cancels, is not read at all.

    Args:
        net: of one covariate; its input is point, covariate, code, and the point enters again half way.
        p: points.
        c: the covariate of each shape; several numbers for a network of several covariates at once.
        z: code of each shape.
        zero: stands in for 0 at every point: noise in training.
        omega: frequency of the sines.

    References:
        eq. 3; `DeepNAIGSR` of the authors' code.
    """
    at = c[..., None, :]
    origin = jnp.zeros_like(at) if zero is None else jnp.broadcast_to(zero[..., None], (*zero.shape, c.shape[-1]))
    both = jnp.stack(jnp.broadcast_arrays(at, origin))  # one pass for both
    features = sine_features(net, (p[None], both, z[None, ..., None, :]), omega=omega, skip=skip_layer(net))
    difference = features[0] - features[1]
    # equal inputs may be rounded differently; what is left of that is taken away, and slopes stay as they are
    rounding = jnp.where((both[0] == both[1]).all(-1, keepdims=True), difference, 0)
    return (difference - jax.lax.stop_gradient(rounding)) @ net[-1][0]


def displacements(
    nets: Layers,
    p: Float[Array, "*s P dim"],
    c: Float[Array, "*s N"],
    z: Float[Array, "*s Z"],
    zero: Float[Array, "N *s P"] | None = None,
    *,
    omega: float = 30.0,
) -> Float[Array, "N *s P dim"]:
    """`d_i(p)` of every covariate; their sum moves the point to where the template is asked.

    Args:
        nets: stacked along a leading axis.
        p, c, z, zero, omega: as for `displacement`, a covariate for each network.
    """
    return _each(nets, p, c, z, zero, omega, None)


def displacements_at(
    nets: Layers,
    p: Float[Array, "N *s P dim"],
    c: Float[Array, "*s N"],
    z: Float[Array, "*s Z"],
    zero: Float[Array, "N *s P"] | None = None,
    *,
    omega: float = 30.0,
) -> Float[Array, "N *s P dim"]:
    """The same, every network at points of its own."""
    return _each(nets, p, c, z, zero, omega, 0)


def _each(nets, p, c, z, zero, omega, of_points):
    alone = jnp.moveaxis(c, -1, 0)[..., None]
    axes = (0, of_points, 0, None, None if zero is None else 0)
    return jax.vmap(partial(displacement, omega=omega), in_axes=axes)(nets, p, alone, z, zero)


def template_sdf(template: Layers, p: Float[Array, "*batch dim"], *, omega: float = 30.0) -> Float[Array, "*batch"]:
    """`T(p) = tanh(siren(p))`, within -1..1: shapes must be scaled to that."""
    weight, bias = template[-1]
    return jnp.tanh((sine_features(template, (p,), omega=omega) @ weight)[..., 0] + bias[0])
