"""How fast a library is tagged, against a plain loop over its songs, and in how much memory.

The loop decodes whole songs and classifies their windows in one process, on one thread, which is what one writes at
first. Half of its songs come before the tagging and half after it. Links to a few songs are as good as songs of their
own: nothing is remembered of a song.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter

from benchmarks.checks.archive_planning import Listing, Planning, time_listing, time_planning
from benchmarks.checks.preparing import write_songs
from edge_runtime.archive.local import tag_locally
from edge_runtime.archive.ray_engine import connect, tag_with_ray
from edge_runtime.archive.song import Row, Tagger, TagSettings
from edge_runtime.archive.tagging import Engine, Job, Progress, Share, tag
from edge_runtime.audio_file import read_audio
from edge_runtime.classifier import GenreClassifier
from edge_runtime.system_info import usable_cores

SONG_SECONDS = 180.0

LEAST_RATE = 3.0
"""Songs a second a core with a model that takes longer than decoding."""
LEAST_RATE_DECODE_BOUND = 20.0
"""The same with a model that takes no longer than decoding."""
LEAST_RAY_RATIO = 0.9
"""Of Ray's rate to that of local processes, after their starts."""

MOST_PROCESS_MB = 250.0
MOST_GROWTH = 1.1
"""Of the memory of a process, from a tenth of the songs to the end."""


@dataclass(frozen=True)
class PlainLoop:
    """What the loop took."""

    songs: int = 0
    windows: int = 0
    decode_seconds: float = 0.0
    model_seconds: float = 0.0

    def __add__(self, other: PlainLoop) -> PlainLoop:
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return PlainLoop(*(one + another for one, another in pairs))

    def songs_a_second(self, windows: int | None) -> float:
        """Of so many windows a song; None is all of them."""
        share = 1.0 if windows is None else min(1.0, windows * self.songs / self.windows)
        return self.songs / (self.decode_seconds + share * self.model_seconds)


@dataclass(frozen=True)
class Tagging:
    """What a run took, from its start to its last shard."""

    engine: str
    songs: int
    cores: int
    seconds: float
    start_seconds: float
    """Until the first song was done: also what Ray takes to start."""
    decode_ms: float
    """Of a song, on average."""
    model_ms: float
    early_mb: float | None
    """Highest resident memory of a worker process until a tenth of the songs was done; None where it is not known."""
    process_mb: float | None
    """The same until the end."""
    driver_early_mb: float
    driver_mb: float
    """Both of the process that hands out the songs, which is here that of the check."""

    @property
    def songs_a_second_a_core(self) -> float:
        """The rate that libraries are planned with."""
        return self.songs / self.seconds / self.cores

    @property
    def started_rate(self) -> float:
        """Songs a second a core after the first song."""
        return (self.songs - 1) / (self.seconds - self.start_seconds) / self.cores

    @property
    def least_rate(self) -> float:
        """What the rate must be."""
        return LEAST_RATE_DECODE_BOUND if self.model_ms <= self.decode_ms else LEAST_RATE

    @property
    def line(self) -> str:
        """For people."""
        decoding = self.decode_ms / (self.decode_ms + self.model_ms)
        return (
            f"tmgc-tag --engine {self.engine}: {self.songs_a_second_a_core:.2f} songs/s a core (at least "
            f"{self.least_rate:g}; {self.songs} songs, {self.cores} cores); a song: decoding {self.decode_ms:.0f} ms "
            f"({decoding:.0%}), model {self.model_ms:.0f} ms"
        )

    @property
    def is_flat(self) -> bool:
        """Whether its processes' memory, if it is known, is small and does not grow."""
        if self.driver_mb > MOST_GROWTH * self.driver_early_mb:
            return False
        if self.early_mb is None or self.process_mb is None:
            return True
        return self.process_mb <= min(MOST_PROCESS_MB, MOST_GROWTH * self.early_mb)

    @property
    def memory_line(self) -> str:
        """For people."""
        if self.early_mb is None or self.process_mb is None:
            return f"memory of a process of {self.engine}: not measured"
        return (
            f"memory of a process: {self.early_mb:.0f} MB after a tenth of the songs, {self.process_mb:.0f} MB at the "
            f"end (at most {MOST_PROCESS_MB:.0f} MB, and {MOST_GROWTH - 1:.0%} more); of the check itself, which hands "
            f"them out, {self.driver_early_mb:.0f} and {self.driver_mb:.0f} MB"
        )


