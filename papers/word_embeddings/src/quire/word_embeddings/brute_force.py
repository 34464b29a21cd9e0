"""The definitions in NumPy and float64, one word and one row after the other, to compare the fast forms with."""

from collections.abc import Sequence

import numpy as np

from quire.common.arrays import AnyArray

START = 1e-8


class Table:
    """Parameters with their accumulated squares."""

    def __init__(self, values: AnyArray):
        self.values, self.squares = np.array(values, float), np.full(np.shape(values), START)

    def ascend(self, where, gradient: np.ndarray, rate: float) -> None:
        self.squares[where] += gradient**2
        self.values[where] += rate * gradient / np.sqrt(self.squares[where])


def label_minus_sigmoid(label: int, score: float) -> float:
    """The derivative, with its saturation."""
    if abs(score) > 6:
        return label - float(score > 0)
    return label - 1 / (1 + np.exp(-score))


def replay(model: str, arrays: Sequence[AnyArray], target, context, negative, rate: float) -> list[Table]:
    """The six trainers, word by word.

    Args:
        model: its name.
        arrays: word vectors, `out` and, where the model has it, H.
        target, context, negative: the examples; -1 for a negative that was dropped.
        rate: alpha.
    """
    tables = [Table(x) for x in arrays]
    for t, words, negatives in zip(target, context, negative, strict=True):
        labels = [(int(t), 1)] + [(int(n), 0) for n in negatives if n >= 0]
        (_window if model == "cw" else _target)(model, tables, labels, [int(w) for w in words], rate)
    return tables


def _target(model, tables, labels, words, rate):
    embed, out = tables[:2]
    joined = np.concatenate([embed.values[w] for w in words])
    mean = sum(embed.values[w] for w in words) / len(words)
    x = {"skipgram": mean, "cbow": mean, "order": joined}.get(model)
    if x is None:
        x = tables[2].values @ joined
        x = np.tanh(x) if model == "nnlm" else x
    along = np.zeros(len(x))
    for word, label in labels:
        factor = label_minus_sigmoid(label, x @ out.values[word])
        along = along + factor * out.values[word]
        out.ascend(word, factor * x, rate)
    if model in ("lbl", "nnlm"):
        into = along * (1 - x * x) if model == "nnlm" else along
        along = tables[2].values.T @ into
        tables[2].ascend(..., np.outer(into, joined), rate)
    for place, word in enumerate(words):
        size = embed.values.shape[1]
        whole = model in ("skipgram", "cbow")
        embed.ascend(word, along if whole else along[place * size : (place + 1) * size], rate)


def _window(model, tables, labels, words, rate):
    embed, out, hidden = tables
    size, half = embed.values.shape[1], len(words) // 2
    joined = [embed.values[w].copy() for w in words]
    blocks = [slice(i * size, (i + 1) * size) for i in range(len(words) + 1)]
    middle, around = blocks.pop(half), blocks
    h_middle = hidden.values[:, middle].copy()
    x = sum(hidden.values[:, b] @ v for b, v in zip(around, joined, strict=True))
    weights = out.values[0].copy()
    into_sum, middle_sum, out_sum = np.zeros(len(x)), np.zeros_like(h_middle), np.zeros(len(weights))
    for word, label in labels:
        vector = embed.values[word].copy()
        h = np.tanh(x + h_middle @ vector)
        factor = label_minus_sigmoid(label, h @ weights)
        into = factor * weights * (1 - h * h)
        into_sum, middle_sum, out_sum = into_sum + into, middle_sum + np.outer(into, vector), out_sum + factor * h
        embed.ascend(word, h_middle.T @ into, rate)
    hidden.ascend((slice(None), middle), middle_sum, rate)
    out.ascend(0, out_sum, rate)
    along = [hidden.values[:, b].T @ into_sum for b in around]
    for word, gradient in zip(words, along, strict=True):
        embed.ascend(word, gradient, rate)
    for block, vector in zip(around, joined, strict=True):
        hidden.ascend((slice(None), block), np.outer(into_sum, vector), rate)


def replay_glove(pairs, x, counts: int, table: np.ndarray, epochs: int, rate: float, x_max: float, power: float):
    """glove.c, pair by pair: table, accumulator and cost of the last epoch."""
    table, squares = np.array(table, float), np.ones(np.shape(table))
    cost = 0.0
    for _ in range(epochs):
        cost = 0.0
        for (i, j), value in zip(np.asarray(pairs), np.asarray(x), strict=True):
            first, second = table[i].copy(), table[counts + j].copy()
            difference = first[:-1] @ second[:-1] + first[-1] + second[-1] - np.log(value)
            weighted = min(1.0, (value / x_max) ** power) * difference
            cost += 0.5 * weighted * difference
            for row, other in ((i, second), (counts + j, first)):
                step = rate * weighted * np.append(other[:-1], 1.0)
                table[row] -= step / np.sqrt(squares[row])
                squares[row] += step**2
    return table, squares, cost


def cooccurrence(tokens, lengths, window: int, size: int, inverse: bool) -> np.ndarray:
    """Every pair of positions of a sentence."""
    counts, start = np.zeros((size, size)), 0
    for length in lengths:
        sentence = tokens[start : start + length]
        start += length
        for a, b in np.ndindex(len(sentence), len(sentence)):
            if 0 < abs(a - b) <= window:
                counts[sentence[a], sentence[b]] += 1 / abs(a - b) if inverse else 1
    return counts
