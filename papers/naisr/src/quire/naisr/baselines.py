"""What NAISR is compared with: signed distances from a code and covariates at once, and deformations that are not additive."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from quire.common.checks import check_at_least
from quire.common.fields.siren_stack import SirenStack, init_siren_stack, sine_features
from quire.naisr.covariates import covariate_array
from quire.naisr.deformation import skip_layer, template_sdf
from quire.naisr.loss import PAPER_WEIGHTS, LossWeights, ShapeBatch, code_term, weighted_sdf_terms
from quire.naisr.model import Covariates, check_shapes


class BlackBox(nnx.Module):
    """A-SDF: one sine network of point, covariates and code, through tanh. With covariates of zero throughout it is DeepSDF.

    Args:
        dim, covariate_names, hidden, layers, latent, omega, rngs: as for `NAISR`.

    >>> BlackBox(2, ("arms",), 8, 2, 3, rngs=nnx.Rngs(0)).sdf(jnp.zeros((5, 2)), {"arms": 0.5}, jnp.ones(3)).shape
    (5,)

    References:
        Park et al., *DeepSDF*, 2019; Mu et al., *A-SDF*, 2021.
    """

    def __init__(
        self,
        dim: int,
        covariate_names: Sequence[str],
        hidden: int = 256,
        layers: int = 6,
        latent: int = 256,
        *,
        omega: float = 30.0,
        rngs: nnx.Rngs,
    ):
        check_at_least("layers", layers)
        inputs, skip = dim + len(covariate_names) + latent, layers // 2
        self.net = SirenStack(init_siren_stack(rngs.params(), inputs, 1, hidden, layers, omega=omega, skip=skip, skip_dim=dim))
        self.names, self.dim, self.latent, self.omega = tuple(covariate_names), dim, latent, omega

    def sdf(self, p: Array, c: Covariates, z: Array) -> Array:
        """Signed distance; errors as for `NAISR.sdf`."""
        return self.values(*check_shapes(p, covariate_array(c, self.names), z, self.dim, self.latent))

    def values(self, p: Float[Array, "*s P dim"], c: Float[Array, "*s N"], z: Float[Array, "*s Z"]) -> Float[Array, "*s P"]:
        """The same for arrays that fit."""
        layers = self.net.layers
        parts = (p, c[..., None, :], z[..., None, :])
        features = sine_features(layers, parts, omega=self.omega, skip=skip_layer(layers))
        weight, bias = layers[-1]
        return jnp.tanh((features @ weight)[..., 0] + bias[0])


class OneDeformation(nnx.Module):
    """A template that a single network deforms, `T(p + d)`.

    With covariates `d = f(p, c, z) - f(p, 0, z)` for all of them together: NAISR without the additive split. Without them
    `d = f(p, 0, z)`, whose weights of covariates are idle: deep implicit templates (DIT).

    Args:
        dim, covariate_names, hidden, layers, latent, omega, rngs: as for `NAISR`.
        covariates: whether the network sees them.

    References:
        Zheng et al., *Deep Implicit Templates for 3D Shape Representation*, 2021.
    """

    def __init__(
        self,
        dim: int,
        covariate_names: Sequence[str],
        hidden: int = 256,
        layers: int = 6,
        latent: int = 256,
        *,
        covariates: bool = True,
        omega: float = 30.0,
        rngs: nnx.Rngs,
    ):
        check_at_least("layers", layers)
        inputs, skip = dim + len(covariate_names) + latent, layers // 2
        self.net = SirenStack(init_siren_stack(rngs.params(), inputs, dim, hidden, layers, omega=omega, skip=skip, skip_dim=dim))
        self.template = SirenStack(init_siren_stack(rngs.params(), dim, 1, hidden, layers, omega=omega, input_layer=False))
        self.sees = nnx.Variable(jnp.asarray(covariates, float))  # a number, so that both kinds are one program
        self.names, self.dim, self.latent, self.omega = tuple(covariate_names), dim, latent, omega

    def displacement(self, p: Float[Array, "*s P dim"], c: Float[Array, "*s N"], z: Float[Array, "*s Z"]) -> Array:
        """From where a point is to where the template is asked."""
        layers, sees = self.net.layers, self.sees[...]
        both = jnp.stack([sees * c, jnp.zeros_like(c)])[..., None, :]
        parts = (p[None], both, z[None, ..., None, :])
        features = sine_features(layers, parts, omega=self.omega, skip=skip_layer(layers))
        weight, bias = layers[-1]
        return (features[0] - sees * features[1]) @ weight + (1 - sees) * bias.reshape((1,) * (p.ndim - 1) + (-1,))

    def sdf(self, p: Array, c: Covariates, z: Array) -> Array:
        """Signed distance; errors as for `NAISR.sdf`."""
        return self.values(*check_shapes(p, covariate_array(c, self.names), z, self.dim, self.latent))

    def values(self, p: Float[Array, "*s P dim"], c: Float[Array, "*s N"], z: Float[Array, "*s Z"]) -> Float[Array, "*s P"]:
        """The same for arrays that fit."""
        return template_sdf(self.template.layers, p + self.displacement(p, c, z), omega=self.omega)


def shape_loss(model: Any, batch: ShapeBatch, epoch: Any, weights: LossWeights = PAPER_WEIGHTS) -> Float[Array, ""]:
    """The terms of signed distances and codes alone, for models without a branch of code zero.

    Args:
        model: with `values(p, c, z)`.
        batch, epoch, weights: as for `naisr_loss`.
    """
    values, pull_back = jax.vjp(lambda p: model.values(p, batch.c, batch.z), batch.points)
    (slopes,) = pull_back(jnp.ones_like(values))
    terms = weighted_sdf_terms(values, slopes, batch, weights)
    return sum(terms) + code_term(batch.z, batch.points.shape[-2], epoch, weights.code)


def matched_width(dim: int, n_covariates: int, hidden: int, layers: int, latent: int) -> int:
    """Width at which a `BlackBox` has at least as many parameters as a `NAISR` of these sizes.

    >>> matched_width(2, 2, 32, 2, 8)
    57
    """

    def sines(width, inputs, outputs):
        hidden_layers = layers * (width + 1) * width - dim * (width + 1)  # one layer is narrower, by the point that enters again
        return (inputs + 1) * width + hidden_layers + (width + 1) * outputs

    template = (dim + 1) * hidden + layers * (hidden + 1) * hidden + hidden + 1
    target = n_covariates * sines(hidden, dim + 1 + latent, dim) + template
    width = dim + 1
    while sines(width, dim + n_covariates + latent, 1) < target:
        width += 1
    return width
