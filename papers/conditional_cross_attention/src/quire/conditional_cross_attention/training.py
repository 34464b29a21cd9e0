"""Training networks that embed images under attributes, several at once, and embedding with them."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float, Integer

from quire.common.train.batches import HostBatches
from quire.common.train.fit import fit
from quire.common.train.seeds import fit_seeds, fold_keys, stack
from quire.conditional_cross_attention.asen import ASENv2
from quire.conditional_cross_attention.config import Preset, Training
from quire.conditional_cross_attention.network import CCANet
from quire.conditional_cross_attention.rivals import CSN, SingleSpace
from quire.conditional_cross_attention.sources import Part
from quire.conditional_cross_attention.triplets import MISSING, plan_batches, triplet_loss

Net = CCANet | SingleSpace | CSN | ASENv2
Build = Callable[[nnx.Rngs], Net]


def builders(preset: Preset, num_attributes: int) -> dict[str, Build]:
    """How each of the networks that are compared is made."""
    sizes = preset.vit, num_attributes
    makers = {
        "CCA": partial(CCANet, *sizes, preset.embed_dim, cond=preset.cond),
        "unconditioned": partial(SingleSpace, *sizes, preset.embed_dim),
        "CSN": partial(CSN, *sizes, preset.embed_dim),
        "ASEN": partial(ASENv2, *sizes, attention_dim=preset.asen_dim),
    }
    return {name: lambda rngs, make=make: make(rngs=rngs) for name, make in makers.items()}


class Trained(NamedTuple):
    """Networks of one kind; state and losses may have a leading axis of runs."""

    graph: nnx.GraphDef
    state: Any
    losses: Float[np.ndarray, "*runs steps"]

    def of(self, run: int | slice) -> "Trained":
        """That of one run, or those of several."""
        return Trained(self.graph, *jax.tree.map(lambda x: x[run], (self.state, self.losses)))

    def model(self) -> Net:
        """The network of a single run, in evaluation."""
        model = nnx.merge(self.graph, jax.device_put(self.state))
        model.eval()
        return model

    def embed(self, images: Any, batch_size: int = 200) -> Float[np.ndarray, "n attributes dim"]:
        """Embeddings of images under every attribute, by the network of a single run."""
        parts = []
        for start in range(0, len(images), batch_size):
            rows = np.arange(start, start + batch_size) % len(images)  # the last batch is filled up: one program for all
            parts.append(np.asarray(_embed_all(self, images[rows]))[: len(images) - start])
        return np.concatenate(parts)


@jax.jit
def _embed_all(trained: Trained, images):
    return trained.model().embed_all(images)


def only(part: Part, attribute: int) -> Part:
    """The same images, of which only one attribute is known: what a network for this attribute alone is trained on."""
    others = np.arange(part.labels.shape[1]) != attribute
    return Part(part.images, np.where(others[None], MISSING, part.labels).astype(np.int32))


def train(build: Build, parts: Sequence[Part], training: Training, keys: jax.Array) -> Trained:
    """Train one network for each key, on images of its own.

    Args:
        build: makes a network.
        parts: training images of every run. In memory, all runs are one compiled loop; photographs are streamed, one run after
            the other.
        training: recipe.
        keys: one per run.

    Raises:
        TrainingDiverged: if a number is not finite.
    """
    plans = [plan_batches(key, part.labels, training) for key, part in zip(fold_keys(keys, 1), parts, strict=True)]
    loss, tx = triplet_loss(training), training.transformation(flat=not training.decay_kernels_only)
    if not isinstance(parts[0].images, np.ndarray):
        runs = [_streamed(build, part, plan, loss, tx, key) for part, plan, key in zip(parts, plans, keys, strict=True)]
        graphs, states, losses = zip(*runs, strict=True)
        return Trained(graphs[0], stack(states), np.stack(losses))
    distinct = {id(part.images): part.images for part in parts}  # runs may share their images
    starts = dict(zip(distinct, np.cumsum([0, *map(len, distinct.values())])[:-1], strict=True))
    images = jax.device_put(np.concatenate(list(distinct.values())))
    chosen = np.stack([starts[id(part.images)] + plan.images for part, plan in zip(parts, plans, strict=True)])
    told = np.stack([plan.told for plan in plans])

    def batch_at(data, step):
        chosen, told = data
        return images[chosen[step]], told[step]

    found = fit_seeds(build, tx, loss, batch_at, (chosen.astype(np.int32), told), steps=training.steps, keys=keys)
    return Trained(*jax.device_get(found))  # to slice runs there: on a device, every shape would be a program to compile


def _streamed(build, part, plan, loss, tx, key):
    def batch(step: int) -> tuple[np.ndarray, Integer[np.ndarray, "_ *a"]]:
        return part.images[plan.images[step]], plan.told[step]

    model = build(nnx.Rngs(key))
    model.train()
    history = fit(model, tx, loss, HostBatches(batch), steps=len(plan.told), key=key, chunk_steps=10)
    return *nnx.split(model), history.losses
