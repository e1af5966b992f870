"""Config groups of mtl-train. A package, so that an installed command finds them anywhere."""
