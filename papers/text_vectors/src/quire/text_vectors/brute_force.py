"""Losses and gradients written out in NumPy and float64, example by example."""

import numpy as np


def _softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def real_binary(docs, proj, out_w, out_b, doc, word) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """Loss of Real-Binary PV and its slopes by D, P and W, the step of the rounding taken to be the identity."""
    loss, slope_docs, slope_proj, slope_w = 0.0, np.zeros_like(docs), np.zeros_like(proj), np.zeros_like(out_w)
    for i, w in zip(doc, word, strict=True):
        s = 1 / (1 + np.exp(-docs[i] @ proj))
        h = (s >= 0.5).astype(float)
        p = _softmax(out_w @ h + out_b)
        loss -= np.log(p[w]) / len(doc)
        p[w] -= 1
        slope_z = (p @ out_w) * s * (1 - s) / len(doc)
        slope_docs[i] += proj @ slope_z
        slope_proj += np.outer(docs[i], slope_z)
        slope_w += np.outer(p, h) / len(doc)
    return loss, slope_docs, slope_proj, slope_w


def disambiguated(weights, center, context, labels, uniform, temperature) -> tuple[float, np.ndarray]:
    """Loss of the second stage of disambiguated skip-gram, and its slope by the senses."""
    sense, out_w, out_b, ctx_w, ctx_b = weights
    loss, slope, count = 0.0, np.zeros_like(sense), labels.size
    for w, around, targets, u in zip(center, context, labels, uniform, strict=True):
        logits = np.mean([out_w[v] for v in around], axis=0) @ ctx_w[w] + ctx_b[w]
        mix = _softmax((logits - np.log(-np.log(u))) / temperature)
        p = _softmax(out_w @ (mix @ sense[w]) + out_b)
        loss -= sum(np.log(p[t]) for t in targets) / count
        slope[w] += np.outer(mix, (len(targets) * p - np.bincount(targets, minlength=len(p))) @ out_w) / count
    return loss, slope
