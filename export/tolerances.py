"""How far an exported file may be from Keras, and why: the command and its tests hold the same numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace

from export.recipes import DYNAMIC, FLOAT16, FLOAT32, INT8


@dataclass(frozen=True)
class Tolerance:
    """What a recipe may change."""

    top1_agreement: float
    """Least share of windows with the same best genre, in [0, 1]."""
    probability_difference: float | None = None
    """Most that any probability may move; ``None`` where quantisation makes it no measure of harm."""


TOLERANCES = {
    # The same numbers in another order of summing: what is left is rounding, about 1e-6 in InceptionResNetV2.
    FLOAT32.name: Tolerance(top1_agreement=1.0, probability_difference=1e-4),
    # Weights keep 11 bits, an error of 5e-4 of each weight, which 245 layers partly average out.
    FLOAT16.name: Tolerance(top1_agreement=0.995, probability_difference=1e-2),
    # Weights keep 8 bits and activations 8 bits of their own range. On 149 held-out clips of real music a network that
    # had been fine-tuned agreed in 99.3 %, and one that had not in 90.6 %: 98 % tells the two apart.
    DYNAMIC.name: Tolerance(top1_agreement=0.98),
    # Activations keep 8 bits of a range that was fixed beforehand: 97.3 % against 9 % to 13 % on the same clips.
    INT8.name: Tolerance(top1_agreement=0.97),
}
"""By the recipe's name."""

WAVEFORM_PROBABILITY_DIFFERENCE = 5e-3
"""What any file that takes the sound itself may move a probability. Its spectrogram is summed in another order than the
one that Keras was shown, so a pixel in some 50 000 lies on the other side of a half and is rounded by one step
otherwise. That moved probabilities by up to 2.5e-4 in float32."""


def tolerance_of(recipe: str, takes: str) -> Tolerance:
    """What a file may change.

    Parameters
    ----------
    recipe : str
        Its name.
    takes : str
        ``picture`` or ``waveform``.
    """
    tolerance = TOLERANCES[recipe]
    if takes == "picture" or tolerance.probability_difference is None:
        return tolerance
    most = max(tolerance.probability_difference, WAVEFORM_PROBABILITY_DIFFERENCE)
    return replace(tolerance, probability_difference=most)


UNDECIDED_MARGIN = 0.05
"""Where Keras' own best two genres are closer than this, it has not decided, and another answer is no disagreement."""

ACCURACY_LOSS = 0.01
"""Most of its accuracy that an export may lose, whether or not the paired test can tell the loss from chance."""

SIGNIFICANCE = 0.05
"""A paired test whose p-value is below this calls a loss real."""

PARITY_WINDOWS = 500
"""Windows to compare at least. With none of 500 in disagreement, fewer than 0.6 % are in truth (95 % confidence)."""

MOST_PARITY_WINDOWS = 1000
"""Windows to compare at most: beyond it the interval shrinks slower than the time grows."""
