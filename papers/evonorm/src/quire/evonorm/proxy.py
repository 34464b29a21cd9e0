"""The tasks that candidates are scored on: small networks, trained briefly by programs that serve every graph."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from quire.common.random import generator
from quire.common.train.batches import epoch_indices
from quire.common.train.recipe import Recipe
from quire.common.train.step import Weights, make_step, split_model
from quire.evonorm.graph import EVONORM_S0, Graph
from quire.evonorm.interpreter import Code
from quire.evonorm.networks import NetworkConfig, Switches, build_network, norm_factory
from quire.evonorm.rejection import is_sound, passes_quality, passes_stability
from quire.evonorm.sources import Images


@dataclass(frozen=True)
class Proxy:
    """A network to try candidates in.

    Attributes:
        network: its configuration.
        switches: of a network with switches: residual sums, 3 x 3 kernels.
    """

    network: NetworkConfig
    switches: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True)
class ProxyConfig:
    """How candidates are tested and scored.

    Attributes:
        proxies: the K networks.
        recipe: of the training that scores survivors.
        rows: nodes of a graph, at most.
        quality_steps, quality_proxies, quality_threshold: training for the quality test, in the first so many of the networks.
        stability_steps: of the ascent on the gradient norm, in the first network; 0 for no such test.
        stability_limit: of the gradient norm.
        validation: images that are classified, at most; one batch for moments over the batch.

    Raises:
        ValueError: without networks, or for numbers out of their range.
    """

    proxies: tuple[Proxy, ...]
    recipe: Recipe
    rows: int = 10
    quality_steps: int = 100
    quality_proxies: int = 3
    quality_threshold: float = 0.2
    stability_steps: int = 100
    stability_limit: float = 1e8
    validation: int = 1000

    def __post_init__(self):
        if not self.proxies or not 1 <= self.quality_proxies <= len(self.proxies):
            raise ValueError(
                f"quality_proxies is {self.quality_proxies} of {len(self.proxies)} proxies; it must be 1 to all of them"
            )
        if min(self.rows, self.quality_steps, self.validation) < 1 or self.stability_steps < 0:
            raise ValueError(
                f"rows is {self.rows}, quality_steps {self.quality_steps}, validation {self.validation}, stability_steps "
                f"{self.stability_steps}; they must be at least 1, the last at least 0"
            )


def chosen(other: nnx.State, kind: type[nnx.Variable], value: jax.Array) -> nnx.State:
    """Variables in which all of one kind hold the same value."""

    def replace(variable):
        return variable.replace(value) if isinstance(variable, kind) else variable

    return jax.tree.map(replace, other, is_leaf=lambda leaf: isinstance(leaf, nnx.Variable))


def classification_loss(model: nnx.Module, batch: Any, key: jax.Array) -> jax.Array:
    """Mean cross-entropy of a batch `(images, labels)`."""
    images, labels = batch
    return optax.softmax_cross_entropy_with_integer_labels(model(images), labels).mean()


class ProxyTask:
    """Networks, data and one draw of initial weights and batches; compiled when it is first asked.

    Args:
        config: see `ProxyConfig`.
        images: to train and to score on; standardised here, or few layers would start fast enough.
        key: of initial weights and batches.
        part: that accuracies are measured on: `"validation"` while searching, `"test"` afterwards.

    Raises:
        ValueError: for another part.
    """

    def __init__(self, config: ProxyConfig, images: Images, key: jax.Array, *, part: str = "validation"):
        if part not in ("validation", "test"):
            raise ValueError(f"part is {part!r}; it must be 'validation' or 'test'")
        self.config, self.images, self.key, self.part = config, images.standardised(), key, part
        steps = max(config.recipe.steps, config.quality_steps)
        self.indices = epoch_indices(key, len(images.train[1]), config.recipe.batch_size, steps)

    def network(self, config: NetworkConfig, graph: Graph, rows: int | None = None) -> nnx.Module:
        """A network with a graph for layer, with this task's initial weights."""
        norm = norm_factory(graph, groups=config.groups, rows=rows)
        channels = self.images.train[0].shape[-1]
        return build_network(config, norm, in_channels=channels, classes=self.images.classes, rngs=nnx.Rngs(self.key))

    @cached_property
    def _initial(self) -> dict[NetworkConfig, tuple[nnx.GraphDef, Any, Weights]]:
        """Split networks that interpret; networks of one configuration share weights and program."""
        configs = {proxy.network for proxy in self.config.proxies}
        return {config: split_model(self.network(config, EVONORM_S0, self.config.rows)) for config in configs}

    @cached_property
    def _data(self) -> tuple:
        images, labels = (part[: self.config.validation] for part in getattr(self.images, self.part))
        return jax.device_put((*self.images.train, images, labels, self.indices))

    def train(self, graph: Graph, place: int, steps: int) -> float:
        """Accuracy of the network in that place after so many steps; NaN where weights or losses ceased to be finite.

        Raises:
            ValueError: if the graph has more rows than the interpreter.
        """
        proxy = self.config.proxies[place]
        definition, _, weights = self._initial[proxy.network]
        code = jnp.asarray(graph.simplify().padded(self.config.rows))
        options = (definition, self.config.recipe)
        return float(_train(*options, weights, code, jnp.asarray(proxy.switches), steps, self.key, self._data))

    def judge(self, graph: Graph) -> tuple[str, list[float] | None]:
        """Test after test, cheap ones first, and the score.

        Returns:
            The test that rejects the graph, `"structure"`, `"quality"` or `"stability"`, and None; or `"accepted"` and the
            validation accuracy in every network.
        """
        config = self.config
        if not is_sound(graph):
            return "structure", None
        quick = [self.train(graph, place, config.quality_steps) for place in range(config.quality_proxies)]
        if not passes_quality(quick, threshold=config.quality_threshold):
            return "quality", None
        if config.stability_steps and not self.is_stable(graph):
            return "stability", None
        scores = [self.train(graph, place, config.recipe.steps) for place in range(len(config.proxies))]
        return ("accepted", scores) if np.isfinite(scores).all() else ("quality", None)

    def is_stable(self, graph: Graph) -> bool:
        """The stability test in the first network."""
        config = self.config
        network = self.network(config.proxies[0].network, graph, config.rows)
        rows = generator(self.key).permutation(len(self.images.train[1]))[: config.recipe.batch_size]
        batch = [part[rows] for part in self.images.train]
        return passes_stability(network, *batch, steps=config.stability_steps, limit=config.stability_limit)


