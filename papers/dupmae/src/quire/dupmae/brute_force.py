"""The definitions in NumPy, text by text and place by place: slow, and hard to get wrong."""

from collections.abc import Mapping
from typing import Any

import numpy as np

Weights = Mapping[str, np.ndarray]
"""Arrays by the authors' names, linear maps as `[out, in]`."""


def normalised(x: np.ndarray, w: Weights, name: str) -> np.ndarray:
    """Layer norm with epsilon 1e-12."""
    centred = x - x.mean()
    return centred / np.sqrt((centred**2).mean() + 1e-12) * w[name + ".weight"] + w[name + ".bias"]


def mapped(x: np.ndarray, w: Weights, name: str) -> np.ndarray:
    """A linear map."""
    return w[name + ".weight"] @ x + w[name + ".bias"]


def gelu(x: np.ndarray) -> np.ndarray:
    """`x Phi(x)`."""
    from scipy.special import erf

    return x * (1 + erf(x / np.sqrt(2))) / 2


def embedded(token: int | np.integer, place: int, w: Weights) -> np.ndarray:
    """Word, position, segment 0, layer norm."""
    name = "lm.bert.embeddings."
    word = w[name + "word_embeddings.weight"][token]
    return around(word, place, w)


def around(vector: np.ndarray, place: int, w: Weights) -> np.ndarray:
    """The same with a vector in place of the word's."""
    name = "lm.bert.embeddings."
    total = vector + w[name + "position_embeddings.weight"][place] + w[name + "token_type_embeddings.weight"][0]
    return normalised(total, w, name + "LayerNorm")


def layer(queries: list, keys: list, sees: Any, w: Weights, name: str, heads: int) -> list[np.ndarray]:
    """One layer of BERT; `sees(i, j)` says what place i attends to, and one that sees nothing attends to all alike."""
    out = []
    for i, query in enumerate(queries):
        q = np.split(mapped(query, w, name + "attention.self.query"), heads)
        seen = [j for j in range(len(keys)) if sees(i, j)]
        k, v = (
            [np.split(mapped(keys[j], w, name + f"attention.self.{part}"), heads) for j in seen or range(len(keys))]
            for part in ("key", "value")
        )
        mixed = []
        for head in range(heads):
            logits = np.array([q[head] @ x[head] for x in k]) / np.sqrt(len(q[head])) * bool(seen)
            share = np.exp(logits - logits.max())
            mixed.append(sum(p * x[head] for p, x in zip(share / share.sum(), v, strict=True)))
        attended = query + mapped(np.concatenate(mixed), w, name + "attention.output.dense")
        h = normalised(attended, w, name + "attention.output.LayerNorm")
        inner = gelu(mapped(h, w, name + "intermediate.dense"))
        out.append(normalised(h + mapped(inner, w, name + "output.dense"), w, name + "output.LayerNorm"))
    return out


def logits_of(hidden: np.ndarray, w: Weights) -> np.ndarray:
    """Scores of all words."""
    name = "lm.cls.predictions."
    features = normalised(gelu(mapped(hidden, w, name + "transform.dense")), w, name + "transform.LayerNorm")
    return w["lm.bert.embeddings.word_embeddings.weight"] @ features + w[name + "bias"]


def log_softmax(x: np.ndarray) -> np.ndarray:
    """Log probabilities."""
    return x - x.max() - np.log(np.exp(x - x.max()).sum())


def losses(
    w: Weights, heads: int, batch: Mapping[str, np.ndarray], bow_weight: float, *, retromae: bool = False
) -> dict[str, Any]:
    """Parts of the loss, and their sum, of a batch with the fields of `objective.Masked`."""
    depth = 1 + max(int(name.split(".")[4]) for name in w if name.startswith("lm.bert.encoder.layer."))
    asked, told, bags = [], [], []
    for b, tokens in enumerate(batch["tokens"]):
        there, places = batch["mask"][b], range(len(tokens))
        states = [embedded(token, i, w) for i, token in enumerate(tokens)]
        for n in range(depth):
            states = layer(states, states, lambda i, j: there[j], w, f"lm.bert.encoder.layer.{n}.", heads)  # noqa: B023
        logits = [logits_of(h, w) for h in states]
        asked += [log_softmax(z)[y] for z, y in zip(logits, batch["labels"][b], strict=True) if y >= 0]
        mu = np.max([logits[i] for i in places if i > 0 and there[i]], axis=0)
        bags.append(batch["bow"][b] @ log_softmax(mu))
        positions = w["lm.bert.embeddings.position_embeddings.weight"]
        queries = [states[0] + positions[i] if retromae else around(states[0], i, w) for i in places]
        keys = [states[0]] + [embedded(batch["decoder_tokens"][b][i], i, w) for i in places[1:]]
        decoded = layer(queries, keys, lambda i, j: batch["visible"][b][i, j], w, "c_head.", heads)  # noqa: B023
        told += [log_softmax(logits_of(h, w))[y] for h, y in zip(decoded, batch["decoder_labels"][b], strict=True) if y >= 0]
    found = {"mlm": -np.mean(asked), "decoding": -np.mean(told), "bow": -np.mean(bags)}
    total = found["mlm"] + found["decoding"] + (0 if retromae else bow_weight) * found["bow"]
    return found | {"total": total}


def score(query: tuple, passage: tuple, top_n: int, *, passage_sparse: bool = True) -> float:
    """`<c_q, c_p>` plus the products of logits at the query's N largest, which the passage must have kept too if it is sparse."""
    (c_q, mu_q), (c_p, mu_p) = query, passage
    kept = [set(np.argsort(-mu, kind="stable")[:top_n]) for mu in (mu_q, mu_p)]
    words = kept[0] & kept[1] if passage_sparse else kept[0]
    return float(c_q @ c_p + sum(mu_q[v] * mu_p[v] for v in words))
