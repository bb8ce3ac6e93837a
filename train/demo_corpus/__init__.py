"""A demonstration corpus: synthesised songs of ten genres, to try everything on a machine without music.

The songs are simple sketches of the genres, synthesised with numpy from the recipes in :mod:`train.demo_corpus.genres`.
They show that the pipeline from audio to prediction works. Results on them say nothing about real Turkish music.
"""

from train.dataset.discover import MARKER
from train.demo_corpus.composer import synthesize_song
from train.demo_corpus.genres import DIFFICULTIES, GENRES
from train.demo_corpus.writer import write_demo_corpus
from train.synthesis.dsp import SAMPLE_RATE

__all__ = ["DIFFICULTIES", "GENRES", "MARKER", "SAMPLE_RATE", "synthesize_song", "write_demo_corpus"]
