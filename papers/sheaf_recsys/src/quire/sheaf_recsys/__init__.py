"""Sheaf neural networks for recommendation: diffusion on the graph of users and items along learned restriction maps.

Purificato, Cassarà, Liò and Silvestri, *Sheaf Neural Networks for Graph-based Recommender Systems*, arXiv 2304.09097, 2023;
later, with Siciliano, *Sheaf4Rec*, ACM Transactions on Recommender Systems, 2025. Authors' code: antoniopurificato/Sheaf4Rec.
"""

from quire.common.graphs.edges import Graph, bipartite, from_directed, undirected
from quire.common.graphs.sheaf_layers import SheafConv, SheafDiffusion, SheafLearner, sheaf_maps
from quire.common.graphs.sheaves import SheafLaplacian, sheaf_laplacian
from quire.common.metrics.ranking import hits_at_k, ranking_metrics
from quire.common.retrieval.bpr import bpr_loss, sample_bpr
from quire.sheaf_recsys import benchmark, claims, figures
from quire.sheaf_recsys.convert import load_ngcf_conv, load_sheaf_rec
from quire.sheaf_recsys.models import BPRMF, GCN, NGCF, LightGCN, LinkHead, LinkPredictor, SheafRec, StalkSheafRec
from quire.sheaf_recsys.paper import paper
from quire.sheaf_recsys.protocol import evaluate, held
from quire.sheaf_recsys.training import Setting, link_task, recommendation_task, train

__all__ = [
    "BPRMF",
    "GCN",
    "NGCF",
    "Graph",
    "LightGCN",
    "LinkHead",
    "LinkPredictor",
    "Setting",
    "SheafConv",
    "SheafDiffusion",
    "SheafLaplacian",
    "SheafLearner",
    "SheafRec",
    "StalkSheafRec",
    "benchmark",
    "bipartite",
    "bpr_loss",
    "claims",
    "evaluate",
    "figures",
    "from_directed",
    "held",
    "hits_at_k",
    "link_task",
    "load_ngcf_conv",
    "load_sheaf_rec",
    "paper",
    "ranking_metrics",
    "recommendation_task",
    "sample_bpr",
    "sheaf_laplacian",
    "sheaf_maps",
    "train",
    "undirected",
]
