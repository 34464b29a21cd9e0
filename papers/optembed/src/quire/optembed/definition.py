"""The paper's equations example by example in NumPy, to compare the fast forms with.

Parameters bear the authors' names. Numbers may be complex: an imaginary part of 1e-30 comes out as the derivative, without the
rounding of a difference (Squire and Trapp 1998).
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from quire.optembed.base_models import Kind

State = Mapping[str, np.ndarray]
STEP = 1e-30


def step_slope(z: float) -> float:
    """What stands in for the derivative of the step, case by case."""
    if abs(z) > 1:
        return 0.0
    return 0.4 if abs(z) > 0.4 else 2 - 4 * abs(z)


def margins(state: State, ids: np.ndarray) -> np.ndarray:
    """`|E_v|_1 - t` of every id of a batch."""
    return np.array(
        [[sum(abs(x) for x in state["embedding"][v]) - state["threshold"][i, 0] for i, v in enumerate(row)] for row in ids]
    )


def masked(state: State, ids: np.ndarray, dim_index: np.ndarray) -> np.ndarray:
    """`m_f m_c E_v`, `[batch, fields, dim]`."""
    dim = state["embedding"].shape[1]
    keep = margins(state, ids) > 0
    return np.array(
        [
            [[keep[b, i] * (d <= dim_index[b, i]) * state["embedding"][v, d] for d in range(dim)] for i, v in enumerate(row)]
            for b, row in enumerate(ids)
        ]
    )


def batch_norm(x: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """By the statistics of the batch, with the biased variance."""
    centred = x - x.mean(0)
    return centred / np.sqrt((centred**2).mean(0) + 1e-5) * scale + shift


def perceptron(state: State, x: np.ndarray, layers: int, output: bool) -> np.ndarray:
    """Linear map, batch normalisation, ReLU; and so on."""
    for i in range(layers):
        x = x @ state[f"mlp.mlp.{4 * i}.weight"].T + state[f"mlp.mlp.{4 * i}.bias"]
        x = batch_norm(x, state[f"mlp.mlp.{4 * i + 1}.weight"], state[f"mlp.mlp.{4 * i + 1}.bias"])
        x = x * (x.real > 0)
    return x @ state[f"mlp.mlp.{4 * layers}.weight"].T + state[f"mlp.mlp.{4 * layers}.bias"] if output else x


def logits(kind: Kind, state: State, ids: np.ndarray, x: np.ndarray, layers: int, crosses: int) -> np.ndarray:
    """Log-odds of the five base models from embedding vectors x, pair by pair."""
    flat = x.reshape(len(x), -1)
    fields = x.shape[1]
    pairs = np.stack([(x[:, i] * x[:, j]).sum(1) for i in range(fields) for j in range(i + 1, fields)], axis=1)
    first = state["linear.fc.weight"][ids, 0].sum(1) + state["linear.bias"] if kind in ("fm", "deepfm") else 0
    if kind == "fm":
        return first + pairs.sum(1)
    if kind == "deepfm":
        return first + pairs.sum(1) + perceptron(state, flat, layers, True)[:, 0]
    if kind == "fnn":
        return perceptron(state, flat, layers, True)[:, 0]
    if kind == "ipnn":
        return perceptron(state, np.concatenate([flat, pairs], axis=1), layers, True)[:, 0]
    deep, crossed = perceptron(state, flat, layers, False), flat
    for i in range(crosses):
        crossed = flat * (crossed @ state[f"cross.w.{i}.weight"].T) + state[f"cross.b.{i}"] + crossed
    return (np.concatenate([deep, crossed], axis=1) @ state["combine.weight"].T + state["combine.bias"])[:, 0]


def cross_entropy(scores: np.ndarray, labels: np.ndarray) -> np.number:
    """Mean of `log(1 + exp(s)) - y s`."""
    return np.mean(np.log(1 + np.exp(scores)) - labels * scores)


def complex_step(function: Callable[[np.ndarray], np.number], x: np.ndarray) -> np.ndarray:
    """Gradient of a function of one array, entry by entry."""
    gradient = np.zeros(x.size)
    for entry in range(x.size):
        moved = x.astype(complex).ravel()
        moved[entry] += 1j * STEP
        gradient[entry] = function(moved.reshape(x.shape)).imag / STEP
    return gradient.reshape(x.shape)


def gradients(
    state: State, ids: np.ndarray, dim_index: np.ndarray, slope: np.ndarray, alpha: float
) -> tuple[np.ndarray, np.ndarray]:
    """Gradients by embedding and threshold of the loss with its regulariser, from those by the masked embeddings.

    A row feels `m_f m_c g`, and through its norm `<m_c E_v, g> S'(z) sign(E_v)`; a threshold `-<m_c E_v, g> S'(z)`.
    """
    by_row, by_threshold = np.zeros_like(state["embedding"]), -alpha * np.exp(-state["threshold"])
    z = margins(state, ids)
    for b, row in enumerate(ids):
        for i, v in enumerate(row):
            dims = np.arange(by_row.shape[1]) <= dim_index[b, i]
            embedding = state["embedding"][v]
            through = (dims * embedding * slope[b, i]).sum() * step_slope(z[b, i])
            by_row[v] += (z[b, i] > 0) * dims * slope[b, i] + through * np.sign(embedding)
            by_threshold[i, 0] -= through
    return by_row, by_threshold


def random_state(
    kind: Kind, field_dims: Sequence[int], dim: int, hidden: Sequence[int], crosses: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Parameters under the authors' names, normal; thresholds lie among the norms, so that some rows are pruned."""
    values, flat = sum(field_dims), len(field_dims) * dim
    normal = rng.standard_normal
    state = {"embedding": 0.3 * normal((values, dim))}
    state["threshold"] = np.abs(state["embedding"]).sum(1).mean() + 0.1 * normal((len(field_dims), 1))
    if kind in ("fm", "deepfm"):
        state |= {"linear.fc.weight": normal((values, 1)), "linear.bias": normal(1)}
    width = flat + (len(field_dims) * (len(field_dims) - 1) // 2 if kind == "ipnn" else 0)
    for i, size in enumerate(hidden if kind != "fm" else ()):
        state |= {f"mlp.mlp.{4 * i}.weight": normal((size, width)), f"mlp.mlp.{4 * i}.bias": normal(size)}
        state |= {f"mlp.mlp.{4 * i + 1}.weight": normal(size), f"mlp.mlp.{4 * i + 1}.bias": normal(size)}
        width = size
    if kind in ("deepfm", "fnn", "ipnn"):
        state |= {f"mlp.mlp.{4 * len(hidden)}.weight": normal((1, width)), f"mlp.mlp.{4 * len(hidden)}.bias": normal(1)}
    if kind == "dcn":
        for i in range(crosses):
            state |= {f"cross.w.{i}.weight": 0.3 * normal((1, flat)), f"cross.b.{i}": normal(flat)}
        state |= {"combine.weight": normal((1, width + flat)), "combine.bias": normal(1)}
    return state
