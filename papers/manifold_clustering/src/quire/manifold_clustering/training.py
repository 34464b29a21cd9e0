"""Training, several seeds side by side: stage 1 (TCR), heads copied, stage 2 (Algorithm 1); NMCE and supervised MCR2 as rivals.

Batches and augmentations are drawn on the host; a chunk of steps is one compiled call.
"""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float

from quire.common.random import generator
from quire.common.train.batches import epoch_indices
from quire.common.train.finite import check_losses, check_state
from quire.common.train.seeds import fold_keys, initial_states, stack
from quire.manifold_clustering.config import Stage, Study
from quire.manifold_clustering.network import MLCNet, copy_feature_head
from quire.manifold_clustering.objectives import (
    Kernel,
    Rates,
    affinity,
    mcr2_objective,
    mlc_objective,
    nmce_objective,
    tcr_objective,
    unit,
)
from quire.manifold_clustering.points import Points, augment
from quire.manifold_clustering.rates import coding_rate
from quire.manifold_clustering.sinkhorn import sinkhorn

VIEWS = 2
OPTIMISERS = {
    "adam": optax.scale_by_adam(),
    "sgd": optax.trace(0.9),
    "lars": optax.chain(optax.scale_by_trust_ratio(trust_coefficient=0.02), optax.trace(0.9)),
}


class Nets(NamedTuple):
    """Networks of several seeds: their graph, and states `[seeds, ...]`."""

    graph: nnx.GraphDef
    state: Any

    def one(self, seed: int) -> Any:
        """The network of a seed, to evaluate."""
        net = nnx.merge(self.graph, jax.tree.map(lambda x: x[seed], self.state))
        net.eval()
        return net


class Fitted(NamedTuple):
    """Networks after stage 1 with the heads copied, and after stage 2; curves `[seeds, steps]` of both stages."""

    tcr: Nets
    mlc: Nets
    tcr_curves: dict[str, np.ndarray]
    mlc_curves: dict[str, np.ndarray]


Objective = Callable[[Any, dict[str, Array], Study, Array], tuple[Array, Rates]]
"""`(net, batch, study, eta)` to what is maximised, and its parts.

A batch has `x [views, b, ...]`, `labels [b]` and Gumbel noise `noise [views, b, k]`.
"""


def both_views(net: MLCNet, x: Float[Array, "views b ..."]) -> tuple[Array, Array]:
    """Features, unit rows, and what the cluster head says, as it is, `[views, b, ...]`."""
    h = net.trunk(x.reshape(-1, *x.shape[2:]))
    Z, C = (y.reshape(*x.shape[:2], -1) for y in (unit(net.feature_head(h)), net.cluster_head(h)))
    return Z, C


def tcr(net, batch, study, eta):
    """Stage 1, with the weight of the mean cosine."""
    Z, _ = both_views(net, batch["x"])
    value = tcr_objective(Z[0], Z[1], study.eps_squared, study.similarity / Z.shape[1], absolute=False)
    rate = coding_rate(unit(Z.mean(0)), study.eps_squared)
    return value, Rates(rate, jnp.zeros_like(rate), jnp.zeros((1, 1)))


def mlc(net, batch, study, eta):
    """Stage 2."""
    Z, C = both_views(net, batch["x"])
    options = {"kernel": study.kernel, "n_half_iters": study.n_half_iters, "grad": study.grad, "block": study.block}
    return mlc_objective(Z, unit(C), study.eps_squared, eta, study.gamma_reg, **options)


def nmce(net, batch, study, eta):
    """k clusters by Gumbel-softmax."""
    Z, logits = both_views(net, batch["x"])
    return nmce_objective(Z, logits, batch["noise"], study.eps_squared, study.similarity / Z.shape[1])


def supervised(net, batch, study, eta):
    """MCR2 with the classes."""
    Z, _ = both_views(net, batch["x"])
    return mcr2_objective(unit(Z.mean(0)), jax.nn.one_hot(batch["labels"], study.k), study.eps_squared)


