"""A MACE-style force field whose many-body products are Gaunt products or MACE's own symmetric contraction (section 4.2)."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Integer

from quire.common.checks import check_at_least, check_positive, is_concrete
from quire.common.equivariant.clebsch_gordan import real_clebsch_gordan
from quire.common.equivariant.neighbours import Neighbours, edge_vectors
from quire.common.equivariant.radial import bessel_basis, polynomial_cutoff
from quire.common.equivariant.spherical_harmonics import normalize, spherical_harmonics
from quire.gaunt_tensor_product.cg_product import cg_paths
from quire.gaunt_tensor_product.initial import normal_weights
from quire.gaunt_tensor_product.interaction import DegreeLinear, mix_channels
from quire.gaunt_tensor_product.many_body import ManyBody, SymmetricContraction

SILU_GAIN = 1.679
"""Makes SiLU of a standard normal number have mean square 1."""


@dataclass(frozen=True)
class MACEConfig:
    """Sizes of the force field; the defaults are the paper's for 3BPA.

    Attributes:
        num_elements: chemical elements.
        tp: `"gaunt"` or `"cg"`, the product of the many-body block.
        channels: copies of every degree.
        lmax_edge: degree of the harmonics of edges and of the summed messages.
        lmax_hidden: degree of the features between layers; the last layer keeps scalars.
        nu: factors of the many-body product.
        num_layers: layers.
        cutoff: of the neighbours, Angstrom.
        num_bessel: radial functions.
        radial_widths: hidden layers of the radial MLP.
        readout_width: hidden layer of the last readout.
        mean_neighbours: by which sums over neighbours are divided.
        scale, shift: of the site energies, eV.

    Raises:
        ValueError: for an unknown product, sizes below 1, negative degrees, or lengths that are not positive.
    """

    num_elements: int
    tp: Literal["gaunt", "cg"] = "gaunt"
    channels: int = 256
    lmax_edge: int = 3
    lmax_hidden: int = 2
    nu: int = 3
    num_layers: int = 2
    cutoff: float = 5.0
    num_bessel: int = 8
    radial_widths: tuple[int, ...] = (64, 64, 64)
    readout_width: int = 16
    mean_neighbours: float = 1.0
    scale: float = 1.0
    shift: float = 0.0

    def __post_init__(self):
        if self.tp not in ("gaunt", "cg"):
            raise ValueError(f"tp is {self.tp!r}; choose from gaunt, cg")
        for name in ("num_elements", "channels", "nu", "num_layers", "num_bessel", "readout_width"):
            check_at_least(name, getattr(self, name))
        for name in ("lmax_edge", "lmax_hidden"):
            check_at_least(name, getattr(self, name), 0)
        for name in ("cutoff", "mean_neighbours"):
            check_positive(name, getattr(self, name))
        if min(self.radial_widths, default=1) < 1:
            raise ValueError(f"radial_widths is {self.radial_widths}; widths must be at least 1")
        if self.num_layers > 1 and self.lmax_hidden > self.nu * self.lmax_edge:
            raise ValueError(
                f"lmax_hidden is {self.lmax_hidden}; products have degrees 0 to nu * lmax_edge = {self.nu * self.lmax_edge}"
            )


class Edges(NamedTuple):
    """What a network reads of the edges: all that depends on the positions of the atoms.

    Attributes:
        harmonics: of the directions, `"component"` normalization, `[..., (lmax_edge + 1)^2]`.
        radial: Bessel functions of the distances times the cutoff, `[..., num_bessel]`.
    """

    harmonics: Float[Array, "*batch n"]
    radial: Float[Array, "*batch radial"]


def edges_of(config: MACEConfig, vectors: Float[Array, "*batch 3"]) -> Edges:
    """Harmonics and radial functions of edge vectors `[..., 3]`; both are smooth up to the cutoff."""
    r = normalize(vectors)[1][..., 0]
    radial = bessel_basis(r, config.cutoff, config.num_bessel) * polynomial_cutoff(r, config.cutoff)[..., None]
    return Edges(spherical_harmonics(config.lmax_edge, vectors, "component"), radial)


class RadialMLP(nnx.Module):
    """An MLP without bias on the radial functions, so that everything vanishes at the cutoff."""

    def __init__(self, config: MACEConfig, outputs: int, *, rngs: nnx.Rngs):
        widths = (config.num_bessel, *config.radial_widths, outputs)
        self.kernels = nnx.List(normal_weights(rngs, (a, b), a) for a, b in pairwise(widths))

    def __call__(self, x: Float[Array, "*batch radial"]) -> Float[Array, "*batch outputs"]:
        """Radial functions `[..., num_bessel]` to weights `[..., outputs]`."""
        *hidden, last = self.kernels
        for kernel in hidden:
            x = SILU_GAIN * jax.nn.silu(jnp.matmul(x, kernel[...]))
        return jnp.matmul(x, last[...])


class Interaction(nnx.Module):
    """Sum over neighbours of channel-wise products of their features with the harmonics of the edge, weighted per path."""

    def __init__(self, config: MACEConfig, lmax_in: int, *, rngs: nnx.Rngs):
        channels, lmax = config.channels, config.lmax_edge
        self.paths = tuple(cg_paths(lmax_in, lmax, lmax, even=True))
        self.up = DegreeLinear(lmax_in, channels, channels, rngs=rngs)
        self.radial = RadialMLP(config, channels * len(self.paths), rngs=rngs)
        counts = [sum(path[2] == l for path in self.paths) * channels for l in range(lmax + 1)]
        self.kernels = nnx.List(normal_weights(rngs, (n, channels), n) for n in counts)
        self.mean_neighbours = config.mean_neighbours

    def __call__(
        self,
        h: Float[Array, "atoms channels n"],
        edges: Edges,
        neighbours: Neighbours,
    ) -> Float[Array, "atoms channels n2"]:
        """Messages, summed and mixed: `[atoms, channels, (lmax_edge + 1)^2]`."""
        channels = h.shape[1]
        weights = self.radial(edges.radial).reshape(*neighbours.mask.shape, len(self.paths), channels)
        weights = jnp.where(neighbours.mask[..., None, None], weights, 0)
        senders = self.up(h)[neighbours.index]
        # scalar senders stand first, a path for each degree: one matrix product over the neighbours for all
        scalars = weights[..., : len(self.kernels), :] * senders[..., None, :, 0]
        products = jnp.einsum("nkpc,nkm->npcm", scalars, edges.harmonics)
        sums: list[list[Array]] = [[products[:, l, :, l * l : (l + 1) ** 2]] for l in range(len(self.kernels))]
        for p, (l1, l2, l3) in enumerate(self.paths):
            if l1 == 0:
                continue
            Y = edges.harmonics[..., l2 * l2 : (l2 + 1) ** 2]
            C = (real_clebsch_gordan(l1, l2, l3) * (2 * l3 + 1) ** 0.5).astype(h.dtype)
            coupled = jnp.einsum("nkj,ijm->nkim", Y, C)
            x = senders[..., l1 * l1 : (l1 + 1) ** 2] * weights[..., p, :, None]
            sums[l3].append(jnp.einsum("nkci,nkim->ncm", x, coupled))
        mixed = [
            mix_channels(jnp.concatenate(terms, axis=1), kernel[...]) for terms, kernel in zip(sums, self.kernels, strict=True)
        ]
        return jnp.concatenate(mixed, axis=-1) / self.mean_neighbours


class MACELayer(nnx.Module):
    """Interaction, many-body product, linear map, and a residual connection whose linear map depends on the element."""

    def __init__(self, config: MACEConfig, lmax_in: int, lmax_out: int, *, rngs: nnx.Rngs):
        c = config
        self.interaction = Interaction(c, lmax_in, rngs=rngs)
        sizes = (c.nu, c.lmax_edge, lmax_out, c.num_elements, c.channels)
        self.product = (
            ManyBody(*sizes, weigh_inputs=True, rngs=rngs) if c.tp == "gaunt" else SymmetricContraction(*sizes, rngs=rngs)
        )
        self.linear = DegreeLinear(lmax_out, c.channels, c.channels, rngs=rngs)
        shared = min(lmax_in, lmax_out)
        self.skip = normal_weights(rngs, (c.num_elements, shared + 1, c.channels * c.channels), c.channels)

    def __call__(self, h, one_hot, edges, neighbours):
        """Features of atoms `[atoms, channels, (lmax_in + 1)^2]` to `[atoms, channels, (lmax_out + 1)^2]`."""
        out = self.linear(self.product(self.interaction(h, edges, neighbours), one_hot))
        kernels = self.skip[...].reshape(*self.skip.shape[:2], h.shape[1], h.shape[1])
        for l in range(kernels.shape[1]):
            part = slice(l * l, (l + 1) ** 2)
            by_element = jnp.einsum("ncm,ecd->nedm", h[..., part], kernels[:, l])
            out = out.at[..., part].add(jnp.sum(one_hot[:, :, None, None] * by_element, axis=1))
        return out


class MACE(nnx.Module):
    """Site energies from species and positions.

    Args:
        config: sizes and the kind of product.
        rngs: for the weights.
    """

    def __init__(self, config: MACEConfig, *, rngs: nnx.Rngs):
        c = self.config = config
        self.embedding = normal_weights(rngs, (c.num_elements, c.channels))
        degrees = [0, *[c.lmax_hidden] * (c.num_layers - 1), 0]
        self.layers = nnx.List(MACELayer(c, a, b, rngs=rngs) for a, b in pairwise(degrees))
        self.readouts = nnx.List(normal_weights(rngs, (c.channels, 1), c.channels) for _ in self.layers[:-1])
        self.hidden_kernel = normal_weights(rngs, (c.channels, c.readout_width), c.channels)
        self.last_kernel = normal_weights(rngs, (c.readout_width, 1), c.readout_width)

    def __call__(
        self,
        species: Integer[Array, " atoms"],
        vectors: Float[Array, "atoms capacity 3"],
        neighbours: Neighbours,
    ) -> Float[Array, " atoms"]:
        """Interaction energy of every atom, without the energies of isolated atoms.

        Args:
            species: index of each atom's element; -1 for atoms that only pad.
            vectors: from every atom to its neighbours.
            neighbours: who they are.

        Returns:
            Energies; NaN where a traced species is no element of the network, or traced neighbours overflow.

        Raises:
            ValueError: if the arrays do not fit each other, a species is no element of the network, or neighbours overflow.
        """
        if vectors.shape[:2] != neighbours.mask.shape or len(species) != len(vectors):
            raise ValueError(
                f"species has shape {species.shape}, vectors {vectors.shape} and the neighbour mask {neighbours.mask.shape}; "
                "they must agree in atoms and capacity"
            )
        return self.of_edges(species, edges_of(self.config, vectors), neighbours)

    def of_edges(self, species: Integer[Array, " atoms"], edges: Edges, neighbours: Neighbours) -> Float[Array, " atoms"]:
        """The same from harmonics and radial functions that are there already."""
        c = self.config
        _check_frame(c, species, neighbours)
        one_hot = jax.nn.one_hot(species, c.num_elements, dtype=edges.radial.dtype)
        h = jnp.matmul(one_hot, self.embedding[...])[..., None]
        energy = jnp.zeros(len(species), edges.radial.dtype)
        for i, layer in enumerate(self.layers):
            h = layer(h, one_hot, edges, neighbours)
            scalars = h[..., 0]
            if i + 1 < len(self.layers):
                energy += jnp.matmul(scalars, self.readouts[i][...])[:, 0]
            else:
                hidden = SILU_GAIN * jax.nn.silu(jnp.matmul(scalars, self.hidden_kernel[...]))
                energy += jnp.matmul(hidden, self.last_kernel[...])[:, 0]
        # a factor, so that forces are NaN too
        sound = (species >= -1) & (species < c.num_elements) & (neighbours.overflow == 0)
        return jnp.where(species >= 0, c.scale * energy + c.shift, 0) * jnp.where(sound, 1, jnp.nan).astype(energy.dtype)


def _check_frame(config: MACEConfig, species: Array, neighbours: Neighbours) -> None:
    """Raise a ValueError for elements that the network does not have and neighbours that were left out, where they are known."""
    if not jnp.issubdtype(species.dtype, jnp.integer):
        raise ValueError(f"species has dtype {species.dtype}; it holds indices of elements")
    # by NumPy: inside `jit`, JAX traces what is computed from known arrays too
    if is_concrete(species) and species.size:
        lowest, highest = np.asarray(species).min(), np.asarray(species).max()
        if lowest < -1 or highest >= config.num_elements:
            raise ValueError(
                f"species runs from {lowest} to {highest}; it must be below {config.num_elements}, or -1 for padding"
            )
    if is_concrete(neighbours.overflow) and (lost := int(np.asarray(neighbours.overflow).sum())):
        raise ValueError(f"neighbours overflow by {lost}; make the list with `most_neighbours`")


def energy_and_forces(
    model: MACE, species: Integer[Array, " atoms"], positions: Float[Array, "atoms 3"], neighbours: Neighbours
) -> tuple[Float[Array, ""], Float[Array, "atoms 3"]]:
    """Interaction energy of a cluster, the sum of its site energies, and forces, minus its derivative.

    Args:
        model: the force field.
        species: elements, -1 for padding.
        positions: `[atoms, 3]`.
        neighbours: from `neighbour_list`.

    Returns:
        Energy and forces `[atoms, 3]`.
    """

    def energy(positions):
        return jnp.sum(model(species, edge_vectors(positions, neighbours), neighbours))

    value, gradient = jax.value_and_grad(energy)(positions)
    return value, -gradient


def edges_with_slopes(config: MACEConfig, vectors: Float[Array, "*batch 3"]) -> tuple[Edges, Edges]:
    """Edges and their derivatives by the vectors, with a last axis of 3.

    Geometry is the same in every step of a training, and forces need its first derivatives only; computed once, they spare the
    loop the second derivatives of harmonics and radial functions.
    """

    def along(direction):
        return jax.jvp(lambda v: edges_of(config, v), (vectors,), (jnp.broadcast_to(direction, vectors.shape),))

    edges, slopes = jax.vmap(along, out_axes=(None, -1))(jnp.eye(3, dtype=vectors.dtype))
    return edges, slopes


def energy_and_forces_of_edges(
    model: MACE, species: Integer[Array, " atoms"], edges: Edges, slopes: Edges, neighbours: Neighbours
) -> tuple[Float[Array, ""], Float[Array, "atoms 3"]]:
    """`energy_and_forces` from what `edges_with_slopes` returns, by the chain rule."""
    value, gradient = jax.value_and_grad(lambda edges: jnp.sum(model.of_edges(species, edges, neighbours)))(edges)
    # by sums: as a product of matrices, this would be one small product for every edge
    along_harmonics, along_radial = (jnp.sum(g[..., None] * s, axis=-2) for g, s in zip(gradient, slopes, strict=True))
    pulls = along_harmonics + along_radial
    positions = jax.ShapeDtypeStruct((len(species), 3), pulls.dtype)
    (forces,) = jax.linear_transpose(lambda x: edge_vectors(x, neighbours), positions)(-pulls)
    return value, forces
