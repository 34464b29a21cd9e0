"""The model that is pre-trained: BERT with its masked-language-model head, and a decoder that is thrown away later."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from quire.common.checkpoints import load
from quire.common.layers.bert import BertConfig, BertEncoder, MLMHead, layer_names, load_bert, load_mlm_head
from quire.common.random import generator
from quire.common.train.step import Model
from quire.dupmae.decoder import EnhancedDecoder


class DupMAE(nnx.Module):
    """Encoder, head over the vocabulary, and decoder; the head and the embeddings serve both tasks.

    Args:
        config: sizes; the defaults are those of BERT-base.
        rngs: for the initial weights.

    Attributes:
        encoder: of the text.
        head: from states to logits over the words.
        decoder: of the sentence vector, for pre-training only.
    """

    def __init__(self, config: BertConfig, *, rngs: nnx.Rngs):
        self.encoder = BertEncoder(config, rngs=rngs)
        self.head = MLMHead(config, rngs=rngs)
        self.decoder = EnhancedDecoder(config, rngs=rngs)

    @property
    def words(self) -> Float[Array, "vocab dim"]:
        """Word embeddings, which are the last matrix of the head as well."""
        return self.encoder.embeddings.words[...]

    def logits(self, tokens: Int[Array, "batch t"], mask: Bool[Array, "batch t"] | None = None) -> Float[Array, "batch t vocab"]:
        """Scores of all words at every place.

        Args:
            tokens: ids.
            mask: which tokens there are; all by default.
        """
        return self.head(self.encoder(tokens, mask), self.words)


DRAWN = ("kernel", "words", "positions", "types", "reduction")
"""Parameters that start at random; scales start at 1, biases at 0."""


def initial(module: Model, key: jax.Array, std: float = 0.02) -> Model:
    """An abstract module with values: kernels and embeddings of `N(0, std^2)` from the host, where no generator is compiled.

    Args:
        module: from `nnx.eval_shape`; changed in place.
        key: of the draw.
        std: BERT's 0.02 is made for wide layers.

    Raises:
        ValueError: if std is negative.
    """
    if std < 0:
        raise ValueError(f"std is {std}; it must be at least 0")
    draw = generator(key)

    def value(path: tuple, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        names = {str(getattr(part, "key", part)) for part in path}
        if names & set(DRAWN):
            return (std * draw.standard_normal(leaf.shape)).astype(leaf.dtype)
        return np.full(leaf.shape, float("scale" in names), leaf.dtype)

    nnx.update(module, jax.tree.map_with_path(value, nnx.state(module)))
    return module


def initial_dupmae(config: BertConfig, key: jax.Array, std: float = 0.02) -> DupMAE:
    """A model at its start.

    Args:
        config, key, std: as for `DupMAE` and `initial`.
    """
    return initial(nnx.eval_shape(lambda: DupMAE(config, rngs=nnx.Rngs(0))), key, std)


def load_dupmae(model: DupMAE, state: Mapping[str, Any]) -> DupMAE:
    """Put the authors' weights (`lm.bert...`, `lm.cls...`, `c_head...`) into a model.

    Args:
        model: of the sizes of the file; changed in place, and may be abstract.
        state: arrays by name, linear maps as `[out, in]`. The head's matrix is tied to the word embeddings: another one by the
            name `lm.cls.predictions.decoder` is refused unless it is equal to them.

    Raises:
        ValueError: listing what is missing, unexpected or mis-shaped, or if the head is not tied.
    """
    strange = sorted(name for name in state if not name.startswith(("lm.bert.", "lm.cls.predictions.", "c_head.")))
    if strange:
        raise ValueError(f"state has {', '.join(strange[:8])}; names begin with lm.bert., lm.cls.predictions. or c_head.")
    tied = "lm.cls.predictions.decoder.weight"
    if tied in state and not np.array_equal(state[tied], state["lm.bert.embeddings.word_embeddings.weight"]):
        raise ValueError(f"{tied} differs from the word embeddings; the head must be tied to them")
    load_bert(model.encoder, state, "lm.bert.")
    load_mlm_head(model.head, state, "lm.cls.predictions.")
    part = {name.removeprefix("c_head."): jax.device_put(x) for name, x in state.items() if name.startswith("c_head.")}
    load(model.decoder.layer, part, layer_names(""))
    return model