def new_nets(study: Study, points: Points, keys: jax.Array) -> Nets:
    """Untrained networks, one for each key."""
    width = points.x.shape[-1] if study.backbone != "none" else int(np.prod(points.x.shape[1:]))

    def build(rngs):
        return MLCNet(study.backbone, width, study.hidden, study.dim, norm=study.norm, rngs=rngs)

    return Nets(*initial_states(build, keys))


def with_cluster_logits(nets: Nets, k: int, keys: jax.Array) -> Nets:
    """The same networks with a new cluster head of k scores, as NMCE has it."""
    found = []
    for seed, key in enumerate(keys):
        net = nnx.merge(nets.graph, jax.tree.map(lambda x, s=seed: x[s], nets.state))
        net.cluster_head = nnx.Linear(net.cluster_head.in_features, k, rngs=nnx.Rngs(key))
        found.append(nnx.split(net))
    return Nets(found[0][0], stack([state for _, state in found]))


def fit_mlc(points: Sequence[Points], study: Study, keys: jax.Array) -> Fitted:
    """Both stages, with the one-shot initialisation of the memberships between them; one network for each key.

    Args:
        points: of every seed, as many in each.
        study: network, objectives, stages.
        keys: for weights, batches and augmentations.

    Raises:
        ValueError: if there are not as many sets of points as keys.
        TrainingDiverged: if a number is not finite.
    """
    nets, tcr_curves = fit_stage(new_nets(study, points[0], keys), tcr, points, study, study.tcr, keys)
    nets = Nets(nets.graph, copy_feature_head(nets.state))
    trained, mlc_curves = fit_stage(nets, mlc, points, study, study.mlc, keys)
    return Fitted(nets, trained, tcr_curves, mlc_curves)


def fit_stage(
    nets: Nets,
    objective: Objective,
    points: Sequence[Points],
    study: Study,
    stage: Stage,
    keys: jax.Array,
    *,
    eta: float | None = None,
) -> tuple[Nets, dict[str, np.ndarray]]:
    """Train all networks by one objective; the networks that went in stay as they are.

    Warns where the mean diagonal of Gamma ends above 1/2: every point drifts into a cluster of its own.

    Args:
        nets: where to start.
        objective: `tcr`, `mlc`, `nmce` or `supervised`, or one like them.
        points: of every seed.
        study, stage: sizes, rates.
        keys: for batches and augmentations.
        eta: weight of the entropy, in place of the study's.

    Returns:
        Networks, and curves `[seeds, steps]`: the objective, both rates in nats, the mean diagonal of the memberships.

    Raises:
        ValueError, TrainingDiverged: as `fit_mlc`.
    """
    if len(points) != len(keys):
        raise ValueError(f"points has {len(points)} sets for {len(keys)} keys; there must be one for each")
    params, stats = nnx.split_state(nets.state, nnx.Param, ...)
    optimiser = OPTIMISERS[stage.optimiser]
    moments = jax.vmap(optimiser.init)(params)
    streams = [_Stream(p, study, stage, key) for p, key in zip(points, fold_keys(keys, stage.steps), strict=True)]
    rates, curves = _rates(stage), []
    decays = np.array([stage.decay, stage.cluster_decay], np.float32)
    weight = np.float32(study.eta if eta is None else eta)
    chunk = min(study.chunk, stage.steps)
    for first in range(0, stage.steps, chunk):
        batches = stack([stream.draw(first, chunk) for stream in streams])
        now = rates[first : first + chunk]
        (params, stats, moments), course = _chunk(
            nets.graph, objective, study, optimiser, (params, stats, moments), batches, now, decays, weight
        )
        curves.append(jax.tree.map(np.asarray, course))
        check_losses(curves[-1]["objective"], first)
        check_state({"params": params, "other": stats, "moments": moments}, first, first + chunk, of_seeds=True)
    found = {name: np.concatenate([c[name] for c in curves], axis=1) for name in curves[0]}
    if objective is mlc and (diagonal := found["diagonal"][:, -1].max()) > 0.5:
        warnings.warn(
            f"the mean diagonal of Gamma is {diagonal:.2f}: it drifts to a permutation, each point its own cluster; raise eta",
            stacklevel=2,
        )
    return Nets(nets.graph, nnx.merge_state(params, stats)), found


