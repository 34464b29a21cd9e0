"""DupMAE (RetroMAE v2)."""
