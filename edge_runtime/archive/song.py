"""A song to its row: the function that every engine runs, whichever process or machine it runs it on."""

from __future__ import annotations

import errno
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_runtime.archive.embedding import EmbeddingInterpreter
from edge_runtime.archive.remote import NotFetchedError, fetched, is_address
from edge_runtime.archive.results import NOT_READ, local_path
from edge_runtime.audio import Samples, level_dbfs
from edge_runtime.audio_file import AudioFile
from edge_runtime.classifier import GenreClassifier
from edge_runtime.engine_choice import load_verified, open_by_first_engine
from edge_runtime.engine_trial import Candidate
from edge_runtime.errors import InvalidAnswerError, TmgcError, first_line
from edge_runtime.files import sha256_of
from edge_runtime.pooling import Pool
from edge_runtime.predictions import SILENCE, UNKNOWN, apply_threshold
from edge_runtime.spectrogram import SpectrogramSettings
from edge_runtime.terminal import printable
from edge_runtime.windowing import cut_windows

log = logging.getLogger("tmgc.archive")

MOST_WINDOWS = 50
"""Of a song that is not classified as a whole: four times as many may be in memory together, 70 MB."""

SILENCE_DBFS = -50.0
"""Level below which a window is silence, as in ``tmgc-listen``."""

_MARGIN_SECONDS = 0.05
"""Read beyond a window: resampling gives a sample more or less."""

_LONGEST_LINE = 300

_READ_BYTES = 2**20


class ModelError(TmgcError):
    """The model cannot be run, which says nothing about the song: it ends the run."""


class Song(NamedTuple):
    """A song of the manifest."""

    number: int
    """Its row in the manifest."""
    path: str
    root: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class TagSettings:
    """How a song is classified."""

    windows: int | None = 8
    """Windows of a song, spread over its length; None takes all of it, window by window."""
    embeddings: bool = False
    """Whether a row has an embedding of the song."""

    def __post_init__(self) -> None:
        if self.windows is not None and not 1 <= self.windows <= MOST_WINDOWS:
            raise TmgcError(f"--windows must be 1 to {MOST_WINDOWS}, or all, got {self.windows}")

    def to_json(self) -> dict[str, Any]:
        """As in ``archive.json``."""
        windows = "all" if self.windows is None else self.windows
        return {"windows": windows, "embeddings": self.embeddings, "silence_dbfs": SILENCE_DBFS}


class Row(NamedTuple):
    """What is found out about a song; the columns of :func:`~edge_runtime.archive.results.schema`."""

    duration: float | None = None
    windows: int = 0
    genre: str | None = None
    confidence: float | None = None
    probabilities: tuple[float, ...] | None = None
    """In the order of the card; None where there is an error or all is silence."""
    unknown_share: float = 0.0
    silent_share: float = 0.0
    agreement: float = 0.0
    level_dbfs: float | None = None
    decode_ms: float = 0.0
    model_ms: float = 0.0
    """Spectrogram and model."""
    warning: str | None = None
    error: str | None = None
    embedding: tuple[np.float16, ...] | None = None
    """Mean of the windows that are not silent; None where the settings ask for none, or all is silence."""


