"""A host whose density comes from a surface: a signed distance on a grid, seen along rays as NeuS does."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from quire.common.checks import check_at_least, check_positive
from quire.common.fields.grids import sample_grid
from quire.common.fields.ray_batches import mean_depth, sample_rays
from quire.common.fields.rendering import composite


class SurfaceView(NamedTuple):
    """What rays see of a surface: colour `[n, 3]`, depth (0 entry, 1 exit) and opacity `[n]`, the mean normal `[n, 3]`."""

    rgb: Array
    depth: Array
    opacity: Array
    normal: Array


def optical_depths(sdf: Float[Array, "n s"], sharpness: Float[Array, ""] | float) -> Float[Array, "n s-1"]:
    """How much stands between neighbouring samples of a ray, `max(0, log Phi(k f_i) - log Phi(k f_(i+1)))`.

    NeuS defines opacities `alpha_i = max(0, (Phi(k f_i) - Phi(k f_(i+1))) / Phi(k f_i))` with the logistic function Phi; this
    is `-log(1 - alpha_i)`, which stays exact far inside, where Phi rounds to zero.

    Args:
        sdf: signed distance, negative inside.
        sharpness: k; the larger, the thinner the surface.

    Raises:
        ValueError: if the sharpness is not positive.

    >>> alpha = -jnp.expm1(-optical_depths(jnp.array([[1.0, -1.0, 1.0]]), 2.0))
    >>> [f"{a:.4f}" for a in alpha[0]]
    ['0.8647', '0.0000']

    References:
        Wang et al., *NeuS*, 2021, equation 13.
    """
    check_positive("sharpness", sharpness)
    inside = jax.nn.log_sigmoid(sharpness * sdf)
    return jax.nn.relu(inside[:, :-1] - inside[:, 1:])


class SurfaceField(nnx.Module):
    """Signed distance and colour on a grid over `[-1, 1]^3`; at first a grey ball.

    Args:
        size: nodes an axis.
        radius: of the ball.
        rngs: for the first colours.

    Raises:
        ValueError: for fewer than two nodes, or a radius that is not positive.
    """

    def __init__(self, size: int = 128, *, radius: float = 0.7, rngs: nnx.Rngs):
        check_at_least("size", size, 2)
        check_positive("radius", radius)
        line = np.linspace(-1, 1, size, dtype=np.float32)
        nodes = np.stack(np.meshgrid(line, line, line, indexing="ij"), -1)
        self.sdf = nnx.Param(jnp.asarray(np.linalg.norm(nodes, axis=-1, keepdims=True) - radius, jnp.float32))
        self.colour = nnx.Param(0.02 * jax.random.normal(rngs.params(), (size, size, size, 3)))
        self.log_sharpness = nnx.Param(jnp.asarray(np.log(20.0), jnp.float32))

    def render(
        self,
        origins: Float[Array, "n 3"],
        directions: Float[Array, "n 3"],
        *,
        samples: int,
        offset: Float[Array, " n"] | float = 0.5,
        background: float = 1.0,
    ) -> SurfaceView:
        """What rays see.

        Args:
            origins, directions: of the rays; unit directions.
            samples: a ray; what stands between two of them has the colour of the first.
            offset: of the samples within their parts.
            background: one grey.

        Raises:
            ValueError: for fewer than two samples.
        """
        check_at_least("samples", samples, 2)
        along = sample_rays(origins, directions, samples, offset)
        n = len(origins)
        grid = jnp.concatenate([self.sdf[...], self.colour[...], self.slopes()], axis=-1)
        read = sample_grid(grid, along.x.reshape(-1, 3), outside="border").reshape(n, samples, 7)
        depths = optical_depths(read[..., 0], jnp.exp(self.log_sharpness[...]))
        numbers = jnp.concatenate([jax.nn.sigmoid(read[:, :-1, 1:4]), read[:, :-1, 4:]], axis=-1)
        pixels = composite(depths, numbers, jnp.ones_like(depths))
        depth = mean_depth(pixels.weights, along.t[:, :-1], along.near, along.far)
        rgb = pixels.rgb[:, :3] + (1 - pixels.opacity)[:, None] * background
        return SurfaceView(rgb, depth, pixels.opacity, pixels.rgb[:, 3:])

    def slopes(self) -> Float[Array, "s s s 3"]:
        """Gradient of the distance at the nodes, by central differences."""
        sdf = self.sdf[..., 0]
        return jnp.stack(jnp.gradient(sdf, 2 / (len(sdf) - 1)), axis=-1)

    def eikonal(self) -> Float[Array, ""]:
        """`mean (|grad f| - 1)^2` over the nodes; zero for a distance."""
        squared = jnp.sum(self.slopes() ** 2, axis=-1)
        return jnp.mean((jnp.sqrt(squared + 1e-12) - 1) ** 2)  # the root has no slope at zero
