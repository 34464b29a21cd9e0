"""Graphs: edge lists, sheaves, propagation; multigraphs and their polynomials, contractions, refinement, PPGN blocks."""
