"""A sentence encoder with an exit behind every layer."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from quire.common.checkpoints import read_safetensors
from quire.common.layers.bert import BertConfig, BertEncoder, load_bert
from quire.common.layers.nested import truncate
from quire.matryoshka_2d.pooling import Pooling, check_pooling, pool

Tokens = Int[Array, "batch t"]
Mask = Bool[Array, "batch t"]


class SentenceEncoder(nnx.Module):
    """BERT and a pooling; no head is added.

    Args:
        config: sizes.
        pooling: see `pool`.
        rngs: for the initial weights.

    Raises:
        ValueError: for sizes that BERT refuses, or an unknown pooling.

    >>> import jax.numpy as jnp
    >>> config = BertConfig(vocab_size=9, dim=8, depth=3, num_heads=2, mlp_dim=16, max_length=5)
    >>> model = SentenceEncoder(config, rngs=nnx.Rngs(0))
    >>> model.encode(jnp.array([[2, 5, 6]]), layers=1, dim=4).shape, encode_all_layers(model, jnp.array([[2, 5, 6]])).shape
    ((1, 4), (4, 1, 8))
    """

    def __init__(self, config: BertConfig, pooling: Pooling = "cls", *, rngs: nnx.Rngs):
        self.pooling = check_pooling(pooling)
        self.bert = BertEncoder(config, rngs=rngs)

    @property
    def depth(self) -> int:
        """L, the number of layers."""
        return self.bert.config.depth

    def encode(
        self, tokens: Tokens, mask: Mask | None = None, *, layers: int | None = None, dim: int | None = None
    ) -> Float[Array, "batch size"]:
        """Unit embeddings from the first layers and the first coordinates; the layers behind do not run.

        Args:
            tokens: ids.
            mask: which tokens there are; all by default.
            layers: n, how many layers run; all by default.
            dim: k, how many coordinates stay; all by default.

        Raises:
            ValueError: for a number of layers or coordinates that there is not, or ids out of range.
        """
        n, k = self.depth if layers is None else layers, self.bert.config.dim if dim is None else dim
        if not 1 <= n <= self.depth:
            raise ValueError(f"layers is {n}; it must lie between 1 and {self.depth}")
        return truncate(pool(self.bert(tokens, mask, num_layers=n), mask, self.pooling), k)


def encode_all_layers(model: SentenceEncoder, tokens: Tokens, mask: Mask | None = None) -> Float[Array, "layers batch dim"]:
    """Embeddings of the token embeddings and of every layer `[L + 1, batch, D]`, of any length: what the loss takes."""
    return pool(model.bert.hidden_states(tokens, mask), mask, model.pooling)


def truncated(model: SentenceEncoder, *, layers: int) -> SentenceEncoder:
    """A model of its own of the first layers, as people deploy it: it holds no more parameters than it uses.

    Raises:
        ValueError: for a number of layers that there is not.
    """
    bert = model.bert.truncated(layers)
    short = nnx.eval_shape(lambda: SentenceEncoder(bert.config, model.pooling, rngs=nnx.Rngs(0)))
    short.bert = bert
    return short


def load_encoder(
    source: str | Path | Mapping[str, Any], config: BertConfig | None = None, *, pooling: Pooling = "cls", prefix: str = ""
) -> SentenceEncoder:
    """Published weights of the BERT family.

    Args:
        source: a folder with `config.json` and `model.safetensors`, or arrays by name.
        config: sizes; read from the folder by default.
        pooling: see `pool`.
        prefix: of the encoder's names, as `"bert."`.

    Raises:
        FileNotFoundError: if a file of the folder is missing.
        ValueError: for weights that do not fit the sizes, arrays without `config`, or a `config.json` that lacks a size.
    """
    if isinstance(source, Mapping):
        if config is None:
            raise ValueError("config is None; arrays by name need the sizes of their encoder")
        arrays = source
    else:
        folder = Path(source)
        config = read_config(folder / "config.json") if config is None else config
        arrays = read_safetensors(folder / "model.safetensors")
    model = nnx.eval_shape(lambda: SentenceEncoder(config, pooling, rngs=nnx.Rngs(0)))
    load_bert(model.bert, arrays, prefix)
    return model


_SIZES = {
    "vocab_size": "vocab_size",
    "dim": "hidden_size",
    "depth": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "mlp_dim": "intermediate_size",
    "max_length": "max_position_embeddings",
    "num_types": "type_vocab_size",
    "eps": "layer_norm_eps",
}


def read_config(path: Path) -> BertConfig:
    """Sizes from a published `config.json`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it lacks a size, or another activation than GELU is asked for.
    """
    fields = json.loads(path.read_text(encoding="utf-8"))
    if missing := sorted(name for name in _SIZES.values() if name not in fields):
        raise ValueError(f"{path} lacks {', '.join(missing)}")
    if (activation := fields.get("hidden_act", "gelu")) != "gelu":
        raise ValueError(f"{path} has hidden_act {activation!r}; only 'gelu' is implemented")
    return BertConfig(**{ours: fields[theirs] for ours, theirs in _SIZES.items()})
