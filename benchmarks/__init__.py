"""How fast the exported models are against the original pipeline, measured on the machine at hand."""
