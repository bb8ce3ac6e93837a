"""Training: from a folder of songs to a run folder with a model, its card and its evaluation."""
