"""How fast the exported models are against the reference pipeline, measured on the machine at hand."""
