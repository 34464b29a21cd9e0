"""A priori compression of convolutional neural networks for wave simulators: kernels that are learned as one-way filters.

Boukraichi, Akkari, Casenave and Ryckelynck, *A priori compression of convolutional neural networks for wave simulators*, 2023,
arXiv 2304.04964. No code of the authors was found. Elements, Newmark's steps and fast diagonalisation are `quire.common.pde`.
"""
