"""Graphs: multigraphs and the polynomials that they stand for, contractions, colour refinement, dense batches, PPGN blocks."""

"""Layers on graphs: edge lists, sheaves, propagation."""
