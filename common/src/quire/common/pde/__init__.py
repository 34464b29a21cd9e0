"""Solvers of partial differential equations: fields that minimise a residual, and the grids and elements beside them."""
