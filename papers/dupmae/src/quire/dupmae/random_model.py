"""Random weights by the authors' names, and a random batch: what identities are measured on."""

import numpy as np

from quire.common.layers.bert import BertConfig
from quire.dupmae.objective import UNASKED, Masked
from quire.dupmae.sources import SPECIALS, framed


def authors_weights(config: BertConfig, draw: np.random.Generator) -> dict[str, np.ndarray]:
    """float32 arrays as a checkpoint of the authors has them, linear maps as `[out, in]`.

    Args:
        config: sizes.
        draw: of the numbers; norms are about 1, all else about 0.3.
    """
    d, ffn = config.dim, config.mlp_dim
    linear = {f"attention.self.{part}": (d, d) for part in ("query", "key", "value")}
    linear |= {"attention.output.dense": (d, d), "intermediate.dense": (ffn, d), "output.dense": (d, ffn)}
    norms = ("attention.output.LayerNorm", "output.LayerNorm")
    weights: dict[str, np.ndarray] = {}

    def put(name: str, *shape: int, around: float = 0.0) -> None:
        weights[name] = (around + 0.3 * draw.standard_normal(shape)).astype(np.float32)

    def put_norm(name: str) -> None:
        put(name + ".weight", d, around=1.0)
        put(name + ".bias", d)

    def put_linear(name: str, out: int, into: int) -> None:
        put(name + ".weight", out, into)
        put(name + ".bias", out)

    sizes = {"word": config.vocab_size, "position": config.max_length, "token_type": config.num_types}
    for kind, size in sizes.items():
        put(f"lm.bert.embeddings.{kind}_embeddings.weight", size, d)
    put_norm("lm.bert.embeddings.LayerNorm")
    for prefix in (*(f"lm.bert.encoder.layer.{i}." for i in range(config.depth)), "c_head."):
        for name, shape in linear.items():
            put_linear(prefix + name, *shape)
        for name in norms:
            put_norm(prefix + name)
    put_linear("lm.cls.predictions.transform.dense", d, d)
    put_norm("lm.cls.predictions.transform.LayerNorm")
    put("lm.cls.predictions.bias", config.vocab_size)
    return weights


def random_batch(config: BertConfig, draw: np.random.Generator) -> Masked:
    """Texts of several lengths with random words asked and random places visible, in NumPy.

    Args:
        config: sizes.
        draw: of the numbers.
    """
    longest = config.max_length - 2
    texts = framed([draw.integers(0, config.vocab_size - SPECIALS, n) for n in (longest, 4, 1)], config.max_length)
    tokens, ordinary = texts.tokens, texts.word_ids >= 0
    chosen = ordinary & (draw.random(tokens.shape) < 0.5)
    chosen[0, 1] = True
    bow = np.zeros((len(tokens), config.vocab_size))
    for row, words in zip(bow, (t[o] for t, o in zip(tokens, ordinary, strict=True)), strict=True):
        row[words] = 1 / len(words)
    own = np.eye(config.max_length, dtype=bool)[None]
    return Masked(
        tokens=np.where(chosen, draw.integers(0, config.vocab_size, tokens.shape), tokens).astype(np.int32),
        mask=texts.mask,
        labels=np.where(chosen, tokens, UNASKED).astype(np.int32),
        decoder_tokens=tokens,
        decoder_labels=np.where(ordinary, tokens, UNASKED).astype(np.int32),
        visible=(draw.random((*tokens.shape, config.max_length)) < 0.6) & ~own & texts.mask[:, None, :] & texts.mask[:, :, None],
        bow=bow,
    )
