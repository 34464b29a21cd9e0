"""Generated recordings and graphs, whose communities are known."""

from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from quire.common.checks import check_at_least
from quire.common.data.calcium import Recording, Recordings
from quire.common.random import generator
from quire.dynamic_connectome.affinity import smoothed


@dataclass(frozen=True)
class Truth:
    """Recordings whose groups are known.

    Attributes:
        traces: of each animal.
        members: which neurons each group has; groups overlap.
        windows: when each group is active.
        animals: in which animals.
    """

    traces: list[Float[np.ndarray, "neurons frames"]]
    members: Bool[np.ndarray, "groups neurons"]
    windows: Bool[np.ndarray, "groups frames"]
    animals: Bool[np.ndarray, "groups animals"]


def overlapping_groups(
    key: jax.Array,
    *,
    neurons: int = 24,
    groups: int = 3,
    size: int = 10,
    step: int = 7,
    animals: int = 6,
    frames: int = 240,
    window: int = 70,
    absent: int = 1,
    own: float = 0.5,
) -> Truth:
    """Random walks; a group moves together within its own window, in its own animals.

    Group k has neurons `step k .. step k + size - 1`, so that neighbours share some. While it is active, the increments of its
    neurons are a common smooth one, times a gain in (0.7, 1.3), plus `own` times an independent one. All else is independent.

    Args:
        key: of everything that is drawn.
        neurons, groups, size, step, animals, frames: sizes.
        window: frames for which a group is active; windows follow each other.
        absent: animals in which a group is never active, other ones for each group.
        own: share of independent movement.

    Raises:
        ValueError: if groups or windows do not fit in, or a group has no animal.
    """
    if step * (groups - 1) + size > neurons or groups * window > frames:
        raise ValueError(f"neurons is {neurons} and frames {frames}; {groups} groups of {size} and windows of {window} need more")
    if not 0 <= absent < animals:
        raise ValueError(f"absent is {absent}; it must lie between 0 and {animals - 1}")
    draw = generator(key)
    index, starts = np.arange(neurons), np.arange(groups) * (frames // groups)
    members = np.stack([(index >= step * k) & (index < step * k + size) for k in range(groups)])
    windows = np.stack([(np.arange(frames) >= s) & (np.arange(frames) < s + window) for s in starts])
    active = np.zeros((groups, animals), bool)
    for row in active:
        row[draw.choice(animals, animals - absent, replace=False)] = True
    traces = []
    for animal in range(animals):
        increments = draw.normal(size=(neurons, frames))
        for k in np.flatnonzero(active[:, animal]):
            together = draw.uniform(0.7, 1.3, (size, 1)) * _smooth_noise(draw, 1, frames)
            cells = np.ix_(members[k], windows[k])
            increments[cells] = (together + own * increments[members[k]])[:, windows[k]]
        traces.append(np.cumsum(increments, axis=1))
    return Truth(traces, members, windows, active)


def _smooth_noise(draw, rows, frames, sigma=3.0):
    noise = smoothed(draw.normal(size=(rows, frames)), sigma)
    return noise / noise.std(axis=1, keepdims=True)


def weighted_blocks(
    key: jax.Array, nodes: int = 48, groups: int = 4, density: float = 0.6, ratio: float = 8.0, outside: float | None = None
) -> tuple[Float[np.ndarray, "nodes nodes"], Int[np.ndarray, " nodes"]]:
    """A graph whose weights, exponential, are larger within groups by a ratio, and whose edges may be everywhere alike.

    Args:
        key: of everything that is drawn.
        nodes, groups: sizes; every node is in a group at random.
        density: probability of an edge within groups.
        ratio: mean weight within groups; that between groups is 1.
        outside: probability of an edge between groups; that within by default.

    Returns:
        Weights, 0 for no edge, and the group of each node.
    """
    draw = generator(key)
    labels = draw.integers(0, groups, nodes)
    inside = labels[:, None] == labels[None]
    edges = draw.uniform(size=(nodes, nodes)) < np.where(inside, density, density if outside is None else outside)
    weights = np.triu(edges * draw.exponential(size=edges.shape) * np.where(inside, ratio, 1.0), 1)
    return weights + weights.T, labels


def weighted_lfr(
    key: jax.Array,
    nodes: int = 125,
    degree: float = 25.0,
    max_degree: int = 100,
    *,
    mix_edges: float = 0.5,
    mix_weights: float = 0.25,
    weight_exponent: float = 2.0,
    sizes: tuple[int, int] = (15, 40),
) -> tuple[Float[np.ndarray, "nodes nodes"], Int[np.ndarray, " nodes"]]:
    """Weighted graphs after the benchmark of Lancichinetti and Fortunato (2009), in expectation.

    Degrees follow a power law of exponent 2, sizes of communities one of exponent 1. A node of degree k has the strength
    `s = k^weight_exponent`; shares `mix_edges` of its edges and `mix_weights` of its strength go to other communities. Edges are
    independent with the probabilities that give these degrees, weights exponential with the means that give these strengths.

    Args:
        key: of everything that is drawn.
        nodes, degree, max_degree: sizes; `degree` is the mean.
        mix_edges, mix_weights: the two mixing parameters, in (0, 1).
        weight_exponent: beta.
        sizes: least and largest community.

    Returns:
        Weights, 0 for no edge, and the community of each node.

    Raises:
        ValueError: for a mixing parameter that is not between 0 and 1, or sizes that do not fit.
    """
    for name, mixing in (("mix_edges", mix_edges), ("mix_weights", mix_weights)):
        if not 0 < mixing < 1:
            raise ValueError(f"{name} is {mixing}; it must lie between 0 and 1")
    check_at_least("nodes", nodes, 2 * sizes[0])
    draw = generator(key)
    degrees = _power_law(draw, nodes, 2.0, degree, max_degree)
    labels = _communities(draw, nodes, sizes)
    inside = labels[:, None] == labels[None]
    strength = degrees**weight_exponent
    p_in, p_out = (_fitted(degrees * share, same) for share, same in ((1 - mix_edges, inside), (mix_edges, ~inside)))
    mean_in, mean_out = ((1 - mix_weights) / (1 - mix_edges), mix_weights / mix_edges)
    per_edge = strength / degrees
    mean = np.sqrt(np.outer(per_edge, per_edge)) * np.where(inside, mean_in, mean_out)
    edges = draw.uniform(size=inside.shape) < np.where(inside, p_in, p_out)
    weights = np.triu(edges * draw.exponential(size=edges.shape) * mean, 1)
    return weights + weights.T, labels


def _power_law(draw, count, exponent, mean, largest):
    """Numbers with a density of `k^-exponent` up to the largest, the least chosen for the mean."""
    grid = np.linspace(1, mean, 400)
    densities = [np.arange(least, largest + 1.0) ** -exponent for least in grid]
    means = [np.sum(d * np.arange(least, largest + 1.0)) / d.sum() for d, least in zip(densities, grid, strict=True)]
    least = grid[int(np.argmin(np.abs(np.array(means) - mean)))]
    u = draw.uniform(size=count)
    power = 1 - exponent
    return (least**power + u * (largest**power - least**power)) ** (1 / power)


def _communities(draw, nodes, sizes):
    """Sizes with a density of 1/size, until all nodes are placed; a rest that is too small joins the last one."""
    low, high = sizes
    ends = [0]
    while nodes - ends[-1] >= 2 * low:
        ends.append(min(ends[-1] + int(low * (high / low) ** draw.uniform()), nodes - low))
    counts = np.diff([*ends, nodes])
    return draw.permutation(np.repeat(np.arange(len(counts)), counts))


def _fitted(degrees, allowed, rounds=50):
    """Probabilities of independent edges among the allowed pairs with about these expected degrees."""
    allowed = allowed & ~np.eye(len(degrees), dtype=bool)
    factor = degrees / np.sqrt(degrees.sum())
    for _ in range(rounds):
        p = np.minimum(np.outer(factor, factor), 1) * allowed
        factor = factor * np.sqrt(degrees / np.maximum(p.sum(1), 1e-9))
    return np.minimum(np.outer(factor, factor), 1) * allowed


def generated_worms(animals: int = 7, frames: int = 800, seed: int = 0) -> Recordings:
    """Recordings that need no file: 40 neurons, among them the command neurons of reversals, which rise and fall together.

    Left and right neurons of AVA, AVE and AIB follow one signal, those of RIM, SMD and RME another one; the others wander alone.
    """
    draw = np.random.default_rng(seed)
    circuits = [("AVAL", "AVAR", "AVEL", "AVER", "AIBL", "AIBR"), ("RIML", "RIMR", "SMDDL", "SMDDR", "RMEL", "RMER")]
    names = sum(circuits, ()) + tuple(f"N{i:02d}" for i in range(28))
    found = []
    for animal in range(animals):
        increments = _smooth_noise(draw, len(names), frames)
        for k, circuit in enumerate(circuits):
            shared = _smooth_noise(draw, 1, frames) * (draw.uniform(size=(1, frames)) < 0.9)
            rows = slice(6 * k, 6 * k + len(circuit))
            increments[rows] = shared * draw.uniform(0.7, 1.3, (len(circuit), 1)) + 0.4 * increments[rows]
        walk = np.cumsum(increments, axis=1)
        walk = (walk - walk.mean(1, keepdims=True)) / walk.std(1, keepdims=True)
        reversal = np.diff(walk[0], prepend=walk[0, 0]) > 0
        seconds = np.arange(frames, dtype=np.float32) * 0.6
        found.append(Recording(f"generated {animal}", walk.astype(np.float32), names, seconds, np.zeros(0, np.float32), reversal))
    return Recordings(f"generated worms, {animals} worms, {frames} frames", tuple(found))
