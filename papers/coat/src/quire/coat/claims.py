"""The paper's claims, measured."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from quire.coat import figures
from quire.coat.activations import store
from quire.coat.adamw import coat_adamw
from quire.coat.block import CoatBlock, Fp8RMSNorm, Fp8SwiGLU
from quire.coat.config import LanguageModelConfig, Preset
from quire.coat.diagnostics import direction_error, dynamic_range
from quire.coat.expansion import expand_dequantize, expand_quantize, plain_dequantize, plain_quantize
from quire.coat.memory import saved_bytes, state_bytes
from quire.coat.paper import paper
from quire.coat.precision import PRECISIONS, Precision
from quire.coat.training import classifier_runs, language_runs
from quire.common.claims import Measurement, above, all_of, at_least, at_most, beats, every_seed
from quire.common.metrics.cost import count_params
from quire.common.random import generator

# --- Optimiser states ---


@jax.jit
def _report(m: jax.Array, v: jax.Array) -> dict[str, jax.Array]:
    """Errors of the direction, ranges of the codes and powers, for moments `[n]` that fill whole groups."""
    expanded, plain = ({name: quantize(x) for name, x in (("m", m), ("v", v))} for quantize in (expand_quantize, plain_quantize))
    plain_m = plain_dequantize(plain["m"])
    ranges = {
        f"{kind} {name}": jnp.log2(jnp.median(dynamic_range(q)))
        for kind, moments in (("expanded", expanded), ("plain", plain))
        for name, q in moments.items()
    }
    return ranges | {
        "expanded": direction_error(m, v, expand_dequantize(expanded["m"]), expand_dequantize(expanded["v"])),
        "plain": direction_error(m, v, plain_m, plain_dequantize(plain["v"])),
        "root": direction_error(m, v, plain_m, plain_dequantize(plain_quantize(jnp.sqrt(v))) ** 2),
        **{f"power of {name}": jnp.median(q.k) for name, q in expanded.items() if q.k is not None},
    }


def _states(run: dict[str, Any]) -> dict[str, float]:
    return {name: float(x) for name, x in _report(run["m"], run["v"]).items()}


def _on_digits(preset: Preset, key: jax.Array, names: dict[str, str]) -> dict[str, float]:
    """The named numbers of the report for the ReLU network, where the preset trains one."""
    if preset.mlp_training is None:
        return {}
    found = _states(classifier_runs(preset, key))
    return {f"ReLU network, {shown}": found[name] for name, shown in names.items()}


@paper.claim(
    "C1",
    says="Expansion lowers the error of AdamW's direction m / √v by a factor of 1.63",
    source="table 1",
    metric="relative squared error of m / (√v + eps), moments in E4M3",
    holds=all_of(
        every_seed(at_least(1.63, of="plain / expanded")),
        every_seed(beats("√v in plain FP8", lower_is_better=True)),
    ),
    trivial="√v in plain FP8",
    seeds=5,
)
def direction(preset: Preset, key: jax.Array) -> Measurement:
    """The moments at the end of training in float32, quantised both ways; storing the root of v is the simple remedy."""
    run = language_runs(preset, key)
    found = _states(run)
    names = {"expanded": "expanded", "plain": "plain", "root": "√v in plain FP8"}
    return Measurement(
        found["expanded"],
        run["data"],
        baselines={"plain FP8": found["plain"], "√v in plain FP8": found["root"]},
        extras={"plain / expanded": found["plain"] / found["expanded"]} | _on_digits(preset, key, names),
        stand_in_for=run["stand_in_for"],
    )


@paper.claim(
    "C2",
    says="Expansion fills the format, and the second moment needs the larger power",
    source="figure 2",
    metric="log₂ of the median dynamic range of a group's codes, second moment",
    holds=all_of(
        *(every_seed(bound) for of in (None, "m") for bound in (at_least(13, of=of), at_most(17, of=of))),
        every_seed(above(0, of="power of v - power of m")),
    ),
    trivial="plain FP8",
    seeds=5,
)
def fills_the_format(preset: Preset, key: jax.Array) -> Measurement:
    """The same moments; a range of 2^17.8 is all that E4M3 holds."""
    run = language_runs(preset, key)
    found = _states(run)
    powers = {name: found[name] for name in ("power of m", "power of v")}
    return Measurement(
        found["expanded v"],
        run["data"],
        baselines={"plain FP8": found["plain v"]},
        extras={"m": found["expanded m"], "m, plain FP8": found["plain m"]}
        | powers
        | {"power of v - power of m": found["power of v"] - found["power of m"]}
        | _on_digits(preset, key, {name: name for name in powers}),
        stand_in_for=run["stand_in_for"],
        figure=figures.dynamic_ranges(
            {
                "first moment": (found["plain m"], found["expanded m"]),
                "second moment": (found["plain v"], found["expanded v"]),
            }
        ),
    )


@paper.claim(
    "C3",
    says="Training with eight-bit states and activations is nearly lossless",
    source="tables 2 and 3",
    metric="relative distance of the last losses' mean from that of float32",
    holds=every_seed(at_most(0.01)),
    trivial="uniform",
    seeds=5,
    expect="partly",
    because=(
        "In some seeds the last losses are more than one per cent apart, in either direction, and as far apart without "
        "expansion: so few and small batches do not tell a loss of accuracy from chance. On text that is harder to predict the "
        "losses agree, but there float32 does not beat bigram counts either."
    ),
)
def nearly_lossless(preset: Preset, key: jax.Array) -> Measurement:
    """The same initial weights and batches: float32 AdamW, COAT, and COAT without expansion."""
    run = language_runs(preset, key)
    final = {name: float(losses[-preset.last :].mean()) for name, losses in run["losses"].items()}
    others = {"uniform": float(np.log(preset.lm.vocab_size)), "bigram counts": float(run["bigram"])}
    gap = {name: abs(loss / final["float32"] - 1) for name, loss in (final | others).items()}
    digits = {}
    if preset.mlp_training is not None:
        losses = classifier_runs(preset, key)["losses"]
        digits = {f"ReLU network, loss of {name}": float(values[-preset.last :].mean()) for name, values in losses.items()}
    return Measurement(
        gap["COAT"],
        run["data"],
        baselines={name: gap[name] for name in ("uniform", "bigram counts", "without expansion")},
        extras={f"loss of {name}": loss for name, loss in (final | others).items()} | digits,
        stand_in_for=run["stand_in_for"],
        figure=figures.training(run["losses"], others["uniform"], others["bigram counts"]),
    )


@paper.claim(
    "C4",
    says="Without expansion small second moments become zero, and parameters run away",
    source="section 4.1",
    metric="mean distance of the parameters from those of float64 after 5 steps",
    holds=every_seed(at_least(20, of="without expansion / COAT")),
    trivial="without expansion",
    seeds=5,
)
def underflow(preset: Preset, key: jax.Array) -> Measurement:
    """Gradients that span five decades within a group."""
    draw = generator(key)
    params = draw.standard_normal(300)
    grads = 10 ** draw.uniform(-6, -1, 300) * draw.standard_normal((5, 300))
    exact = adamw_float64(params, grads)
    paths = {
        name: np.asarray(_steps(jnp.asarray(params, jnp.float32), jnp.asarray(grads, jnp.float32), expand))
        for name, expand in (("COAT", True), ("without expansion", False))
    }
    errors = {name: np.abs(path - exact).mean(1) for name, path in paths.items()}
    final = {name: float(error[-1]) for name, error in errors.items()}
    return Measurement(
        final["COAT"],
        "300 parameters, gradients over five decades",
        baselines={"without expansion": final["without expansion"]},
        extras={"without expansion / COAT": final["without expansion"] / final["COAT"]},
        figure=figures.drift(errors),
    )


LEARNING_RATE = 1e-2


@partial(jax.jit, static_argnames="expand")
def _steps(params: jax.Array, grads: jax.Array, expand: bool) -> jax.Array:
    """Parameters after each step of `coat_adamw`, `[steps, n]`."""
    tx = coat_adamw(LEARNING_RATE, expand=expand)

    def step(carry, g):
        params, state = carry
        updates, state = tx.update(g, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    return jax.lax.scan(step, (params, tx.init(params)), grads)[1]


def adamw_float64(
    params: np.ndarray,
    grads: np.ndarray,
    rate: float = LEARNING_RATE,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
) -> np.ndarray:
    """Parameters after each step of AdamW as it is written, in NumPy's float64, `[steps, n]`."""
    m, v, path = np.zeros_like(params), np.zeros_like(params), []
    for t, g in enumerate(grads, start=1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        direction = (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
        params = params - rate * (direction + weight_decay * params)
        path.append(params)
    return np.stack(path)


# --- Memory ---


@paper.claim(
    "C5",
    says="States shrink from 8 bytes a parameter to 2.19, saved activations of a block below 60 % of BF16",
    source="section 4 and table 5",
    metric="bytes of float32 AdamW's state / bytes of COAT's",
    holds=all_of(at_least(3.6), at_least(1.65, of="activations, BF16 / COAT")),
    trivial="float32 AdamW",
    seeds=1,
    expect="partly",
    because=(
        "The states are as small as stated. The activations of a block of Llama's proportions fall just short of the line, "
        "against a BF16 block that keeps as little as its precision lets it; with an MLP four times as wide as the stream they "
        "reach it."
    ),
)
def memory(preset: Preset, key: jax.Array) -> Measurement:
    """Counted on the arrays: the states of a block's optimisers, and what its backward pass holds, parameters left out."""
    cfg = preset.memory_block
    block = _block(cfg, "float32")
    count, params = count_params(block), nnx.state(block, nnx.Param)
    states = {name: state_bytes(state) / count for name, state in optimiser_states(params).items()}
    saved = activation_bytes(cfg, preset.memory_batch)
    tokens = preset.memory_batch * cfg.max_length * cfg.dim
    ratios = {f"activations, BF16 / {name}": saved["BF16"] / saved[name] for name in ("TE-like", "COAT")}
    return Measurement(
        states["float32"] / states["COAT"],
        f"Llama block of {count} parameters, {preset.memory_batch} sequences of {cfg.max_length}",
        baselines={"float32 AdamW": 1.0, "BF16 AdamW": states["float32"] / states["BF16"]},
        extras=ratios
        | {f"state bytes / parameter, {name}": value for name, value in states.items()}
        | {f"activation bytes, {name}": value for name, value in saved.items()},
        figure=figures.memory(states, {name: value / tokens for name, value in saved.items()}),
    )


def optimiser_states(params: Any) -> dict[str, Any]:
    """States of AdamW in float32 and bfloat16, and of COAT with and without expansion, for the same parameters."""
    halves = jax.tree.map(lambda p: p.astype(jnp.bfloat16), params)
    return {
        "float32": optax.adamw(1e-3).init(params),
        "BF16": optax.adamw(1e-3).init(halves),
        "COAT": coat_adamw(1e-3).init(params),
        "without expansion": coat_adamw(1e-3, expand=False).init(params),
    }


def activation_bytes(
    cfg: LanguageModelConfig, batch: int, names: tuple[str, ...] = ("BF16", "TE-like", "COAT")
) -> dict[str, int]:
    """Bytes that the backward pass of one block holds for a batch of sequences of full length, by precision."""
    x = jnp.zeros((batch, cfg.max_length, cfg.dim), jnp.bfloat16)
    found = {}
    for name in names:
        graph, params = nnx.split(_block(cfg, name))
        found[name] = saved_bytes(lambda params, x, graph=graph: nnx.merge(graph, params)(x), params, x)
    return found


def _block(cfg: LanguageModelConfig, name: str) -> CoatBlock:
    return CoatBlock(cfg.dim, cfg.num_heads, cfg.hidden_dim, PRECISIONS[name], style=cfg.style, rngs=nnx.Rngs(0))


# --- Granularity ---

FREEDOM = (2, 3, 5)


class HalfBlock(nnx.Module):
    """The second half of a Llama block without its residual: normalisation and SwiGLU."""

    def __init__(self, dim: int, hidden_dim: int, precision: Precision, *, rngs: nnx.Rngs):
        self.precision = precision
        self.norm, self.mlp = Fp8RMSNorm(dim, precision), Fp8SwiGLU(dim, hidden_dim, precision, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.mlp(self.norm(store(x, self.precision.nonlinear)))


@partial(jax.jit, static_argnums=0)
def _outputs(graph: nnx.GraphDef, params: Any, x: jax.Array) -> jax.Array:
    """Outputs for inputs `[kinds, rows, dim]`, each kind quantised by itself."""
    return jax.vmap(nnx.merge(graph, params))(x)


@paper.claim(
    "C6",
    says="Mixed granularity lies between one scale for a tensor and one for each group",
    source="section 5",
    metric="relative error of a SwiGLU half-block's output, mean over kinds of inputs",
    holds=all_of(
        every_seed(beats("per tensor", lower_is_better=True)),
        every_seed(beats("per group")),
    ),
    trivial="per tensor",
    seeds=5,
)
def mixed_granularity(preset: Preset, key: jax.Array) -> Measurement:
    """Student-t inputs of 2, 3 and 5 degrees of freedom, against the same block in float32."""
    x = jnp.asarray(np.stack([generator(key).standard_t(df, (preset.rows, preset.dim)) for df in FREEDOM]), jnp.float32)
    outputs = {}
    for name in ("float32", "per tensor", "COAT", "per group"):
        graph, params = nnx.split(HalfBlock(preset.dim, preset.hidden_dim, PRECISIONS[name], rngs=nnx.Rngs(key)))
        outputs[name] = np.asarray(_outputs(graph, params, x), float)
    exact = outputs.pop("float32")
    norm = np.linalg.norm(exact, axis=(1, 2))
    errors = {name: np.linalg.norm(y - exact, axis=(1, 2)) / norm for name, y in outputs.items()}
    mean = {name: float(error.mean()) for name, error in errors.items()}
    return Measurement(
        mean["COAT"],
        f"{preset.rows} rows of Student-t inputs, {preset.dim} channels",
        baselines={name: mean[name] for name in ("per tensor", "per group")},
        figure=figures.granularity(errors, FREEDOM),
    )
