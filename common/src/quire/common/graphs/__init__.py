"""Graphs: edge lists, sheaves, propagation, block models; multigraphs and their polynomials, contractions, refinement, PPGN blocks."""