@dataclass(frozen=True)
class Tagger:
    """Classifies songs with a model: a function that can be sent to another process.

    See :meth:`of`.
    """

    model: Path
    sha256: str
    """Of the model: a process that is started later must not take another one."""
    genres: tuple[str, ...]
    threshold: float
    """Both of its card."""
    settings: TagSettings
    engine: str | None = None
    """That of all songs, whichever process or machine classifies them; None for the first that is installed."""

    @classmethod
    def of(cls, model: Path, settings: TagSettings) -> Tagger:
        """With a model as it is now; a reason not to trust it is logged.

        Raises
        ------
        TmgcError
            The model cannot be run.
        """
        (_, engine), interpreter, *_ = open_by_first_engine(model, threads=1)
        card = interpreter.card
        if settings.embeddings:
            _opened(model, settings, engine)  # which may be refused
        if card.warning:
            log.warning("%s", card.warning)
        return cls(model, sha256_of(model), card.genres, card.threshold, settings, engine)

    def load(self) -> None:
        """Load the model into this process, which does not need its file from then on.

        Raises
        ------
        TmgcError
            It cannot be run, or has changed.
        """
        _classifier(self)

    def __call__(self, song: Song, beat: Callable[[], None]) -> Row:
        """Classify a song.

        Parameters
        ----------
        song : Song
        beat : callable
            Called again and again while it works.

        Returns
        -------
        row : Row
            With ``error`` where the song cannot be read. It begins with :data:`~edge_runtime.archive.results.NOT_READ`
            where that is not for its content, but for its disk, its permissions, or a lack of memory.

        Raises
        ------
        TmgcError
            The model cannot be run (:class:`ModelError`), or has changed.
        OSError
            There is no room for a song that is fetched.
        """
        classifier = _classifier(self)
        root, name = local_path(song.root), local_path(song.path)
        path = Path(root, name)
        try:
            if not is_address(song.root):
                return _tag(path, beat, classifier, self.settings)
            with fetched(root, name, song.size, beat) as path:
                beat()
                return _tag(path, beat, classifier, self.settings)
        except Exception as error:  # of whatever a decoder raises: a song does not end the work on all others
            if isinstance(error, ModelError) or (isinstance(error, OSError) and error.errno == errno.ENOSPC):
                raise
            reason = str(error) if isinstance(error, TmgcError) else f"cannot be read: {first_line(error)}"
            unread = isinstance(error, OSError | MemoryError | NotFetchedError) or not (
                is_address(song.root) or _is_readable(path, beat)
            )
            return Row(error=_line(NOT_READ * unread + reason, path))


def _is_readable(path: Path, beat: Callable[[], None]) -> bool:
    """Whether the system gives a file to its end: decoders do not tell what it says."""
    try:
        if not path.is_file():
            return False
        with path.open("rb", buffering=0) as file:
            while file.read(_READ_BYTES):
                beat()
    except OSError:
        return False
    return True


@cache
def _classifier(tagger: Tagger) -> GenreClassifier:
    """The classifier of this process."""
    if sha256_of(tagger.model) != tagger.sha256:
        raise TmgcError(
            f"a model stays as it is while songs are classified: {tagger.model} has changed. Run the same again"
        )
    return _opened(tagger.model, tagger.settings, tagger.engine)


def _opened(model: Path, settings: TagSettings, engine: str | None) -> GenreClassifier:
    """A classifier on one thread, since there is a process for each core."""
    if settings.embeddings:
        return GenreClassifier(EmbeddingInterpreter(model, threads=1))
    interpreter, _ = load_verified(Candidate(model, engine), threads=1)
    return GenreClassifier(interpreter)


def _tag(path: Path, beat: Callable[[], None], classifier: GenreClassifier, settings: TagSettings) -> Row:
    begun = perf_counter()
    answers = _Answers(classifier)
    spectrogram = classifier.card.spectrogram
    with AudioFile(path, sample_rate=spectrogram.sample_rate) as file:
        for samples in _windows(file, spectrogram, settings.windows, beat):
            answers.add(samples)
            beat()
        if not answers.windows:
            raise TmgcError(
                f"a song must hold at least one window of {spectrogram.window_seconds:g} s: {path} holds "
                f"{file.read_seconds:.2f} s"
            )
        duration = file.stated_seconds
        warning = _line("; ".join(line.removeprefix(f"{file.name} ") for line in file.warnings), path) or None
    row = answers.row()
    decode_ms = (perf_counter() - begun) * 1e3 - row.model_ms
    return row._replace(duration=duration if math.isfinite(duration) else None, decode_ms=decode_ms, warning=warning)


def _windows(
    file: AudioFile, settings: SpectrogramSettings, count: int | None, beat: Callable[[], None]
) -> Iterable[Samples]:
    """All windows of a song, or as many as are asked for, from the middles of equal parts of it."""
    if count is None:
        return _all_windows(file, settings)
    length = file.stated_seconds
    if math.isinf(length):
        return _passed(file, settings, count, beat)
    windows = _sought(file, settings, length, count, beat)
    if len(windows) < count and file.end_seconds is not None and file.end_seconds < length:
        windows = _sought(file, settings, file.end_seconds, count, beat)  # it is shorter than its header states
    return windows


