"""The heavy libraries of the export: imported when they are needed, and quiet."""

from functools import partial

from train.libraries import library as _library

library = partial(_library, extra="export")
"""As its namesake in :mod:`train.libraries`; a missing one is brought by the extra ``export``."""
