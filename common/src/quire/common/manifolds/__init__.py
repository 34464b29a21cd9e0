"""Manifolds of matrices: orthogonal matrices, subspaces."""