def _all_windows(file: AudioFile, settings: SpectrogramSettings) -> Iterator[Samples]:
    """One window after the other, to the end."""
    for window in cut_windows(file.blocks(), settings, hop_seconds=settings.window_seconds):
        yield window.samples


def _sought(
    file: AudioFile, settings: SpectrogramSettings, length: float, count: int, beat: Callable[[], None]
) -> list[Samples]:
    """Windows of a song of known length, each from its place; fewer where they would overlap."""
    seconds = settings.window_seconds
    part = length / max(1, min(count, int(length / seconds)))
    windows = list[Samples]()
    for number in range(round(length / part)):
        start = max(0.0, min((number + 0.5) * part - seconds / 2, length - seconds))
        read = seconds + _MARGIN_SECONDS
        blocks = list[Samples]()
        for block in file.blocks(start_seconds=start, seconds=read, block_seconds=read):
            beat()
            if len(block):
                blocks.append(block)
        samples = np.concatenate([np.zeros(0, np.float32), *blocks])[: settings.window_samples]
        if len(samples) == settings.window_samples:
            windows.append(samples)
    return windows


def _passed(file: AudioFile, settings: SpectrogramSettings, count: int, beat: Callable[[], None]) -> list[Samples]:
    """Windows of a song that is decoded from its beginning to its end, where its length is told.

    Where four times as many are kept as are needed, every second is dropped.
    """
    kept, every = list[Samples](), 1
    for number, samples in enumerate(_all_windows(file, settings)):
        if number % every == 0:
            kept.append(samples)
        if len(kept) == 4 * count:
            kept, every = kept[::2], 2 * every
        beat()
    taken = min(count, len(kept))
    return [kept[(2 * number + 1) * len(kept) // (2 * taken)] for number in range(taken)]


class _Answers:
    """Adds up the windows of a song in constant memory."""

    def __init__(self, classifier: GenreClassifier) -> None:
        self._classifier = classifier
        self._card = classifier.card
        self._pool = Pool(self._card.pooling, threshold=self._card.threshold)
        self._most_probable = Counter[str]()
        self._unknown = 0
        self._power = 0.0
        self._model_ms = 0.0
        self._embedding: NDArray[np.float32] | None = None
        self.windows = 0

    def add(self, samples: Samples) -> None:
        level = level_dbfs(samples)
        self.windows += 1
        self._power += 10 ** (level / 10)
        if level < SILENCE_DBFS:
            return
        try:
            classified = self._classifier.classify(samples)
        except (InvalidAnswerError, MemoryError):
            raise
        except Exception as error:  # each runtime has its own
            raise ModelError(f"the model fails: {first_line(error)}. Check it with tmgc-listen doctor") from error
        self._model_ms += classified.latency_ms
        self._pool.add(classified.probabilities)
        self._most_probable[self._card.genres[int(classified.probabilities.argmax())]] += 1
        if isinstance(self._classifier.interpreter, EmbeddingInterpreter):
            embedding = self._classifier.interpreter.embedding
            self._embedding = embedding if self._embedding is None else self._embedding + embedding
        self._unknown += bool(classified.probabilities.max() < self._card.threshold)

    def row(self) -> Row:
        """Of at least one window."""
        heard = self._pool.windows
        common = Row(
            windows=self.windows,
            genre=SILENCE,
            confidence=0.0,
            unknown_share=self._unknown / self.windows,
            silent_share=1 - heard / self.windows,
            level_dbfs=10 * math.log10(self._power / self.windows),
            model_ms=self._model_ms,
        )
        if not heard:
            return common
        pooled = dict(zip(self._card.genres, self._pool.probabilities().tolist(), strict=True))
        genre, confidence = apply_threshold(pooled, self._card.threshold)
        winner = max(pooled, key=pooled.__getitem__) if genre == UNKNOWN else genre
        return common._replace(
            genre=genre,
            confidence=confidence,
            probabilities=tuple(pooled.values()),
            agreement=self._most_probable[winner] / heard,
            embedding=None if self._embedding is None else tuple((self._embedding / heard).astype(np.float16)),
        )


def _line(text: str, path: Path) -> str:
    """One line of valid text for the results, in which the song is not named again."""
    return printable(text.replace(str(path), "this song"))[:_LONGEST_LINE]
