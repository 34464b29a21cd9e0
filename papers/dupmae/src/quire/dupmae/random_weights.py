"""Random weights by the authors' names: a small model for identities."""

import numpy as np

from quire.common.layers.bert import BertConfig


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
