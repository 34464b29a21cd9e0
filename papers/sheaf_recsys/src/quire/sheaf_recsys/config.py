PRESETS = {"quick": None, "standard": None, "paper": None}
