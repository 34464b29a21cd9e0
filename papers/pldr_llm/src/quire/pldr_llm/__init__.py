"""PLDR-LLM: attention through a learned tensor that can replace the network that makes it.

Gokden, *PLDR-LLMs Learn A Generalizable Tensor Operator That Can Replace Its Own Deep Neural Net At Inference*, 2025,
arXiv 2502.13502. Authors' code: burcgokden/PLDR-LLM-with-KVG-cache.
"""

from quire.pldr_llm import benchmark, claims
from quire.pldr_llm.attention import plga, plga_attention, plga_scores
from quire.pldr_llm.cache import Cache, decode_step, init_cache, prefill
from quire.pldr_llm.config import PRESETS, PLDRConfig, PLDRRecipe, Preset
from quire.pldr_llm.convert import checkpoint_names, config_of, load_pldr
from quire.pldr_llm.counting import decoding_steps, step_macs
from quire.pldr_llm.dag import dag_loss, dag_penalty
from quire.pldr_llm.generation import generate
from quire.pldr_llm.invariance import deductive_report, statistics, substitutes
from quire.pldr_llm.metric_learner import MetricLearner, density_matrix
from quire.pldr_llm.model import DecoderLayer, PLDRModel
from quire.pldr_llm.paper import paper
from quire.pldr_llm.power_law import Deductive, PowerLaw, iswiglu, power_law_tensor
from quire.pldr_llm.sdpa import sdpa_decode, sdpa_logits
from quire.pldr_llm.sources import open_corpus, symbols
from quire.pldr_llm.training import language_loss, train_with, trained

__all__ = [
    "PRESETS",
    "Cache",
    "DecoderLayer",
    "Deductive",
    "MetricLearner",
    "PLDRConfig",
    "PLDRModel",
    "PLDRRecipe",
    "PowerLaw",
    "Preset",
    "benchmark",
    "checkpoint_names",
    "claims",
    "config_of",
    "dag_loss",
    "dag_penalty",
    "decode_step",
    "decoding_steps",
    "deductive_report",
    "density_matrix",
    "generate",
    "init_cache",
    "iswiglu",
    "language_loss",
    "load_pldr",
    "open_corpus",
    "paper",
    "plga",
    "plga_attention",
    "plga_scores",
    "power_law_tensor",
    "prefill",
    "sdpa_decode",
    "sdpa_logits",
    "statistics",
    "step_macs",
    "substitutes",
    "symbols",
    "train_with",
    "trained",
]
