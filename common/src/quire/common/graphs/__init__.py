"""Layers on graphs: edge lists, sheaves, propagation."""
