"""What `quire bench matryoshka` times: exact search by all dimensions, adaptive retrieval and the funnel, over databases."""

from functools import partial

import jax

from quire.common.bench import Benchmark, Case
from quire.matryoshka.adaptive_retrieval import adaptive_retrieval, flops_per_query, funnel, nearest
from quire.matryoshka.paper import paper

DIM, QUERIES, SHORTLIST = 512, 32, 200
FUNNEL = ((32, 64, 128, 512), (800, 400, 200, 50))


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """Searches of a database of n embeddings whose prefixes are normalised beforehand, as an index holds them."""
    queries, database = (jax.random.normal(k, (m, DIM)) for k, m in zip(jax.random.split(key), (QUERIES, n), strict=True))

    def funnelled(queries, database):
        start = nearest(queries, database, 16, FUNNEL[1][0])[1]
        return funnel(queries, database, *FUNNEL, start)

    counts = {
        "adaptive, 16 then 512": flops_per_query(n, 16, [DIM], [SHORTLIST]),
        "funnel, 16 to 512": flops_per_query(n, 16, *FUNNEL),
        "exact, 512": flops_per_query(n, DIM),
    }
    functions = (
        partial(adaptive_retrieval, d_s=16, d_r=DIM, shortlist=SHORTLIST),
        funnelled,
        partial(nearest, size=DIM, k=SHORTLIST),
    )
    return {
        name: Case(function, (queries, database), flops=QUERIES * flops)
        for (name, flops), function in zip(counts.items(), functions, strict=True)
    }


paper.benchmark = Benchmark(
    "Search of n embeddings by 32 queries", size="embeddings n", sizes=(4096, 8192, 16384, 32768), cases=cases
)
