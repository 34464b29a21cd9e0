"""What `quire bench gaunt_tensor_product` times: the Gaunt product by every evaluator, and Clebsch-Gordan products."""

import jax

from quire.common.bench import Benchmark, Case
from quire.gaunt_tensor_product.cg_product import cg_flops, cg_paths, cg_tensor_product
from quire.gaunt_tensor_product.paper import paper
from quire.gaunt_tensor_product.tensor_product import gaunt_tensor_product

ROWS = 128
LARGEST_CG = 6
"""Beyond this degree the path-wise product takes longer to compile than a benchmark should."""

LARGEST_DENSE = 8


def cases(lmax: int, key: jax.Array, *, rows: int = ROWS, largest_cg: int = LARGEST_CG) -> dict[str, Case]:
    """Products of `rows` pairs of vectors of degree lmax, up to degree lmax.

    The Clebsch-Gordan product over the even paths computes what the Gaunt product computes; the one over all paths computes more.
    """
    x1, x2 = jax.random.normal(key, (2, rows, (lmax + 1) ** 2))
    methods = {"Gaunt, auto": "auto", "Gaunt, grid": "grid", "Gaunt, separable grid": "separable", "Gaunt, FFT": "fft"}
    if lmax <= LARGEST_DENSE:
        methods["Gaunt, definition"] = "dense"
    made = {name: Case(lambda a, b, m=method: gaunt_tensor_product(a, b, lmax, m), (x1, x2)) for name, method in methods.items()}
    if lmax <= largest_cg:
        for name, even in (("Clebsch-Gordan, even paths", True), ("Clebsch-Gordan, all paths", False)):
            flops = cg_flops(cg_paths(lmax, lmax, lmax, even=even), rows)
            made[name] = Case(lambda a, b, e=even: cg_tensor_product(a, b, lmax, even=e), (x1, x2), flops)
    return made


paper.benchmark = Benchmark(
    "Products of two fields on the sphere, 128 rows, float32",
    size="degree L",
    sizes=(1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16),  # closer together where the fastest evaluator changes: `fastest_method`
    cases=cases,
)
