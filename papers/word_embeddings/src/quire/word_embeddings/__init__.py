"""Word and document embeddings: six ways to learn word vectors under one roof, GloVe, Chinese characters, and RCNN.

Lai, *Word and Document Embeddings based on Neural Network Approaches*, PhD thesis 2016, arXiv 1611.05962. Lai, Liu, Xu and Zhao,
*How to Generate a Good Word Embedding?*, 2016, arXiv 1507.05523, and *Recurrent Convolutional Neural Networks for Text
Classification*, AAAI 2015.
Authors' code: licstar/compare.

    vocabulary             ids, counts, thinning, noise
    models                 the six trainers: context, relation, score, loss
    sequential             their updates one by one, as the authors' program makes them
    blocks                 the fast form
    glove, theory          GloVe; what it has in common with Skip-gram
    char_word              characters and words of Chinese together
    segmentation           word boundaries by tagging characters
    rcnn, classifiers      the document model, and its rivals
    evaluation, corpora    tasks, and texts to learn from
    brute_force            the definitions in NumPy
    claims                 C1 .. C6
"""

from quire.word_embeddings import benchmark, claims
from quire.word_embeddings.blocks import Batch, Fitted, Schedule, Text, block_loss, fit_ns
from quire.word_embeddings.char_word import CharWordCBOW, CharWordConfig, char_word_text, fit_char_word
from quire.word_embeddings.classifiers import CNN, RecurrentNet
from quire.word_embeddings.config import Config
from quire.word_embeddings.evaluation import (
    analogy,
    cosine,
    performance_gain_ratio,
    read_synonym_questions,
    word_similarity,
)
from quire.word_embeddings.glove import fit_glove, replay_glove
from quire.word_embeddings.models import MODELS, NSConfig, NSParams, init_ns, ns_loss, ns_scores
from quire.word_embeddings.paper import paper
from quire.word_embeddings.rcnn import RCNN, RCNNWeights, init_rcnn, key_phrases, rcnn_forward
from quire.word_embeddings.segmentation import bmes, boundary_f1
from quire.word_embeddings.sequential import replay
from quire.word_embeddings.theory import fit_softmax_skipgram, sgns_loss, shifted_pmi
from quire.word_embeddings.vocabulary import Vocab, noise_distribution

__all__ = [
    "CNN",
    "MODELS",
    "RCNN",
    "Batch",
    "CharWordCBOW",
    "CharWordConfig",
    "Config",
    "Fitted",
    "NSConfig",
    "NSParams",
    "RCNNWeights",
    "RecurrentNet",
    "Schedule",
    "Text",
    "Vocab",
    "analogy",
    "benchmark",
    "block_loss",
    "bmes",
    "boundary_f1",
    "char_word_text",
    "claims",
    "cosine",
    "fit_char_word",
    "fit_glove",
    "fit_ns",
    "fit_softmax_skipgram",
    "init_ns",
    "init_rcnn",
    "key_phrases",
    "noise_distribution",
    "ns_loss",
    "ns_scores",
    "paper",
    "performance_gain_ratio",
    "rcnn_forward",
    "read_synonym_questions",
    "replay",
    "replay_glove",
    "sgns_loss",
    "shifted_pmi",
    "word_similarity",
]
