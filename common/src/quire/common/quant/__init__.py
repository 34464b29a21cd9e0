"""Quantisation: uniform grids, eight-bit floats, codebooks, packed codes, reconstruction of blocks."""