def _train_one(definition, recipe: Recipe, weights: Weights, code, switches, steps, key, data):
    """One network trained for a number of steps that the program does not know."""
    images, labels, validation, wanted, indices = data
    weights = weights._replace(other=chosen(chosen(weights.other, Code, code), Switches, switches))
    tx = recipe.transformation()
    step = make_step(definition, nnx.State({}), tx, classification_loss)

    def body(number, carry):
        rows = indices[number]
        weights, opt_state, sound = carry
        weights, opt_state, loss = step(weights, opt_state, (images[rows], labels[rows]), key, number)
        return weights, opt_state, sound & jnp.isfinite(loss)

    weights, _, sound = jax.lax.fori_loop(0, steps, body, (weights, tx.init(weights.params), jnp.array(True)))
    logits = nnx.merge(definition, weights.params, weights.other)(validation)
    accuracy = jnp.mean(jnp.argmax(logits, -1) == wanted)
    sound &= jnp.stack([jnp.isfinite(x).all() for x in [logits, *jax.tree.leaves(weights.params)]]).all()
    return jnp.where(sound, accuracy, jnp.nan)


_train = jax.jit(_train_one, static_argnums=(0, 1))


def known_scores(task: ProxyTask, graphs: dict[str, Graph], steps: int) -> dict[str, Sequence[float]]:
    """Accuracies of known layers in every network, for comparison with what a search finds."""
    return {
        name: [task.train(graph, place, steps) for place in range(len(task.config.proxies))] for name, graph in graphs.items()
    }
