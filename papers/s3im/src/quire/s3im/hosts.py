"""Fields that the loss trains, and what each adds by itself: the loss does not ask what it trains."""

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from quire.common.fields.hash_grid import hash_levels
from quire.common.fields.radiance import HashField, RadianceField, VMField, VoxelSHField
from quire.common.fields.ray_batches import render_rays
from quire.s3im.config import KINDS, FieldConfig, Kind
from quire.s3im.surface import SurfaceField, SurfaceView

Host = RadianceField | SurfaceField


def build_host(kind: Kind | str, config: FieldConfig, *, rngs: nnx.Rngs) -> Host:
    """A host with its first weights: `"vm"`, `"hash"`, `"voxel"` or `"surface"`.

    Raises:
        ValueError: for an unknown kind.

    >>> build_host("voxel", FieldConfig(voxel_size=4, degree=1), rngs=nnx.Rngs(0)).grid.shape
    (4, 4, 4, 4)
    """
    vm, voxel = config.vm_size, config.voxel_size
    makers = {
        "vm": lambda: VMField((vm, vm, vm), config.density_rank, config.colour_rank, hidden=config.hidden, rngs=rngs),
        "hash": lambda: HashField(
            hash_levels(config.levels, config.base, config.finest, config.log2_size, 3), hidden=config.hidden, rngs=rngs
        ),
        "voxel": lambda: VoxelSHField((voxel, voxel, voxel), config.degree, rngs=rngs),
        "surface": lambda: SurfaceField(config.sdf_size, rngs=rngs),
    }
    if kind not in makers:
        raise ValueError(f"kind is {kind!r}; it must be one of {', '.join((*KINDS, 'surface'))}")
    return makers[kind]()


def look(
    host: Host,
    origins: Float[Array | np.ndarray, "n 3"],
    directions: Float[Array | np.ndarray, "n 3"],
    *,
    samples: int,
    offset: Float[Array, " n"] | float = 0.5,
    clip: tuple[float, float] | Array | np.ndarray = (-5.0, 7.0),
) -> SurfaceView:
    """What rays see over white; a field without a surface has normals of zero."""
    origins, directions, bounds = jnp.asarray(origins), jnp.asarray(directions), jnp.asarray(clip)
    if isinstance(host, SurfaceField):
        return host.render(origins, directions, samples=samples, offset=offset)
    seen = render_rays(host, origins, directions, samples=samples, offset=offset, clip=bounds)
    return SurfaceView(seen.rgb, seen.depth, seen.opacity, jnp.zeros_like(seen.rgb))


def own_penalty(host: Host) -> Float[Array, ""]:
    """What a host adds to any loss: sparse density of planes and lines, slopes of length 1 of a distance, else nothing."""
    if isinstance(host, SurfaceField):
        return host.eikonal()
    return host.density_l1() if isinstance(host, VMField) else jnp.asarray(np.float32(0))