@dataclass(frozen=True)
class ArchiveCheck:
    """All figures."""

    windows: int
    song_seconds: float
    plain: PlainLoop
    runs: tuple[Tagging, ...]
    planning: Planning
    listing: Listing

    @property
    def passed(self) -> bool:
        """Whether all rates, memory, and planning are within their limits."""
        local, *others = self.runs
        rate = local.songs_a_second_a_core
        return (
            rate >= local.least_rate
            and all(run.started_rate >= LEAST_RAY_RATIO * local.started_rate for run in others)
            and all(run.is_flat for run in self.runs)
            and self.planning.passed
        )

    @property
    def lines(self) -> tuple[str, ...]:
        """The figures for people."""
        local, *others = self.runs
        same, all_windows = (self.plain.songs_a_second(windows) for windows in (self.windows, None))
        rate = local.songs_a_second_a_core
        return (
            f"plain loop over songs of {self.song_seconds:g} s: {all_windows:.2f} songs/s a core with all windows, "
            f"{same:.2f} with {self.windows} ({self.plain.songs} songs)",
            *(run.line for run in self.runs),
            f"ratio: {rate / all_windows:.1f} to the loop with all windows, {rate / same:.1f} to that with as many",
            *(
                f"ratio: {run.started_rate / local.started_rate:.2f} of {run.engine} to local processes (at least "
                f"{LEAST_RAY_RATIO:g}) without their starts of {run.start_seconds:.1f} s and {local.start_seconds:.1f} "
                f"s; {run.songs_a_second_a_core / rate:.2f} with them"
                for run in others
            ),
            *(run.memory_line for run in self.runs),
            self.planning.line,
            self.listing.line,
        )


def time_archive(
    model: Path,
    songs: int,
    *,
    sample: int,
    windows: int,
    planned: int,
    listed: int,
    seconds: float = SONG_SECONDS,
    ray: bool = False,
) -> ArchiveCheck:
    """Tag synthesised mp3 songs, and plan a simulated library.

    Parameters
    ----------
    model : Path
    songs : int > 0
    sample : int > 1
        Songs of the plain loop.
    windows : int > 0
        Of a song.
    planned : int > 0
        Songs of the simulated library.
    listed : int > 0
        Empty files that are listed.
    seconds : float > 0
        Of a song.
    ray : bool
        Whether Ray is timed, too.
    """
    GenreClassifier.open(model)  # which may be refused, before songs are made
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = write_songs(folder / "music", songs, seconds=seconds)
        chosen = [paths[number * songs // sample] for number in range(sample)]
        _plain_loop(model, chosen[:1])  # what the libraries do once
        plain = _plain_loop(model, chosen[: sample // 2])
        tagger = Tagger.of(model, TagSettings(windows))
        runs = [_time_tagging(Job((str(folder / "music"),), folder / "local", tagger, Share()), "local")]
        if ray:  # after the local run, whose memory and cores are its own
            runs.append(_time_tagging(Job((str(folder / "music"),), folder / "ray", tagger, Share()), "ray"))
        plain += _plain_loop(model, chosen[sample // 2 :])
        planning = time_planning(folder / "planned", planned)
        listing = time_listing(folder / "listed", listed)
    return ArchiveCheck(windows, seconds, plain, tuple(runs), planning, listing)


def _engine(name: str, tagger: Tagger) -> tuple[Engine, int]:
    """An engine, and the number of its cores."""
    cores = usable_cores()
    if name == "ray":
        return partial(tag_with_ray, tagger=tagger), connect(cores)
    return partial(tag_locally, tagger=tagger, workers=cores), cores


def _plain_loop(model: Path, songs: Sequence[Path]) -> PlainLoop:
    classifier = GenreClassifier.open(model, threads=1)
    spectrogram = classifier.card.spectrogram
    loop = PlainLoop()
    for song in songs:
        begun = perf_counter()
        samples = read_audio(song, sample_rate=spectrogram.sample_rate)
        decoded = perf_counter()
        count = len(samples) // spectrogram.window_samples
        for window in samples[: count * spectrogram.window_samples].reshape(count, -1):
            classifier.classify(window)
        loop += PlainLoop(1, count, decoded - begun, perf_counter() - decoded)
    return loop


@dataclass
class _Watch(Progress):
    """Adds up the times of songs, and looks at the memory of this process's children."""

    decode_ms: float = 0.0
    model_ms: float = 0.0
    songs: int = 0
    first: float = 0.0
    """When the first song was done."""
    peaks: list[float] = field(default_factory=list)
    """Of all children, MB, after each song."""
    own: list[float] = field(default_factory=list)
    """Of this process."""

    def song(self, row: Row) -> None:
        import psutil

        self.songs += 1
        self.first = self.first or perf_counter()
        self.decode_ms += row.decode_ms
        self.model_ms += row.model_ms
        resident, this = [0.0], psutil.Process()
        self.own.append(this.memory_info().rss / 1e6)
        for child in this.children():
            try:
                resident.append(child.memory_info().rss / 1e6)
            except psutil.NoSuchProcess:
                continue
        self.peaks.append(max(resident))


def _time_tagging(job: Job, name: str) -> Tagging:
    watch, begun = _Watch(), perf_counter()
    engine, cores = _engine(name, job.tagger)
    tag(job, engine, watch)
    spent = perf_counter() - begun
    peaks = watch.peaks if name == "local" else []  # Ray's processes are no children of this one
    early = watch.songs // 10 + 1
    return Tagging(
        engine=name,
        songs=watch.songs,
        cores=cores,
        seconds=spent,
        start_seconds=watch.first - begun,
        decode_ms=watch.decode_ms / watch.songs,
        model_ms=watch.model_ms / watch.songs,
        early_mb=max(peaks[:early], default=None),
        process_mb=max(peaks, default=None),
        driver_early_mb=max(watch.own[:early]),
        driver_mb=max(watch.own),
    )
