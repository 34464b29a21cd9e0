"""Generated waves: a Gaussian pulse at a random place spreads over the square; a network sees a zone of it."""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, floating
from quire.common.random import generator
from quire.wave_cnn.wave_fe import Edge, WaveFE, ring


@dataclass(frozen=True)
class Waves:
    """The law of the simulations, and what of them is kept.

    Attributes:
        elements: along each side of the unit square.
        steps: of time, each half of an element's edge at a speed of 1.
        every: which steps are kept for the networks, from the start on; the last one is not.
        zone: first node, and number of nodes along a side, of the zone of interest.
        centre, width, speed: ranges of the uniform laws; the pulse is `exp(-|x - centre|^2 / (2 width^2))`.
        materials: 1 for one speed everywhere, 2 for another one, from the same law, where x > 1/2.
        bc: at the edges of the square.

    Raises:
        ValueError: for a size that is not positive, steps that `every` does not divide, a zone that leaves the square, ranges
            that do not ascend from positive numbers, or an unknown `bc`.
    """

    elements: int = 32
    steps: int = 64
    every: int = 4
    zone: tuple[int, int] = (4, 24)
    centre: tuple[float, float] = (0.3, 0.7)
    width: tuple[float, float] = (0.05, 0.12)
    speed: tuple[float, float] = (0.8, 1.2)
    materials: int = 1
    bc: Edge = "neumann"

    def __post_init__(self):
        check_at_least("elements", self.elements, 2)
        if self.every < 1 or self.steps < 1 or self.steps % self.every:
            raise ValueError(f"steps is {self.steps} and every {self.every}; every must be positive and divide steps")
        first, size = self.zone
        if first < 0 or size < 3 or first + size > self.elements + 1:
            raise ValueError(f"zone is {self.zone}; it needs a first node and at least 3 nodes of {self.elements + 1}")
        for name in ("centre", "width", "speed"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"{name} is {(low, high)}; it needs positive numbers that ascend")
        if self.materials not in (1, 2):
            raise ValueError(f"materials is {self.materials}; it must be 1 or 2")
        self.mesh()  # which refuses edges that it does not know

    @property
    def dt(self) -> float:
        """Length of a step of time."""
        return 0.5 / self.elements

    @property
    def times(self) -> int:
        """Steps that are kept."""
        return self.steps // self.every

    def mesh(self) -> WaveFE:
        """The square, with a speed of 1."""
        return WaveFE(self.elements, self.elements, bc=self.bc)

    def checked(self, parameters: "Parameters") -> "Parameters":
        """Parameters of simulations of this law, floating.

        Raises:
            ValueError: if there are not as many centres, widths and rows of speeds, or not a speed for each material.
        """
        n, shapes = np.shape(parameters.width)[:1], [np.shape(x) for x in parameters]
        if shapes != [(*n, 2), n, (*n, self.materials)]:
            raise ValueError(f"parameters have shapes {shapes}; they need [n, 2], [n] and [n, {self.materials}]")
        return Parameters(*(floating(x)[0] for x in parameters))

    def inside(self) -> tuple[slice, slice]:
        """The zone's nodes, on the grid."""
        first, size = self.zone
        return slice(first, first + size), slice(first, first + size)


class Parameters(NamedTuple):
    """What is drawn for each simulation: centre `[n, 2]` and width `[n]` of the pulse, speeds `[n, materials]`."""

    centre: Float[AnyArray, "*n 2"]
    width: Float[AnyArray, "*n"]
    speed: Float[AnyArray, "*n materials"]

    def table(self) -> Float[np.ndarray, "n k"]:
        """One row a simulation: centre, width, speeds."""
        return np.concatenate([self.centre, np.asarray(self.width)[:, None], self.speed], axis=1)


