"""Binary paragraph vectors and disambiguated skip-gram: bits for documents, several vectors for words.

Grzegorczyk, *Vector representations of text data in deep learning*, PhD dissertation, AGH Kraków, 2019, arXiv 1901.01695; with
Kurdziel, *Binary Paragraph Vectors*, RepL4NLP 2017, arXiv 1611.01116, and *Disambiguated skip-gram model*, EMNLP 2018. Authors'
code of the latter: kagrze/disgram.
"""

from quire.text_vectors import benchmark, claims
from quire.text_vectors.adagram import AdaGram, log_stick_breaking
from quire.text_vectors.annotated_senses import agreement
from quire.text_vectors.code_retrieval import code_distances, ndcg, precision_recall, reranked, tie_averaged_precision
from quire.text_vectors.config import PRESETS, Codes, Preset, Senses
from quire.text_vectors.context_clustering import MSSG, first_component_side
from quire.text_vectors.disambiguated_skipgram import (
    DisambiguatedSkipgram,
    DSGWeights,
    fine_loss,
    initial_weights,
    own_classifiers,
    pretraining_loss,
    sense_logits,
)
from quire.text_vectors.hashing import hyperplane_codes, itq_codes, sign_codes
from quire.text_vectors.inference import fit_documents, infer_codes
from quire.text_vectors.paper import paper
from quire.text_vectors.paragraph_vectors import BinaryPV, PVWeights, count_loss, document_codes, document_hidden, pair_loss
from quire.text_vectors.sense_similarity import avg_sim, correlations, local_sim, sense_cosines, similarities, weighted_sim
from quire.text_vectors.senses import induce_senses, prune, sense_priors, sense_probabilities

__all__ = [
    "MSSG",
    "PRESETS",
    "AdaGram",
    "BinaryPV",
    "Codes",
    "DSGWeights",
    "DisambiguatedSkipgram",
    "PVWeights",
    "Preset",
    "Senses",
    "agreement",
    "avg_sim",
    "benchmark",
    "claims",
    "code_distances",
    "correlations",
    "count_loss",
    "document_codes",
    "document_hidden",
    "fine_loss",
    "first_component_side",
    "fit_documents",
    "hyperplane_codes",
    "induce_senses",
    "infer_codes",
    "initial_weights",
    "itq_codes",
    "local_sim",
    "log_stick_breaking",
    "ndcg",
    "own_classifiers",
    "pair_loss",
    "paper",
    "precision_recall",
    "pretraining_loss",
    "prune",
    "reranked",
    "sense_cosines",
    "sense_logits",
    "sense_priors",
    "sense_probabilities",
    "sign_codes",
    "similarities",
    "tie_averaged_precision",
    "weighted_sim",
]
