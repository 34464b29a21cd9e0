"""MUVERA: one vector for a set of token vectors, so that any index by inner product serves multi-vector retrieval.

Dhulipala, Hadian, Jayaram, Lee and Mirrokni, *MUVERA: Multi-Vector Retrieval via Fixed Dimensional Encodings*, NeurIPS 2024,
arXiv 2405.19504. Authors' code: google/graph-mining, `sketching/point_cloud`.

    chamfer                what is to be approximated
    partition, projection  SimHash or k-means; random projections
    encoding               fixed dimensional encodings of queries and documents
    mips, index            candidates by inner product (exact, quantised, faiss), re-ranked by Chamfer similarity
    ball_carving           fewer query vectors for re-ranking
    single_vector          the baselines
    theory, brute_force    what the theorems ask for; the definitions, token by token
    claims                 C1 .. C6
"""

from quire.muvera import benchmark, claims
from quire.muvera.ball_carving import Carved, ball_carve
from quire.muvera.chamfer import best_matches, chamfer, chamfer_matrix
from quire.muvera.config import Config
from quire.muvera.encoding import (
    FDEConfig,
    FDEParams,
    document_fde,
    encode_documents,
    encode_queries,
    final_projection,
    query_fde,
    sample_fde_params,
)
from quire.muvera.index import Found, MuveraIndex
from quire.muvera.mips import ExactMIPS, GraphMIPS, QuantisedMIPS
from quire.muvera.paper import paper
from quire.muvera.partition import Centres, SimHash, gray_bits, gray_rank, kmeans_partition, simhash_bits
from quire.muvera.projection import CountSketch, count_sketch, sample_count_sketch, sample_inner_projections
from quire.muvera.recall import candidates_needed, one_recall, recall_at, target_ranks
from quire.muvera.single_vector import mean_pool, sv_heuristic
from quire.muvera.theory import sufficient_bits, sufficient_proj_dim, sufficient_repetitions
from quire.muvera.token_sets import TokenSets
from quire.muvera.token_vectors import Encoder

__all__ = [
    "Carved",
    "Centres",
    "Config",
    "CountSketch",
    "Encoder",
    "ExactMIPS",
    "FDEConfig",
    "FDEParams",
    "Found",
    "GraphMIPS",
    "MuveraIndex",
    "QuantisedMIPS",
    "SimHash",
    "TokenSets",
    "ball_carve",
    "benchmark",
    "best_matches",
    "candidates_needed",
    "chamfer",
    "chamfer_matrix",
    "claims",
    "count_sketch",
    "document_fde",
    "encode_documents",
    "encode_queries",
    "final_projection",
    "gray_bits",
    "gray_rank",
    "kmeans_partition",
    "mean_pool",
    "one_recall",
    "paper",
    "query_fde",
    "recall_at",
    "sample_count_sketch",
    "sample_fde_params",
    "sample_inner_projections",
    "simhash_bits",
    "sufficient_bits",
    "sufficient_proj_dim",
    "sufficient_repetitions",
    "sv_heuristic",
    "target_ranks",
]
