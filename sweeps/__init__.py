"""Search spaces and cluster presets of mtl-train. A package, as conf is."""
