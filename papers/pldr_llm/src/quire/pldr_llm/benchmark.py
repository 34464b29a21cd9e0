"""What `quire bench pldr_llm` times: one decoding step after n tokens, by what is cached."""

import jax
import jax.numpy as jnp
from flax import nnx

from quire.common.bench import Benchmark, Case
from quire.pldr_llm.cache import prefill
from quire.pldr_llm.config import PLDRConfig
from quire.pldr_llm.counting import decoding_steps, step_macs
from quire.pldr_llm.model import PLDRModel
from quire.pldr_llm.paper import paper

SIZES = PLDRConfig(vocab_size=64, depth=1, num_heads=2, head_dim=64)


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """With both caches a step is linear in n at most, and without them quadratic; a plain transformer is the floor."""
    model = PLDRModel(SIZES, rngs=nnx.Rngs(key))
    tokens = 1 + jax.random.randint(key, (1, n), 0, SIZES.vocab_size - 1)
    _, cache = prefill(model, tokens[:, :-1], n)
    work = step_macs(SIZES, n)
    steps = decoding_steps(model, tokens, jnp.asarray(tokens[:, -1]), cache)
    return {name: Case(function, args, 2.0 * work[name]) for name, (function, args) in steps.items()}


paper.benchmark = Benchmark("One decoding step", size="tokens n", sizes=(128, 256, 512, 1024), cases=cases)
