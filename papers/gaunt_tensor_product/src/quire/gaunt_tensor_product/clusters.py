"""Generated clusters of two elements with a Lennard-Jones and an angular potential, energies and forces exact."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32

from quire.common.checks import check_ids
from quire.common.data.molecules import Molecules
from quire.gaunt_tensor_product.shapes import check_noise

MINIMUM = np.array([[1.2, 1.35], [1.35, 1.5]])
"""Distance of the pair minimum, Angstrom, by elements."""

DEPTH = np.array([[0.30, 0.25], [0.25, 0.20]])
"""Depth of the pair minimum, eV."""

STIFFNESS = np.array([0.25, 0.10])
"""Of the angles at an atom of each element, eV."""

REACH = 3.0
"""Where pair and angular terms vanish smoothly, Angstrom."""


def cluster_energy(positions: Float[Array, "atoms 3"], species: Int32[Array | np.ndarray, " atoms"]) -> Float[Array, ""]:
    """`sum_ij eps [(a/r)^12 - 2 (a/r)^6] s(r) + sum_i sum_{j<k} K_i (cos_jik + 1/3)^2 s(r_ij) s(r_ik)`.

    Args:
        positions: Angstrom.
        species: 0 or 1.

    Returns:
        Energy in eV.

    Raises:
        ValueError: unless there is an element, 0 or 1, for every position.
    """
    check_ids("species", species, 2)
    if positions.shape != (len(species), 3):
        raise ValueError(f"positions has shape {positions.shape}; {len(species)} species need ({len(species)}, 3)")
    atoms = len(species)
    pair = ~np.eye(atoms, dtype=bool)
    difference = positions[None] - positions[:, None]
    square = jnp.where(pair, jnp.sum(difference**2, axis=-1), 1)
    r = jnp.sqrt(square)
    u = jnp.clip(r / REACH, 0, 1)
    smooth = jnp.where(pair, (1 - u * u) ** 3, 0)
    kinds = (species[:, None], species[None])
    ratio = (jnp.asarray(MINIMUM, r.dtype)[kinds] / r) ** 6
    pairs = jnp.asarray(DEPTH, r.dtype)[kinds] * (ratio * ratio - 2 * ratio) * smooth
    unit = difference / r[..., None]
    cosine = jnp.einsum("ija,ika->ijk", unit, unit, precision="highest")
    angles = (cosine + 1 / 3) ** 2 * smooth[:, :, None] * smooth[:, None] * pair[None]
    return 0.5 * jnp.sum(pairs) + 0.5 * jnp.sum(jnp.asarray(STIFFNESS, r.dtype)[species] * jnp.sum(angles, axis=(1, 2)))


def generate_clusters(seed: int, frames: int, atoms: int = 8, *, noise: float = 0.08) -> Molecules:
    """Clusters from random starts, relaxed by gradient descent, then displaced at random.

    Args:
        seed: of the starts and the displacements.
        frames: number of clusters.
        atoms: atoms of each; the first half is of element A, the rest of B.
        noise: standard deviation of the displacements, Angstrom.

    Returns:
        Frames with exact energies and forces; isolated atoms have energy 0.

    Raises:
        ValueError: if there is no frame, fewer than 3 atoms, or `noise` is negative.
    """
    if frames < 1 or atoms < 3:
        raise ValueError(f"frames is {frames} and atoms {atoms}; there must be at least 1 frame of 3 atoms")
    check_noise(noise)
    draw = np.random.default_rng(seed)
    starts = draw.standard_normal((frames, atoms, 3)) * 0.55 * atoms ** (1 / 3)
    species = np.arange(atoms, dtype=np.int32) * 2 // atoms

    with jax.enable_x64():
        slope = jax.grad(cluster_energy)

        def relax(x):
            def descend(x, _):
                step = 0.02 * slope(x, species)
                return x - jnp.clip(jnp.nan_to_num(step), -0.03, 0.03), None

            return jax.lax.scan(descend, x, None, length=150)[0]

        positions = jax.jit(jax.vmap(relax))(jnp.asarray(starts)) + noise * draw.standard_normal(starts.shape)
        energy, gradient = jax.jit(jax.vmap(jax.value_and_grad(cluster_energy), in_axes=(0, None)))(positions, species)
    name = f"generated clusters of {atoms} atoms (Lennard-Jones and angles)"
    tiled = np.broadcast_to(species, (frames, atoms)).astype(np.int32)
    return Molecules(name, ("A", "B"), tiled, np.asarray(positions), np.asarray(energy), -np.asarray(gradient), np.zeros(2))
