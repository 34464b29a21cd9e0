"""Freshness: which sources a published number rests on, and whether they are still the ones that it was measured with.

    modules         what a module binds, read with `ast` and never imported
    closure         what a paper, a notebook or a test reaches in those modules
    guard           what it does not reach raises, so that a closure with a hole fails at once
    fingerprint     closure, libraries, preset and data: one digest of everything that a record was measured with
    checkout        papers, notebooks and records of a checkout; what is stale, what a diff affects

Nothing here imports JAX.
"""
