"""Layers that several papers share: attention of every kind, transformers, CRATE blocks."""