class _Stream:
    """Batches of one seed."""

    def __init__(self, points: Points, study: Study, stage: Stage, key: jax.Array):
        self.points, self.study = points, study
        self.indices = epoch_indices(key, len(points.x), stage.batch_size, stage.steps)
        self.draw_from = generator(key)

    def draw(self, first: int, count: int) -> dict[str, np.ndarray]:
        rows = self.indices[first : first + count]
        twice = np.repeat(rows[:, None], VIEWS, axis=1)
        x = augment(self.study.points, self.points.x[twice.ravel()], self.study.noise, self.draw_from)
        noise = self.draw_from.gumbel(size=(*twice.shape, self.study.k)).astype(np.float32)
        return {"x": x.reshape(*twice.shape, *x.shape[1:]), "labels": self.points.labels[rows], "noise": noise}


def _rates(stage: Stage) -> Float[np.ndarray, "steps 2"]:
    """Of everything else and of the cluster head."""
    step = np.arange(stage.steps)
    shape = np.ones(stage.steps)
    if stage.warmup is not None:
        rise = max(1, round(stage.warmup * stage.steps))
        fall = (1 + np.cos(np.pi * (step - rise) / max(1, stage.steps - rise))) / 2
        shape = np.where(step < rise, (step + 1) / rise, fall)
    return (shape[:, None] * np.array([stage.rate, stage.cluster_rate])).astype(np.float32)


@partial(jax.jit, static_argnames=("graph", "objective", "study", "optimiser"))
def _chunk(graph, objective, study, optimiser, state, batches, rates, decays, eta):
    """Some steps of all seeds."""

    def group(path):
        return int("cluster_head" in jax.tree_util.keystr(path))

    def step(carry, inputs):
        (params, stats, moments), (batch, rate) = carry, inputs

        def loss(params):
            net = nnx.merge(graph, params, stats, copy=True)  # variables of this trace, which batch norm changes
            value, rates = objective(net, batch, study, eta)
            diagonal = jnp.mean(jnp.diagonal(rates.memberships))
            course = {"objective": value, "R": rates.all, "R_c": rates.clusters, "diagonal": diagonal}
            return -value, (course, nnx.state(net, nnx.Not(nnx.Param)))

        slope, (course, stats) = jax.grad(loss, has_aux=True)(params)
        slope = jax.tree.map_with_path(lambda path, g, p: g + decays[group(path)] * p, slope, params)
        update, moments = optimiser.update(slope, moments, params)
        params = jax.tree.map_with_path(lambda path, p, u: p - rate[group(path)] * u, params, update)
        return (params, stats, moments), course

    def train(state, batches):
        return jax.lax.scan(step, state, (batches, rates))

    return jax.vmap(train)(state, batches)


@partial(jax.jit, static_argnames="graph")
def _outputs(graph, state, x):
    def one(state, x):
        net = nnx.merge(graph, state)
        net.eval()
        return unit(net.feature_head(h := net.trunk(x))), net.cluster_head(h)

    return jax.vmap(one)(state, x)


def outputs(nets: Nets, x: Float[np.ndarray, "seeds n ..."], *, batch: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Features, unit rows, and what the cluster head says, of points without augmentation, `[seeds, n, ...]`."""
    parts = [_outputs(nets.graph, nets.state, x[:, i : i + batch]) for i in range(0, x.shape[1], batch)]
    Z, C = (np.concatenate([np.asarray(part[i]) for part in parts], axis=1) for i in range(2))
    return Z, C


@partial(jax.jit, static_argnames="kernel")
def memberships(C: Float[Array, "seeds n d"], eta: float | Array, kernel: Kernel) -> Float[Array, "seeds n n"]:
    """`P(C C^T)`, converged, of outputs of cluster heads."""
    return jax.vmap(lambda c: sinkhorn(affinity(unit(c), kernel), eta))(C)
