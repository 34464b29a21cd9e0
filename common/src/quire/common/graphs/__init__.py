"""Graphs: edge lists, sheaves, propagation; multigraphs, the polynomials they stand for, contractions, refinement, PPGN blocks."""