class WaveData(NamedTuple):
    """Simulations as a network sees them.

    Attributes:
        inputs: `[n, times, size, size, 3]`: speed, the pulse, and the displacement on the zone's rim (zero inside).
        fields: the displacement in the zone, `[n, times, size, size]`.
        parameters: of the simulations.
    """

    inputs: Float[Array | np.ndarray, "n times size size channels"]
    fields: Float[Array | np.ndarray, "n times size size"]
    parameters: Parameters


def draw_parameters(key: jax.Array, n: int, waves: Waves) -> Parameters:
    """Parameters of n simulations from the uniform law, float64."""
    draw = generator(key)
    check_at_least("n", n)
    return Parameters(
        draw.uniform(*waves.centre, (n, 2)), draw.uniform(*waves.width, n), draw.uniform(*waves.speed, (n, waves.materials))
    )


def pulse(parameters: Parameters, nodes: Float[AnyArray, "n 2"]) -> Float[Array, " n"]:
    """The initial displacement of one simulation, at these places."""
    return jnp.exp(-jnp.sum((nodes - parameters.centre[None]) ** 2, axis=1) / (2 * parameters.width**2))


@partial(jax.jit, static_argnames="waves")
def simulate(parameters: Parameters, waves: Waves) -> Float[Array, "n times nodes nodes"]:
    """Every step of every simulation, the start included, on the whole square.

    Raises:
        ValueError: if there are not as many centres, widths and rows of speeds, or not a speed for each material.
    """
    parameters = waves.checked(parameters)
    mesh = waves.mesh()

    def one(single):
        speed = _speed(single.speed, waves)
        fe = WaveFE(mesh.nx, mesh.ny, c=speed, bc=mesh.bc)
        u0 = pulse(single, jnp.asarray(mesh.nodes(), single.width.dtype))
        return fe.newmark(u0, jnp.zeros_like(u0), waves.dt, waves.steps).displacement.reshape(-1, *mesh.shape)

    many = jax.vmap(one) if waves.materials == 1 else partial(jax.lax.map, one)  # a dense factor each would not fit side by side
    return many(parameters)


def _speed(speed, waves):
    if waves.materials == 1:
        return speed[0]
    return lambda x: jnp.where(x[:, 0] < 0.5, speed[0], speed[1])


def sample_wave_dataset(key: jax.Array, n: int, waves: Waves) -> WaveData:
    """Simulations of n draws, cut to the zone and to the times that are kept.

    Args:
        key: of the draws.
        n: how many.
        waves: their law.

    Raises:
        ValueError: if n is not positive.

    >>> data = sample_wave_dataset(jax.random.key(0), 2, Waves(8, 8, 4, (2, 5)))
    >>> data.inputs.shape, data.fields.shape
    ((2, 2, 5, 5, 3), (2, 2, 5, 5))
    """
    parameters = draw_parameters(key, n, waves)
    return zone_data(parameters, np.asarray(simulate(parameters, waves)), waves)


def zone_data(parameters: Parameters, history: Float[np.ndarray, "n times nodes nodes"], waves: Waves) -> WaveData:
    """What a network sees of simulations: `history` of every step, on the whole square."""
    fields = history[:, : waves.steps : waves.every, *waves.inside()]
    shape = fields.shape
    rim = np.zeros(shape[2:], bool).reshape(-1)
    rim[ring(shape[2:])] = True
    start = np.broadcast_to(history[:, None, 0, *waves.inside()], shape)
    x = np.linspace(0, 1, waves.elements + 1)[waves.inside()[0]]
    sides = np.stack([x < 0.5, x >= 0.5])[:, :, None] if waves.materials == 2 else np.ones((1, 1, 1), bool)
    speed = np.einsum("nm,mxy->nxy", parameters.speed, np.broadcast_to(sides, (len(sides), *shape[2:])))
    channels = [np.broadcast_to(speed[:, None], shape), start, fields * rim.reshape(shape[2:])]
    return WaveData(np.stack(channels, axis=-1).astype(history.dtype), fields, parameters)
