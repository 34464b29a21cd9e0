"""The one run that the empirical claims share: all methods, and what every layer and prefix of each is worth."""

from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float

from quire.common.claims import shared
from quire.common.train.seeds import initial_states
from quire.matryoshka_2d.config import Preset
from quire.matryoshka_2d.evaluation import all_embeddings, correlations
from quire.matryoshka_2d.sources import Sentences, open_sentences
from quire.matryoshka_2d.training import build, methods_of, train


class Run(NamedTuple):
    """Results; every array has a leading axis of seeds.

    Attributes:
        data, stand_in_for: names.
        preset: what was run.
        grids: Spearman's rho `[layers, dims]` by method, layer 1 first; `untrained` among them.
        bag_of_words: that of bags of words, which know no layers.
        losses: `[steps]` by method.
        models: graph and state by method.
    """

    data: str
    stand_in_for: str
    preset: Preset
    grids: dict[str, Float[np.ndarray, "*seeds layers dims"]]
    bag_of_words: Float[np.ndarray, "*seeds"]
    losses: dict[str, Float[np.ndarray, "*seeds steps"]]
    models: dict[str, tuple[Any, Any]]


@shared
def run_all(preset: Preset, keys: jax.Array) -> Run:
    """Train and evaluate everything, all seeds at once."""
    source = open_sentences(preset)
    sentences = source.value
    methods = methods_of(sentences.preset)
    graph, states, losses = train(sentences, methods, keys)
    by_method = {name: jax.tree.map(lambda x, i=i: x[i], states) for i, name in enumerate(methods)}
    by_method["untrained"] = initial_states(lambda rngs: build(sentences.preset, rngs), keys)[1]
    grids = {
        name: np.stack([grid(graph, jax.tree.map(lambda x, i=i: x[i], state), sentences) for i in range(len(keys))])
        for name, state in by_method.items()
    }
    words = np.full(len(keys), sentences.bag_of_words)
    curves = dict(zip(methods, losses, strict=True))
    models = {name: (graph, state) for name, state in by_method.items()}
    return Run(source.name, source.stand_in_for, sentences.preset, grids, words, curves, models)


def grid(graph: nnx.GraphDef, state: Any, sentences: Sentences) -> Float[np.ndarray, "layers dims"]:
    """Spearman's rho of one model at layers 1 to L and every dimension of the preset, mean over the test sets."""
    preset = sentences.preset
    layers = range(1, preset.encoder.depth + 1)
    found = [
        correlations(all_embeddings(graph, state, pairs.tokens), pairs.scores, layers, preset.dims)
        for pairs in sentences.test.values()
    ]
    return np.mean(found, axis=0)
