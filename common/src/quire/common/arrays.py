"""The type of arrays that functions take from either library."""

import numpy as np
from jaxtyping import Array

AnyArray = np.ndarray | Array
"""An array of NumPy or JAX."""
