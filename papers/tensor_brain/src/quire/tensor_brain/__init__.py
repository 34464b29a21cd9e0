"""The tensor brain: perception, episodic and semantic memory as one decoder of triples.

Tresp, Sharifzadeh, Konopatzki and Ma, *The Tensor Brain: Semantic Decoding for Perception and Memory*, 2020, arXiv 2001.11027.
"""

from quire.tensor_brain import benchmark, claims, figures
from quire.tensor_brain.bayesian_brain import log_posterior, lookup_table, posterior, predicate_marginal
from quire.tensor_brain.config import PRESETS, Identities, LinkPrediction, Preset, Scenes, TinyWorld
from quire.tensor_brain.consolidation import divergence, marginalise_time, mixture, product_of_marginals, replay, replay_counts
from quire.tensor_brain.decoder import (
    DecoderWeights,
    StepLogits,
    answer,
    beam,
    greedy,
    joint,
    log_joint,
    log_prob,
    log_probs,
    relation,
    sample,
    step_logits,
)
from quire.tensor_brain.index_layer import ConceptEmbeddings, Index, index_logits
from quire.tensor_brain.link_prediction import zoo
from quire.tensor_brain.memories import (
    EpisodicMemory,
    Perception,
    SemanticDecoder,
    SemanticMemory,
    TensorBrain,
    cue,
    perceive,
    write,
)
from quire.tensor_brain.paper import paper
from quire.tensor_brain.representation import activation
from quire.tensor_brain.scenes import scene_runs
from quire.tensor_brain.sources import PerceptualWorld, made_graph, open_graph, perceptual_world
from quire.tensor_brain.tensor_models import (
    KGModel,
    complex_score,
    distmult_score,
    episodic_score,
    rescal_score,
    transe_score,
)
from quire.tensor_brain.working_memory import MemoryWeights, WorkingMemory, remember

__all__ = [
    "PRESETS",
    "ConceptEmbeddings",
    "DecoderWeights",
    "EpisodicMemory",
    "Identities",
    "Index",
    "KGModel",
    "LinkPrediction",
    "MemoryWeights",
    "Perception",
    "PerceptualWorld",
    "Preset",
    "Scenes",
    "SemanticDecoder",
    "SemanticMemory",
    "StepLogits",
    "TensorBrain",
    "TinyWorld",
    "WorkingMemory",
    "activation",
    "answer",
    "beam",
    "benchmark",
    "claims",
    "complex_score",
    "cue",
    "distmult_score",
    "divergence",
    "episodic_score",
    "figures",
    "greedy",
    "index_logits",
    "joint",
    "log_joint",
    "log_posterior",
    "log_prob",
    "log_probs",
    "lookup_table",
    "made_graph",
    "marginalise_time",
    "mixture",
    "open_graph",
    "paper",
    "perceive",
    "perceptual_world",
    "posterior",
    "predicate_marginal",
    "product_of_marginals",
    "relation",
    "remember",
    "replay",
    "replay_counts",
    "rescal_score",
    "sample",
    "scene_runs",
    "step_logits",
    "transe_score",
    "write",
    "zoo",
]
