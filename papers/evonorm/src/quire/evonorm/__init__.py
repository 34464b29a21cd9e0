"""EvoNorms: normalisation and activation as one layer, and the search that finds such layers.

Liu, Brock, Simonyan and Le, *Evolving Normalization-Activation Layers*, NeurIPS 2020, arXiv 2004.02967.

    layers                   EvoNorm-B0, B1, B2, S0, S1, S2; BN-ReLU, GN-ReLU, GN-SiLU beside them
    primitives, graph        the search space: graphs, random ones, mutations
    interpreter              one compiled program for every graph, or one for each
    networks                 pre-activation ResNet, MobileNetV2, EfficientNet with any layer
    rejection, proxy         cheap tests, and brief trainings that score a candidate
    search                   ageing evolution, random search, re-ranking
    worker_batches           statistics over few samples
    transfer                 segmentation and generation
    brute_force              the definitions in NumPy
    claims                   C1 .. C7, T1, T2
"""

from quire.evonorm import benchmark, claims
from quire.evonorm.config import PRESETS, Config
from quire.evonorm.graph import BN_RELU, EVONORM_B0, EVONORM_S0, GN_SILU, Graph, mutate, random_graph
from quire.evonorm.interpreter import GraphLayer, evaluate, interpret
from quire.evonorm.layers import BatchNormAct, EvoNorm, GroupNormAct, batch_variance, evonorm_b, evonorm_s
from quire.evonorm.networks import LAYERS, NetworkConfig, build_network, norm_factory
from quire.evonorm.paper import paper
from quire.evonorm.primitives import PRIMITIVES, SAMPLE_PRIMITIVES, apply_primitive
from quire.evonorm.proxy import Proxy, ProxyConfig, ProxyTask
from quire.evonorm.rejection import gradient_norm_ascent, is_sound, passes_quality, passes_stability
from quire.evonorm.search import History, SearchConfig, Trial, evolve, finalists, random_search, rerank
from quire.evonorm.worker_batches import StudyConfig, WorkerNorm, study

__all__ = [
    "BN_RELU",
    "EVONORM_B0",
    "EVONORM_S0",
    "GN_SILU",
    "LAYERS",
    "PRESETS",
    "PRIMITIVES",
    "SAMPLE_PRIMITIVES",
    "BatchNormAct",
    "Config",
    "EvoNorm",
    "Graph",
    "GraphLayer",
    "GroupNormAct",
    "History",
    "NetworkConfig",
    "Proxy",
    "ProxyConfig",
    "ProxyTask",
    "SearchConfig",
    "StudyConfig",
    "Trial",
    "WorkerNorm",
    "apply_primitive",
    "batch_variance",
    "benchmark",
    "build_network",
    "claims",
    "evaluate",
    "evolve",
    "evonorm_b",
    "evonorm_s",
    "finalists",
    "gradient_norm_ascent",
    "interpret",
    "is_sound",
    "mutate",
    "norm_factory",
    "paper",
    "passes_quality",
    "passes_stability",
    "random_graph",
    "random_search",
    "rerank",
    "study",
]
