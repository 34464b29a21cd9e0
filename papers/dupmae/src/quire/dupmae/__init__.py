"""DupMAE, or RetroMAE v2: a text encoder for search, pre-trained by two decoding tasks.

Xiao, Liu, Shao and Cao, 2022, arXiv 2211.08769 (ACL 2023 as RetroMAE-2). Authors' code: staoxiao/RetroMAE.

    visibility            what each place of the decoder sees
    decoder               enhanced decoding: the sentence from its vector
    bag_of_words          the second task: pooled vocabulary logits
    model, objective      the network, the authors' weights, the loss of a step
    retriever             a dense vector and the largest logits, and how they are scored
    fine_tuning           contrastive fine-tuning, distillation
    lexical               TF-IDF and BM25
    training, evaluation  arms and seeds as one program; words recalled, zero-shot search
    claims                D1 .. D6
"""

from quire.dupmae import benchmark, claims
from quire.dupmae.bag_of_words import bow_loss, bow_targets, ot_max_pool
from quire.dupmae.config import PRESETS, Passages, Preset
from quire.dupmae.decoder import EnhancedDecoder, key_value_stream, query_stream
from quire.dupmae.evaluation import evaluate_retrieval
from quire.dupmae.fine_tuning import contrastive_loss, distillation, info_nce
from quire.dupmae.lexical import bm25_scores, tf_idf_scores
from quire.dupmae.model import DupMAE, initial_dupmae, load_dupmae
from quire.dupmae.objective import Masked, dupmae_loss, masked_batch, mlm_loss
from quire.dupmae.paper import paper
from quire.dupmae.retriever import DupMAERetriever, Representation, concatenated, score, score_on_queries_words
from quire.dupmae.sources import Texts, framed
from quire.dupmae.visibility import sample_decoder_visibility

__all__ = [
    "PRESETS",
    "DupMAE",
    "DupMAERetriever",
    "EnhancedDecoder",
    "Masked",
    "Passages",
    "Preset",
    "Representation",
    "Texts",
    "benchmark",
    "bm25_scores",
    "bow_loss",
    "bow_targets",
    "claims",
    "concatenated",
    "contrastive_loss",
    "distillation",
    "dupmae_loss",
    "evaluate_retrieval",
    "framed",
    "info_nce",
    "initial_dupmae",
    "key_value_stream",
    "load_dupmae",
    "masked_batch",
    "mlm_loss",
    "ot_max_pool",
    "paper",
    "query_stream",
    "sample_decoder_visibility",
    "score",
    "score_on_queries_words",
    "tf_idf_scores",
]
