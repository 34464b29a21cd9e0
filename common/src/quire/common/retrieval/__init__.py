"""Retrieval and recommendation."""
