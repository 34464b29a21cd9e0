"""Tensors: multilinear algebra, sparse tensors, decompositions, Gaussian processes as state spaces."""
