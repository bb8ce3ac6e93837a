"""The two kinds of input that a model may have; apart from the model card, so that a command's help needs no numpy."""

INPUT_KINDS = ("image", "waveform")
"""Input of a model: the spectrogram image, or the waveform, where the spectrogram is part of the model."""
