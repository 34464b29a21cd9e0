"""Training force fields on energies and forces, several seeds at once."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from quire.common.data.molecules import Molecules
from quire.common.equivariant.neighbours import Neighbours, edge_vectors, most_neighbours, neighbour_list
from quire.common.train.batches import epoch_indices, take_batch
from quire.common.train.recipe import Optimiser, Recipe
from quire.common.train.seeds import fit_seeds, fold_keys, stack
from quire.gaunt_tensor_product.mace import MACE, Edges, MACEConfig, edges_with_slopes, energy_and_forces_of_edges


@dataclass(frozen=True)
class Training(Recipe):
    """The authors' recipe: AMSGrad with clipped gradients, weight decay on linear maps, an average of the parameters.

    Attributes:
        energy_weight, forces_weight: of the two parts of the loss.
    """

    learning_rate: float = 0.01
    optimiser: Optimiser = "amsgrad"
    weight_decay: float = 5e-7
    decay_kernels_only: bool = True
    clip: float | None = 10.0
    ema: float = 0.99
    energy_weight: float = 1.0
    forces_weight: float = 1000.0


class Frames(NamedTuple):
    """Frames as a model reads them; energies less those of isolated atoms and the mean of the training set.

    `edges` and `slopes` are what `edges_with_slopes` makes of the positions.
    """

    species: Array
    neighbours: Neighbours
    edges: Edges
    slopes: Edges
    energy: Array
    forces: Array


def find_neighbours(molecules: Molecules, cutoff: float, dtype: Any = np.float32) -> Neighbours:
    """Neighbour lists of all frames, with the capacity that they need."""
    capacity = most_neighbours(molecules.positions, cutoff)
    near = _neighbours(jnp.asarray(molecules.positions, dtype), cutoff, capacity)
    if int(near.overflow.max()):
        raise ValueError(f"{int(near.overflow.max())} neighbours at the cutoff {cutoff} are beyond the capacity {capacity}")
    return near


@partial(jax.jit, static_argnums=(1, 2))
def _neighbours(positions: Array, cutoff: float, capacity: int) -> Neighbours:
    return jax.vmap(lambda x: neighbour_list(x, cutoff, capacity))(positions)


def prepare(config: MACEConfig, molecules: Molecules, mean_energy: float, dtype: Any = np.float32) -> Frames:
    """Geometry and energies; large energies are subtracted in float64 before they are cast.

    Args:
        config: cutoff, and degree and number of the functions of edges.
        molecules: frames of one size.
        mean_energy: subtracted from the interaction energies.
        dtype: of all real numbers.

    Raises:
        ValueError: if the configuration knows fewer elements than the frames have.
    """
    if (found := int(molecules.species.max()) + 1) > config.num_elements:
        raise ValueError(f"num_elements is {config.num_elements}, but the frames have {found} elements; see fitted_config")
    near = find_neighbours(molecules, config.cutoff, dtype)
    edges, slopes = _geometry(config, jnp.asarray(molecules.positions, dtype), near)
    energy = jnp.asarray(molecules.interaction_energy - mean_energy, dtype)
    return Frames(jnp.asarray(molecules.species), near, edges, slopes, energy, jnp.asarray(molecules.forces, dtype))


@partial(jax.jit, static_argnums=0)
def _geometry(config: MACEConfig, positions: Array, near: Neighbours) -> tuple[Edges, Edges]:
    return edges_with_slopes(config, jax.vmap(edge_vectors)(positions, near))


def fitted_config(config: MACEConfig, molecules: Molecules) -> MACEConfig:
    """The configuration with scale and mean number of neighbours of a training set.

    The scale is the root mean square force. The shift stays 0, the mean energy being subtracted from the data.
    """
    near = find_neighbours(molecules, config.cutoff)
    scale = float(np.sqrt(np.mean(molecules.forces**2)))
    return replace(config, num_elements=len(molecules.elements), scale=scale, mean_neighbours=float(near.mask.sum(-1).mean()))


def predict(model: MACE, frames: Frames) -> tuple[Float[Array, " frames"], Float[Array, "frames atoms 3"]]:
    """Energies and forces of all frames."""
    return jax.vmap(partial(energy_and_forces_of_edges, model))(frames.species, frames.edges, frames.slopes, frames.neighbours)


def force_field_loss(training: Training):
    """`loss(model, frames, key)`: `w_E mean(dE^2 / atoms) + w_F mean(dF^2)`."""

    def loss(model: MACE, frames: Frames, key: jax.Array | None) -> Float[Array, ""]:
        energy, forces = predict(model, frames)
        energy_error = jnp.mean((energy - frames.energy) ** 2) / forces.shape[1]
        return training.energy_weight * energy_error + training.forces_weight * jnp.mean((forces - frames.forces) ** 2)

    return loss


def train_force_field(config: MACEConfig, training: Training, frames: Frames, keys: jax.Array) -> tuple[nnx.GraphDef, Any, Array]:
    """Train one force field per key by one compiled loop; on a CPU one after the other, where the edges of one stay in its cache.

    Args:
        config: sizes; `fitted_config` fills in what depends on the data.
        training: optimiser and length.
        frames: what `prepare` makes of the training set, less its mean energy.
        keys: `[seeds]`.

    Returns:
        Graph, averaged state with a leading seed axis, losses `[seeds, steps]`.
    """
    sizes = len(frames.energy), training.batch_size, training.steps
    indices = stack([epoch_indices(key, *sizes) for key in fold_keys(keys, 1)])
    data = jax.tree.map(lambda a: np.broadcast_to(a, (len(keys), *a.shape)), frames)
    return fit_seeds(
        lambda rngs: MACE(config, rngs=rngs),
        training.transformation(flat=True),
        force_field_loss(training),
        take_batch,
        (data, indices),
        steps=training.steps,
        keys=keys,
        ema=training.ema,
        one_by_one=jax.default_backend() == "cpu",
    )


def force_errors(graph: nnx.GraphDef, state: Any, frames: Frames) -> tuple[Array, Array, Array]:
    """Root mean square errors of forces and of energies per seed, and predicted forces `[seeds, frames, atoms, 3]`."""
    energy, forces = _predictions(graph, state, frames)
    force_error = jnp.sqrt(jnp.mean((forces - frames.forces[None]) ** 2, axis=(1, 2, 3)))
    return force_error, jnp.sqrt(jnp.mean((energy - frames.energy[None]) ** 2, axis=1)), forces


@partial(jax.jit, static_argnums=0)
def _predictions(graph: nnx.GraphDef, state: Any, frames: Frames) -> tuple[Array, Array]:
    # frames are an argument: closed over, XLA's CPU programs gave other forces for every seed but the first
    return jax.vmap(lambda one: predict(nnx.merge(graph, one), frames))(state)
