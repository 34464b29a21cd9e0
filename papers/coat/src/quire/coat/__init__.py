"""COAT."""
from quire.coat.paper import paper
