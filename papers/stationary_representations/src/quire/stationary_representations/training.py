"""Many networks side by side: one compiled program trains all of them through a stage, another one takes their features."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from quire.common.losses.classification import smoothed_cross_entropy
from quire.common.train.finite import check_losses
from quire.common.train.seeds import Build, stack
from quire.common.train.step import Weights, make_step, split_model
from quire.stationary_representations.alignment import among, distillation_loss, hoc_loss, old_classifier_loss
from quire.stationary_representations.config import Training
from quire.stationary_representations.expanding_head import ExpandingHead
from quire.stationary_representations.network import Network
from quire.stationary_representations.simplex import structured_simplex_logits


class Role(NamedTuple):
    """What distinguishes networks that share a program; arrays with a leading axis of networks.

    Attributes:
        fixed: 1 for the simplex, 0 for the classifier that learns.
        weights: of cross-entropy, HOC, distillation and the old classifier's cross-entropy.
        keep: slots that the softmax runs over.
        known: slots that the old classifier has learned.
    """

    fixed: Float[np.ndarray, "*networks"]
    weights: Float[np.ndarray, "*networks 4"]
    keep: Bool[np.ndarray, "*networks slots"]
    known: Bool[np.ndarray, "*networks slots"]


class Pool(NamedTuple):
    """Training images of all stages `[n, h, w, c]`, and the slot of each one's class `[n]`."""

    images: np.ndarray | Array
    slots: Int[np.ndarray, " n"] | Int[Array, " n"]


def _class_vectors(network: Network) -> Array:
    """Rows of the classifier of a switchable network."""
    assert isinstance(network.head, ExpandingHead)
    return network.head.kernel[...]


def stage_loss(mu: float) -> Callable[[Network, Any, Any], Array]:
    """`loss(network, (images, slots, old, role), key)`; old is features and classifier of the old model, or None without one."""

    def loss(network: Network, batch: Any, key: Any) -> Array:
        images, targets, old, role = batch
        z = network.features(images)
        learned = network.head(z)
        logits = jnp.where(role.fixed > 0, structured_simplex_logits(z, learned.shape[-1]), learned)
        terms = [smoothed_cross_entropy(among(logits, role.keep), targets)]
        if old is not None:
            features, classifier = old
            terms.append(hoc_loss(z, features, targets, mu))
            terms.append(distillation_loss(z, features))
            terms.append(old_classifier_loss(z, classifier, targets, role.known))
        return sum(weight * term for weight, term in zip(role.weights, terms, strict=False))

    return loss


class Networks:
    """Networks of one structure with their two programs.

    Args:
        build: makes a network from its random keys; `head` has a `kernel` with a row for every slot.
        recipe: of a stage, whose optimiser starts anew every time.
        tied: whether there are old models; without them only the first weight of a role counts.
        mu: of `hoc_loss`.
        one_by_one: one network after the other instead of side by side.
    """

    def __init__(self, build: Build, recipe: Training, *, tied: bool, mu: float = 10.0, one_by_one: bool = False):
        self.build, self.tied, self.one_by_one = build, tied, one_by_one
        network = build(nnx.Rngs(0))
        network.train()
        self.graph, self.fixed, _ = split_model(network)
        network.eval()
        self.frozen = split_model(network)[0]
        self._train, self._features = jax.jit(self._stage(recipe, mu)), jax.jit(self._of_images)

    def start(self, keys: list[jax.Array], copies: int = 1) -> Weights:
        """Initial weights for every key, all of them so many times over, `[copies * keys, ...]`."""
        weights = []
        for key in keys:
            network = self.build(nnx.Rngs(key))
            network.train()
            weights.append(split_model(network)[2])
        return stack(weights * copies)

    def train(
        self, weights: Weights, old: Weights, roles: Role, pool: Pool, indices: Int[np.ndarray, "networks steps batch"]
    ) -> tuple[Weights, Float[np.ndarray, "networks steps"]]:
        """One stage: every network on its own batches, tied to its old one.

        Returns:
            Weights and losses.

        Raises:
            TrainingDiverged: if a loss is not finite.
        """
        weights, losses = self._train(weights, old, roles, pool, indices)
        check_losses(np.asarray(losses))
        return weights, np.asarray(losses)

    def features(self, weights: Weights, images: np.ndarray, batch_size: int = 1000) -> Float[np.ndarray, "networks n dim"]:
        """Features of images by every network in evaluation mode; one program for any n."""
        padded = np.pad(images, ((0, -len(images) % batch_size), (0, 0), (0, 0), (0, 0)))
        parts = [self._features(weights, batch) for batch in padded.reshape(-1, batch_size, *images.shape[1:])]
        return np.concatenate([np.asarray(part) for part in parts], axis=1)[:, : len(images)]

    def _each(self, function: Callable[..., Any], *trees: Any) -> Any:
        return jax.lax.map(lambda each: function(*each), trees) if self.one_by_one else jax.vmap(function)(*trees)

    def _of_images(self, weights: Weights, images: Array) -> Array:
        return self._each(lambda own: self._evaluated(own).features(images), weights)

    def _evaluated(self, weights: Weights) -> Network:
        return nnx.merge(self.frozen, weights.params, self.fixed, weights.other)

    def _stage(self, recipe: Training, mu: float) -> Callable[..., Any]:
        tx = recipe.transformation(flat=True)
        step = make_step(self.graph, self.fixed, tx, stage_loss(mu))

        def run(weights, old, roles, pool, indices):
            def train(weights, old, role, indices):
                frozen = self._evaluated(old)

                def body(carry, chosen):
                    images, slots = pool.images[chosen], pool.slots[chosen]
                    known = (frozen.features(images), _class_vectors(frozen)) if self.tied else None
                    weights, opt_state, value = step(*carry, (images, slots, known, role), None, 0)
                    return (weights, opt_state), value

                (weights, _), losses = jax.lax.scan(body, (weights, tx.init(weights.params)), indices)
                return weights, losses

            return self._each(train, weights, old, roles, indices)

        return run
