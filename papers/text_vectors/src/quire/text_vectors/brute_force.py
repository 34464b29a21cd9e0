"""Losses and gradients written out in NumPy and float64, example by example."""

import jax
import numpy as np

from quire.text_vectors.paragraph_vectors import PVWeights


def _softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def paragraph(weights, doc, word, context=None) -> tuple[float, PVWeights]:
    """Loss of a binary paragraph vector model and its slopes, the step of the rounding taken to be the identity."""
    loss, size = 0.0, len(doc)
    slopes = jax.tree.map(np.zeros_like, weights)
    bits = weights.docs.shape[1] if weights.proj is None else weights.proj.shape[1]
    for n, (i, w) in enumerate(zip(doc, word, strict=True)):
        s = 1 / (1 + np.exp(-(weights.docs[i] if weights.proj is None else weights.docs[i] @ weights.proj)))
        h = (s >= 0.5).astype(float)
        if context is not None:
            h = np.concatenate([h, np.mean([weights.words[v] for v in context[n]], axis=0)])
        p = _softmax(weights.out_w @ h + weights.out_b)
        loss -= np.log(p[w]) / size
        p[w] -= 1
        slope_h = p @ weights.out_w / size
        slope_z = slope_h[:bits] * s * (1 - s)
        slopes.out_w[...] += np.outer(p, h) / size
        slopes.out_b[...] += p / size
        if weights.proj is None:
            slopes.docs[i] += slope_z
        else:
            slopes.docs[i] += weights.proj @ slope_z
            slopes.proj[...] += np.outer(weights.docs[i], slope_z)
        around = () if context is None else context[n]
        for v in around:
            slopes.words[v] += slope_h[bits:] / len(around)
    return loss, slopes


def disambiguated(weights, center, context, uniform, temperature) -> tuple[float, np.ndarray]:
    """Loss of the second stage of disambiguated skip-gram, and its slope by the senses; context words are the labels."""
    sense, out_w, out_b, ctx_w, ctx_b = weights
    loss, slope, count = 0.0, np.zeros_like(sense), context.size
    for w, around, u in zip(center, context, uniform, strict=True):
        logits = np.mean([out_w[v] for v in around], axis=0) @ ctx_w[w] + ctx_b[w]
        mix = _softmax((logits - np.log(-np.log(u))) / temperature)
        p = _softmax(out_w @ (mix @ sense[w]) + out_b)
        loss -= sum(np.log(p[t]) for t in around) / count
        slope[w] += np.outer(mix, (len(around) * p - np.bincount(around, minlength=len(p))) @ out_w) / count
    return loss, slope


def pretraining(weights, center, context, reward) -> tuple[float, np.ndarray]:
    """Loss of the first stage, with one classifier for all words, and its slope by the senses."""
    sense, out_w, out_b, ctx_w, ctx_b = weights
    loss, slope, count = 0.0, np.zeros_like(sense), context.size
    for w, around in zip(center, context, strict=True):
        mix = _softmax(np.mean([out_w[v] for v in around], axis=0) @ ctx_w + ctx_b)
        p = _softmax(out_w @ (mix @ sense[w]) + out_b)
        loss -= sum(np.log(p[t]) for t in around) / count
        loss += reward * sum(m * np.log(m + 1e-5) for m in mix) / len(center)
        slope[w] += np.outer(mix, (len(around) * p - np.bincount(around, minlength=len(p))) @ out_w) / count
    return loss, slope
