"""Riemannian SGD for the subspaces beside any optimiser for the rest: RSGD, RAdamW, RLAMB."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from quire.common.manifolds.grassmann import exp_by_gram
from quire.common.train.rsgd import rsgd
from quire.grassmann_class.config import Training

LabelFn = Callable[[Any], Any]


def subspace_labels(params: Any) -> Any:
    """`"subspaces"` for every parameter below that name, `"rest"` for the others.

    >>> subspace_labels({"head": {"subspaces": 1.0}, "encoder": {"kernel": 2.0}})
    {'encoder': {'kernel': 'rest'}, 'head': {'subspaces': 'subspaces'}}
    """

    def label(path, _):
        return "subspaces" if "subspaces" in jax.tree_util.keystr(path) else "rest"

    return jax.tree.map_with_path(label, params)


def grassmann_optimizer(
    base: optax.GradientTransformation,
    learning_rate: optax.ScalarOrSchedule,
    *,
    lr_factor: float = 1.0,
    momentum: float = 0.9,
    reorth_every: int = 5,
    label_fn: LabelFn = subspace_labels,
    **options: Any,
) -> optax.GradientTransformation:
    """`rsgd` for what is labelled `"subspaces"`, `base` for what is labelled `"rest"`.

    Weight decay and whatever else `base` does never touch the subspaces. Do not average or clip them elsewhere: bases leave the
    manifold.

    Args:
        base: SGD, AdamW, LAMB, ...; it has its own learning rate.
        learning_rate: of `base`, so that the subspaces follow the same schedule.
        lr_factor: times it.
        momentum, reorth_every: see `rsgd`.
        label_fn: from parameters to labels.
        options: others of `rsgd`: `move`, `retract`, `transport_momentum`, `dampening`.

    References:
        Section 3.3, algorithm 1. As in the authors' code the momentum is not transported. There the counter of
        re-orthonormalisations is shared by all parameters of a process; here every optimiser has its own.
    """

    def rate(step):
        return lr_factor * jnp.asarray(learning_rate(step) if callable(learning_rate) else learning_rate)

    moves: dict[str, Any] = {"move": exp_by_gram} | options
    subspaces = rsgd(rate, momentum, reorth_every=reorth_every, **moves)
    return optax.multi_transform({"subspaces": subspaces, "rest": base}, label_fn)


def from_recipe(training: Training) -> optax.GradientTransformation:
    """The optimiser of a recipe: for classifiers with subspaces, and for those without.

    A clipped norm counts the Euclidean gradient of the subspaces too, as in the authors' code.
    """
    tx = grassmann_optimizer(
        training.base(),
        training.rate(),
        lr_factor=training.lr_factor,
        momentum=training.subspace_momentum,
        reorth_every=training.reorth_every,
    )
    return tx if training.clip is None else optax.chain(optax.clip_by_global_norm(training.clip), tx)


def plain_qr(basis: jax.Array) -> jax.Array:
    """Re-orthonormalisation of the authors' code: Householder QR, whose columns may turn around.

    The momentum, which is not transported, does not turn with them; `qr_retract` leaves the columns as they point. Pass
    `retract=plain_qr` to repeat the authors' steps to the last digit.
    """
    return jnp.linalg.qr(basis)[0]
