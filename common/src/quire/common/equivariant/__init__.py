"""Rotation-equivariant building blocks: spherical harmonics, Wigner matrices, couplings, grids, Fourier series, neighbours."""
