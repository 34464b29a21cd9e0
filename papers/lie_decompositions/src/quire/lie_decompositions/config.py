"""x"""
PRESETS = {"quick": 1, "standard": 1, "paper": 1}
