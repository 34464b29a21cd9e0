from quire.sheaf_recsys.paper import paper
