"""The paper's claims, measured."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.claims import Measurement, all_of, at_most, below, every_seed
from quire.common.claims.identity import identity
from quire.common.random import generator
from quire.pldr_llm import figures
from quire.pldr_llm.cache import decode_step, prefill
from quire.pldr_llm.config import PLDRConfig, Preset
from quire.pldr_llm.counting import step_macs
from quire.pldr_llm.generation import generation
from quire.pldr_llm.invariance import statistics
from quire.pldr_llm.model import PLDRModel
from quire.pldr_llm.paper import paper
from quire.pldr_llm.sdpa import sdpa_logits
from quire.pldr_llm.training import SUBSTITUTES, trained

# --- Identities ---

EXACT = PLDRConfig(vocab_size=64, depth=2, num_heads=2, head_dim=16, metric_dim=24, residual_units=2)
PROMPT, STEPS = 12, 8


def _random_model(key: jax.Array, dtype: Any) -> tuple[nnx.GraphDef, nnx.State, np.ndarray]:
    """Graph and state of random weights, and random tokens without padding."""
    graph, state = nnx.split(PLDRModel(EXACT, rngs=nnx.Rngs(key)))
    tokens = generator(key).integers(1, EXACT.vocab_size, (2, PROMPT + STEPS))
    return graph, jax.tree.map(lambda x: np.asarray(x, dtype), state), tokens.astype(np.int32)


@partial(jax.jit, static_argnames="graph")
def _continued(graph: nnx.GraphDef, state: nnx.State, tokens: jax.Array) -> dict[str, jax.Array]:
    """Logits `[steps, batch, vocab]` of the tokens behind the prompt, by what is cached."""
    model = nnx.merge(graph, state)
    _, cache = prefill(model, tokens[:, :PROMPT], tokens.shape[1])

    def steps(use_g):
        def step(cache, token):
            logits, cache = decode_step(model, token, cache, use_g=use_g)
            return cache, logits

        return jax.lax.scan(step, cache, tokens[:, PROMPT:].T)[1]

    alone = model(tokens, g=cache.G)[0][:, PROMPT:]
    return {"KV": steps(False), "KV + G": steps(True), "G": jnp.swapaxes(alone, 0, 1)}


@paper.claim(
    "P1",
    says="The G-cache changes nothing once A is cached, and the KV-cache nothing once G is",
    source="abstract; section on caches",
    metric="largest difference of a logit, float64",
    holds=all_of(at_most(1e-12, of="KV and KV + G"), at_most(1e-10, of="G and KV + G")),
    exact=True,
)
def caches(preset: Preset, key: jax.Array) -> Measurement:
    """Eight steps behind a prompt of twelve tokens."""

    def errors(dtype):
        found = jax.tree.map(np.asarray, _continued(*_random_model(key, dtype)))
        return {f"{name} and KV + G": float(np.abs(found[name] - found["KV + G"]).max()) for name in ("KV", "G")}

    data = f"{EXACT.depth} layers of random weights, prompts of {PROMPT} random tokens, {STEPS} steps"
    return identity(errors, data, single=False)


@partial(jax.jit, static_argnames="graph")
def _identity_error(graph: nnx.GraphDef, state: nnx.State, tokens: jax.Array) -> jax.Array:
    model = nnx.merge(graph, state)
    eye = jnp.eye(EXACT.head_dim, dtype=model.decoder.embedding[...].dtype)
    g = jnp.broadcast_to(eye, (EXACT.depth, 1, EXACT.num_heads, EXACT.head_dim, EXACT.head_dim))
    return jnp.abs(model(tokens, g=g)[0] - sdpa_logits(model, tokens)).max()


@paper.claim(
    "P2",
    says="Scaled dot-product attention is the special case G = I",
    source="section on ablations",
    metric="largest difference of a logit, float64",
    holds=all_of(at_most(1e-10)),
    exact=True,
)
def special_case(preset: Preset, key: jax.Array) -> Measurement:
    """The same weights in a plain transformer."""
    data = f"{EXACT.depth} layers of random weights, {PROMPT + STEPS} random tokens"
    return identity(lambda dtype: float(_identity_error(*_random_model(key, dtype))), data, single=False)


# --- A trained model ---


@paper.claim(
    "P3",
    says="The learned G hardly depends on the input",
    source="abstract; table of root mean square errors and determinants",
    metric="spread of G over held-out prompts, relative to its mean, after training",
    holds=every_seed(below(0.6, of="after / before")),
    trivial="before training",
)
def invariance(preset: Preset, key: jax.Array) -> Measurement:
    """Root mean square of `G_i - mean G` over that of `mean G`, mean over layers."""
    run = trained(preset, key)
    found = {when: statistics(np.asarray(run[when]["G"])) for when in ("before", "after")}
    spread = {when: float(each["relative_rmse"].mean()) for when, each in found.items()}
    extras = {"after / before": spread["after"] / spread["before"]}
    for when, each in found.items():
        extras[f"root mean square error, {when}"] = float(each["rmse"].mean())
        extras[f"spread of a determinant, median, {when}"] = float(np.median(each["det_spread"]))
    return Measurement(
        spread["after"],
        f"{run['data']}; {preset.prompts} held-out prompts of {preset.length} letters",
        baselines={"before training": spread["before"]},
        extras=extras,
        stand_in_for=run["stand_in_for"],
        figure=figures.spread(found["before"]["relative_rmse"], found["after"]["relative_rmse"]),
    )


@paper.claim(
    "P4",
    says="A cached G replaces the network that made it, with unchanged scores",
    source="abstract; zero-shot tables",
    metric="distance of the held-out loss from that with G made anew for every prompt",
    unit="nats",
    holds=all_of(
        every_seed(below(0.02)),
        every_seed(below(0.1, of="cached / random")),
        every_seed(below(0, of="loss - bigram")),
    ),
    trivial="identity",
)
def replaced(preset: Preset, key: jax.Array) -> Measurement:
    """One tensor for all prompts: that of the first one, the identity, a random one, or that of other heads."""
    run = trained(preset, key)
    losses = {name: float(run["after"]["losses"][name]) for name in ("recomputed", *SUBSTITUTES)}
    counted = {name: float(loss) for name, loss in run["counted"].items()}
    gap = {name: abs(losses[name] - losses["recomputed"]) for name in SUBSTITUTES}
    extras = {f"loss, G {name}": loss for name, loss in losses.items()} | {
        f"loss, {name}": loss for name, loss in counted.items()
    }
    extras |= {"cached / random": gap["cached"] / gap["random"], "loss - bigram": losses["recomputed"] - counted["bigram"]}
    return Measurement(
        gap["cached"],
        f"{run['data']}; {preset.prompts} held-out prompts of {preset.length} letters",
        baselines={name: gap[name] for name in SUBSTITUTES if name != "cached"},
        extras=extras,
        stand_in_for=run["stand_in_for"],
        figure=figures.substituted(losses, counted),
    )


# --- Cost ---

MODES = {"KV + G": (True, True), "KV": (True, False), "none": (False, False)}
GENERATED = 32


def _seconds(cfg: PLDRConfig, length: int, key: jax.Array) -> dict[str, float]:
    """Time of greedy generation by what is cached, the faster of two; compilation is left out."""
    model = PLDRModel(cfg, rngs=nnx.Rngs(key))
    prompt = generator(key).integers(1, cfg.vocab_size, (1, length - GENERATED)).astype(np.int32)
    found = {}
    for name, (kv, g) in MODES.items():
        program, args = generation(model, prompt, GENERATED, kv_cache=kv, g_cache=g, how=(1.0, 1.0, 1), key=key)
        _, *arrays = args[:4]  # what is not static
        compiled = program.lower(*args).compile()
        found[name] = min(_timed(compiled, arrays) for _ in range(2))
    return found


def _timed(function: Callable[..., jax.Array], args: Sequence[Any]) -> float:
    start = time.perf_counter()
    jax.block_until_ready(function(*args))
    return time.perf_counter() - start


@paper.claim(
    "P5",
    says="The caches shorten generation",
    source="section on inference; tables of run times",
    metric="multiply-accumulates of a decoding step with both caches",
    unit="millions",
    holds=all_of(below(1, of="KV + G / KV"), below(1, of="KV / none"), at_most(1.1, of="KV + G / SDPA, KV")),
    trivial="SDPA, KV",
    seeds=1,
)
def shorter(preset: Preset, key: jax.Array) -> Measurement:
    """Counted on the traced programs; seconds of a whole generation stand beside and are not judged."""
    cfg, length = preset.step_config, preset.step_length
    work, seconds = step_macs(cfg, length), _seconds(cfg, length, key)
    pairs = (("KV + G", "KV"), ("KV", "none"), ("KV + G", "SDPA, KV"))
    ratios = {f"{first} / {second}": work[first] / work[second] for first, second in pairs}
    return Measurement(
        work["KV + G"] / 1e6,
        f"{length} tokens, {cfg.depth} layers, {cfg.num_heads} heads of {cfg.head_dim}, {cfg.residual_units} residual units",
        baselines={name: work[name] / 1e6 for name in ("SDPA, KV", "KV", "G", "none")},
        extras=ratios | {f"seconds for {GENERATED} tokens, {name}": value for name, value in seconds.items()},
        figure=figures.work(work, seconds, GENERATED),
    )
