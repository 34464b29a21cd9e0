"""BERT: post-norm encoder with all layers in one scan, early exits, masked-language-model head, published weights.

References:
    Devlin et al., *BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding*, 2019.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from quire.common.checkpoints import Names, load, same, stacked, transposed
from quire.common.checks import check_at_least, check_ids
from quire.common.layers.attention import head_size, merge_heads, split_heads

Hidden = Float[Array, "batch t dim"]


@dataclass(frozen=True)
class BertConfig:
    """Sizes of an encoder; the defaults are those of bert-base-uncased.

    Attributes:
        vocab_size: number of token ids.
        dim: channels of a token.
        depth: layers.
        num_heads: of the attention.
        mlp_dim: hidden width of the feed-forward part.
        max_length: longest sequence.
        num_types: segment ids.
        eps: of the layer norms.
    """

    vocab_size: int = 30522
    dim: int = 768
    depth: int = 12
    num_heads: int = 12
    mlp_dim: int = 3072
    max_length: int = 512
    num_types: int = 2
    eps: float = 1e-12


class BertLayer(nnx.Module):
    """`h = LN(q + attention(q, kv))`, `LN(h + MLP(h))`, with GELU; queries and keys may come from different streams."""

    def __init__(self, config: BertConfig, *, rngs: nnx.Rngs):
        self.num_heads = config.num_heads
        init = nnx.initializers.normal(0.02)
        linear = lambda a, b: nnx.Linear(a, b, kernel_init=init, rngs=rngs)  # noqa: E731
        self.query, self.key, self.value, self.out = (linear(config.dim, config.dim) for _ in range(4))
        self.up, self.down = linear(config.dim, config.mlp_dim), linear(config.mlp_dim, config.dim)
        self.attention_norm, self.mlp_norm = (nnx.LayerNorm(config.dim, epsilon=config.eps, rngs=rngs) for _ in range(2))

    def __call__(
        self, queries: Hidden, keys: Float[Array, "batch s dim"], visible: Bool[Array | np.ndarray, "batch #t s"] | None = None
    ) -> Hidden:
        """One layer.

        Args:
            queries: the stream that is updated.
            keys: what it attends to; the same for self-attention.
            visible: which keys each query may see. One that sees nothing attends to all alike.
        """
        heads = [
            split_heads(part(x), self.num_heads) for part, x in ((self.query, queries), (self.key, keys), (self.value, keys))
        ]
        q, k, v = heads
        scores = q @ jnp.swapaxes(k, -1, -2) * q.shape[-1] ** -0.5
        if visible is not None:
            scores = jnp.where(visible[:, None], scores, jnp.finfo(scores.dtype).min)
        attended = merge_heads(jax.nn.softmax(scores, axis=-1) @ v)
        hidden = self.attention_norm(queries + self.out(attended))
        return self.mlp_norm(hidden + self.down(jax.nn.gelu(self.up(hidden), approximate=False)))


class BertEmbeddings(nnx.Module):
    """Words, positions and segments added, then a layer norm."""

    def __init__(self, config: BertConfig, *, rngs: nnx.Rngs):
        init = nnx.initializers.normal(0.02)
        sizes = config.vocab_size, config.max_length, config.num_types
        self.words, self.positions, self.types = (nnx.Param(init(rngs.params(), (size, config.dim))) for size in sizes)
        self.norm = nnx.LayerNorm(config.dim, epsilon=config.eps, rngs=rngs)

    def __call__(self, tokens: Int[Array | np.ndarray, "batch t"], types: Int[Array, "batch t"] | None = None) -> Hidden:
        """Embeddings of token ids, in segment 0 by default.

        Raises:
            ValueError: for ids out of range (NaN where they are traced), or too many tokens.
        """
        check_ids("tokens", tokens, len(self.words))
        words = _rows(self.words[...], tokens)
        return self.of_vectors(words, types)

    def of_vectors(self, words: Hidden, types: Int[Array, "batch t"] | None = None) -> Hidden:
        """The same with vectors in place of the word embeddings."""
        length, longest = words.shape[1], len(self.positions)
        if length > longest:
            raise ValueError(f"tokens have length {length}; this model reads at most {longest}")
        if types is None:
            segments = self.types[:1][None]
        else:
            check_ids("types", types, len(self.types))
            segments = _rows(self.types[...], types)
        return self.norm(words + self.positions[:length][None] + segments)


class BertEncoder(nnx.Module):
    """Embeddings and layers; the parameters of all layers lie along a leading axis, so that depth costs no compilation.

    Args:
        config: sizes.
        rngs: for the initial weights, `N(0, 0.02^2)`.

    Raises:
        ValueError: for sizes below 1, or if `num_heads` does not divide `dim`.
    """

    def __init__(self, config: BertConfig, *, rngs: nnx.Rngs):
        for name in ("vocab_size", "dim", "depth", "mlp_dim", "max_length", "num_types"):
            check_at_least(name, getattr(config, name))
        head_size(config.dim, config.num_heads)
        self.config = config
        self.embeddings = BertEmbeddings(config, rngs=rngs)
        keys = jax.random.split(rngs.params(), config.depth)
        self.layers = nnx.vmap(lambda key: BertLayer(config, rngs=nnx.Rngs(key)))(keys)

    def hidden_states(
        self,
        tokens: Int[Array, "batch t"],
        mask: Bool[Array, "batch t"] | None = None,
        types: Int[Array, "batch t"] | None = None,
        *,
        num_layers: int | None = None,
    ) -> Float[Array, "layers batch t dim"]:
        """The embeddings and what every layer makes of them, `[num_layers + 1, batch, t, dim]`.

        Args:
            tokens: ids.
            mask: which tokens there are; padding is not attended to.
            types: segment ids.
            num_layers: how many layers run; all by default.
        """
        x = self.embeddings(tokens, types)
        _, every = self._scan(x, mask, num_layers, lambda x: x)
        return jnp.concatenate([x[None], every])

    def __call__(
        self,
        tokens: Int[Array | np.ndarray, "batch t"],
        mask: Bool[Array | np.ndarray, "batch t"] | None = None,
        types: Int[Array, "batch t"] | None = None,
        *,
        num_layers: int | None = None,
    ) -> Hidden:
        """What the last of `num_layers` layers gives; the layers behind it do not run.

        Args, Raises: as for `hidden_states`; if num_layers is not between 0 and the depth.
        """
        return self._scan(self.embeddings(tokens, types), mask, num_layers, lambda x: None)[0]

    def _scan(self, x, mask, num_layers, keep):
        depth = self.config.depth
        num_layers = depth if num_layers is None else num_layers
        if not 0 <= num_layers <= depth:
            raise ValueError(f"num_layers is {num_layers}; it must lie between 0 and {depth}")
        visible = None if mask is None else mask[:, None]
        graph, stack = nnx.split(self.layers)

        def layer(x, state):
            x = nnx.merge(graph, state)(x, x, visible)
            return x, keep(x)

        return jax.lax.scan(layer, x, jax.tree.map(lambda p: p[:num_layers], stack))

    def truncated(self, num_layers: int) -> "BertEncoder":
        """A model of its own of the first layers, as people deploy it: no more parameters than it uses.

        Raises:
            ValueError: if num_layers is not between 1 and the depth.
        """
        if not 1 <= num_layers <= self.config.depth:
            raise ValueError(f"num_layers is {num_layers}; it must lie between 1 and {self.config.depth}")
        config = replace(self.config, depth=num_layers)
        short = nnx.eval_shape(lambda: BertEncoder(config, rngs=nnx.Rngs(0)))
        cut = jax.tree.map(lambda p: p[:num_layers], nnx.state(self.layers))
        nnx.update(short.layers, cut)
        nnx.update(short.embeddings, nnx.state(self.embeddings))
        return short


class MLMHead(nnx.Module):
    """Scores of all words: dense map, GELU, layer norm, then the word embeddings as the last matrix, and a bias."""

    def __init__(self, config: BertConfig, *, rngs: nnx.Rngs):
        self.dense = nnx.Linear(config.dim, config.dim, kernel_init=nnx.initializers.normal(0.02), rngs=rngs)
        self.norm = nnx.LayerNorm(config.dim, epsilon=config.eps, rngs=rngs)
        self.bias = nnx.Param(jnp.zeros(config.vocab_size))

    def __call__(self, hidden: Float[Array, "*batch dim"], words: Float[Array, "vocab dim"]) -> Float[Array, "*batch vocab"]:
        """Logits.

        Args:
            hidden: of the encoder.
            words: `encoder.embeddings.words[...]`.
        """
        features = self.norm(jax.nn.gelu(self.dense(hidden), approximate=False))
        logits = features @ words.T
        return logits + jnp.broadcast_to(self.bias[...], logits.shape)


# --- Published weights ---

_LINEARS = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "out": "attention.output.dense",
    "up": "intermediate.dense",
    "down": "output.dense",
}
_NORMS = {"attention_norm": "attention.output.LayerNorm", "mlp_norm": "output.LayerNorm"}


def layer_names(prefixes: list[str] | str) -> Names:
    """Names of the arrays of a stack of layers, one prefix each (`"encoder.layer.0."`), or of a single layer."""
    single = isinstance(prefixes, str)

    def source(part, kind):
        kernel = kind == "weight" and part in _LINEARS.values()
        if single:
            name = f"{prefixes}{part}.{kind}"
            return transposed(name) if kernel else same(name)
        return stacked([f"{p}{part}.{kind}" for p in prefixes], lambda x: x.T if kernel else x)

    names = {(ours, "kernel" if kind == "weight" else "bias"): (part, kind) for ours, part in _LINEARS.items() for kind in _KINDS}
    names |= {(ours, "scale" if kind == "weight" else "bias"): (part, kind) for ours, part in _NORMS.items() for kind in _KINDS}
    return {path: source(*where) for path, where in names.items()}


_KINDS = ("weight", "bias")


def load_bert(model: BertEncoder, state: Mapping[str, Any], prefix: str = "") -> BertEncoder:
    """Put published weights (`embeddings.word_embeddings.weight`, `encoder.layer.0.output.dense.weight`, ...) into a model.

    `LayerNorm.gamma` and `.beta` of old files are read as `weight` and `bias`; the pooler, position ids and everything that does
    not begin with the prefix is left out.

    Args:
        model: of the sizes of the file; changed in place, and may be abstract.
        state: arrays by name.
        prefix: of the encoder's names, as `"bert."`.

    Raises:
        ValueError: listing what is missing, unexpected or mis-shaped.
    """
    arrays = {name.removeprefix(prefix): x for name, x in state.items() if name.startswith(prefix)}
    arrays = {_modern(name): x for name, x in arrays.items() if name.startswith(("embeddings.", "encoder."))}
    arrays.pop("embeddings.position_ids", None)
    names: dict = {
        ("embeddings", "words"): "embeddings.word_embeddings.weight",
        ("embeddings", "positions"): "embeddings.position_embeddings.weight",
        ("embeddings", "types"): "embeddings.token_type_embeddings.weight",
        ("embeddings", "norm", "scale"): "embeddings.LayerNorm.weight",
        ("embeddings", "norm", "bias"): "embeddings.LayerNorm.bias",
    }
    stack = layer_names([f"encoder.layer.{i}." for i in range(model.config.depth)])
    return load(model, arrays, names | {("layers", *path): source for path, source in stack.items()})


def load_mlm_head(head: MLMHead, state: Mapping[str, Any], prefix: str = "cls.predictions.") -> MLMHead:
    """Put published weights (`cls.predictions.transform.dense.weight`, ...) into a head; the tied decoder is left out.

    Raises:
        ValueError: listing what is missing, unexpected or mis-shaped.
    """
    arrays = {_modern(name.removeprefix(prefix)): x for name, x in state.items() if name.startswith(prefix)}
    arrays = {name: x for name, x in arrays.items() if not name.startswith("decoder.")}
    names = {
        ("dense", "kernel"): transposed("transform.dense.weight"),
        ("dense", "bias"): "transform.dense.bias",
        ("norm", "scale"): "transform.LayerNorm.weight",
        ("norm", "bias"): "transform.LayerNorm.bias",
        ("bias",): "bias",
    }
    return load(head, arrays, names)


def _modern(name: str) -> str:
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def _rows(table: Array, ids: Int[Array | np.ndarray, "batch t"]) -> Hidden:
    """Rows of a table; NaN for a traced id that is out of range (a negative one would count from the end)."""
    ids = ids.astype(jnp.int32)
    return jnp.take(table, jnp.where(ids < 0, len(table), ids), axis=0, mode="fill")
