"""Binary paragraph vectors and disambiguated skip-gram: bits for documents, several vectors for words.

Grzegorczyk, *Vector representations of text data in deep learning*, PhD dissertation, AGH Kraków, 2019, arXiv 1901.01695; with
Kurdziel, *Binary Paragraph Vectors*, RepL4NLP 2017, arXiv 1611.01116, and *Disambiguated skip-gram model*, EMNLP 2018. Authors'
code of the latter: kagrze/disgram.
"""

from quire.text_vectors import benchmark, claims
from quire.text_vectors.code_retrieval import code_distances, ndcg, reranked, tie_averaged_precision
from quire.text_vectors.config import PRESETS, Codes, Preset, Senses
from quire.text_vectors.context_clustering import MSSG
from quire.text_vectors.disambiguated_skipgram import DisambiguatedSkipgram, DSGWeights, relaxed_one_hot, sense_logits
from quire.text_vectors.inference import fit_documents, infer_codes
from quire.text_vectors.paper import paper
from quire.text_vectors.paragraph_vectors import BinaryPV, PVWeights, binarise, count_loss, document_codes, pair_loss
from quire.text_vectors.sampled_softmax import log_uniform_sample, sampled_softmax_loss
from quire.text_vectors.sense_similarity import avg_sim, local_sim, sense_cosines, weighted_sim
from quire.text_vectors.senses import adjusted_rand_index, induce_senses, prune, sense_priors

__all__ = [
    "MSSG",
    "PRESETS",
    "BinaryPV",
    "Codes",
    "DSGWeights",
    "DisambiguatedSkipgram",
    "PVWeights",
    "Preset",
    "Senses",
    "adjusted_rand_index",
    "avg_sim",
    "benchmark",
    "binarise",
    "claims",
    "code_distances",
    "count_loss",
    "document_codes",
    "fit_documents",
    "induce_senses",
    "infer_codes",
    "local_sim",
    "log_uniform_sample",
    "ndcg",
    "pair_loss",
    "paper",
    "prune",
    "relaxed_one_hot",
    "reranked",
    "sampled_softmax_loss",
    "sense_cosines",
    "sense_logits",
    "sense_priors",
    "tie_averaged_precision",
    "weighted_sim",
]
