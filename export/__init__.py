"""Export: from a trained run to files for the edge, each with its card inside and compared with Keras."""
