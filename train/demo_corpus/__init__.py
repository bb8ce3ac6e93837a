"""A demonstration corpus: ten folders of synthesised songs, for a machine that has no music to train on.

The songs are naive sketches of ten genres, made with numpy from the recipes in :mod:`train.demo_corpus.genres`. They
show that the whole way from sound to answer works; no claim about real Turkish music rests on them.
"""

from train.demo_corpus.composer import synthesize_song
from train.demo_corpus.genres import DIFFICULTIES, GENRES
from train.demo_corpus.writer import MARKER, write_demo_corpus
from train.synthesis.dsp import SAMPLE_RATE

__all__ = ["DIFFICULTIES", "GENRES", "MARKER", "SAMPLE_RATE", "synthesize_song", "write_demo_corpus"]
