"""The report of a benchmark: every figure with the raw samples that it was computed from, as one JSON document.

The dataclasses here are the only place that knows the fields; ``bench.schema.json`` is generated from them by
``python -m benchmarks.report``. Times are milliseconds or seconds as a name says, MB are 1e6 bytes, and None stands
where the machine does not tell a figure or a figure does not apply.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from benchmarks.cases import EXPORT, Format, InputKind, PipelineName
from benchmarks.documents import Constraint, dumps, from_document, schema_of, to_document
from benchmarks.inputs import Excerpt
from benchmarks.scenarios import Scenario
from benchmarks.statistics import Latency, Milliseconds, PositiveFloat, Proportion, Ratio
from edge_runtime.errors import TmgcError

SCHEMA = 3
"""Version of the document. A reader refuses any other."""

REPORT_SCHEMA = Path(__file__).with_name("bench.schema.json")
"""The JSON Schema of the document, generated from :class:`Report`."""

Source = Literal["file", "memory"]
SOURCES: tuple[Source, ...] = ("file", "memory")
"""Where a window comes from: an audio file on disk, or samples that are decoded already."""

Dtype = Literal["float32", "int8"]
DTYPES: tuple[Dtype, ...] = ("float32", "int8")

Count = Annotated[int, Constraint("minimum", 0)]
PositiveInt = Annotated[int, Constraint("minimum", 1)]
Megabytes = Annotated[float, Constraint("minimum", 0)]
Sha256 = Annotated[str, Constraint("pattern", "^[0-9a-f]{64}$")]


@dataclass(frozen=True)
class Quality:
    """Accuracy on held-out songs, from the parity check that tmgc-export made of the very same file."""

    split: str
    windows: PositiveInt
    songs: PositiveInt
    accuracy: Proportion
    agreement: Proportion | None
    """Top-1 agreement with Keras; null for Keras itself."""


@dataclass(frozen=True)
class KerasAgreement:
    """Timed excerpts whose most likely genre is that of Keras ``predict``."""

    same: Count
    of: PositiveInt


@dataclass(frozen=True)
class Verdict:
    """Whether predictions keep up with the audio."""

    hop_s: PositiveFloat
    keeps_up: bool
    times_over: PositiveFloat
    """The hop over the mean latency from a file."""
    sub_second: bool
    """Whether the 99th percentile of the latency from a file is below a second."""

    @classmethod
    def of(cls, latency: Latency, *, hop_s: float) -> Verdict:
        """The verdict on a latency from a file."""
        times_over = hop_s * 1e3 / latency.mean_ms
        return cls(hop_s, times_over >= 1, times_over, latency.p99_ms < 1e3)


@dataclass(frozen=True)
class Paced:
    """With a window each hop, whose latency counts from when it is due."""

    hop_s: PositiveFloat
    late_predictions: Count
    """Predictions that came after the next window was due."""
    windows: PositiveInt
    lateness: Latency
    """From when a window was due to the start of its processing."""


@dataclass(frozen=True)
class Roofline:
    """How near the network comes to the peak of the machine."""

    macs: PositiveInt
    """Multiply-accumulates of convolutions and dense layers for one window."""
    gmacs_per_s: PositiveFloat
    """By the median of the stage ``model``."""
    dtype: Dtype
    """The peak that the network is compared with."""
    share_of_peak: PositiveFloat | None


@dataclass(frozen=True)
class CaseReport:
    """What was measured of one case: one way from two seconds of audio to a prediction."""

    name: str
    """``reference``, ``keras-predict``, ``tflite-int8``, ``onnx-waveform-int8`` ..."""
    pipeline: PipelineName
    format: Format
    recipe: str
    """``float32``, ``float16``, ``dynamic`` or ``int8``, from the model card."""
    input_kind: InputKind
    threads: PositiveInt
    cores: tuple[Count, ...] | None
    """The cores that the process was pinned to; null where the system does not pin."""
    engine: str | None
    """Which of the libraries that run such a file was taken; null for Keras."""
    runtime: str
    """Name and version of the library that runs the network."""
    file: str
    file_mb: Megabytes
    sha256: Sha256
    installed_mb: Megabytes | None
    """Its libraries and all that they need, in site-packages."""
    start_ms: Milliseconds
    """From the start of the process until the model is loaded."""
    load_ms: Milliseconds
    """The part of it that imports libraries and loads the model."""
    first_prediction_ms: Milliseconds
    memory_mb: Megabytes
    """Resident after loading."""
    peak_memory_mb: Megabytes
    """Resident at most."""
    quality: Quality | None
    same_as_keras: KerasAgreement | None
    windows_per_round: PositiveInt
    """From each source."""
    from_file: Latency
    """From a file on disk to the prediction."""
    from_memory: Latency
    """From decoded samples to the prediction."""
    stages: dict[str, Latency]
    """The parts of ``from_file``; ``read`` is decoding and resampling."""
    realtime_factor: PositiveFloat
    """Mean latency from a file over the length of the window."""
    windows_per_s: PositiveFloat
    """From files, on average."""
    verdict: Verdict
    paced: Paced | None
    """Null under another load."""
    roofline: Roofline | None
    """Null where the multiply-accumulates are not known."""

    @property
    def is_export(self) -> bool:
        """Whether it runs an export of the run."""
        return self.pipeline == EXPORT

    def latency(self, source: Source) -> Latency:
        """The latency from a source."""
        return self.from_file if source == "file" else self.from_memory


@dataclass(frozen=True)
class CaseFailure:
    """A case that could not be measured."""

    name: str
    threads: PositiveInt
    file: str
    error: str


@dataclass(frozen=True)
class Speedup:
    """With as many threads, ``baseline`` takes ``ratio.median`` times as long as ``case``."""

    baseline: str
    case: str
    threads: PositiveInt
    source: Source
    ratio: Ratio


@dataclass(frozen=True)
class Method:
    """How the benchmark was done."""

    threads: Annotated[tuple[PositiveInt, ...], Constraint("minItems", 1)]
    """Each case was measured with each of these, pinned to as many cores."""
    rounds: PositiveInt
    windows_per_round: PositiveInt
    """Of each case and source, at least."""
    min_s: Annotated[float, Constraint("minimum", 0)]
    """How long each case and source was measured at least."""
    load: Scenario
    warmup_windows: Count
    settling_windows: Count
    """Not kept, at the beginning of each turn of a case."""
    loading_at_once: PositiveInt
    """Processes that loaded side by side."""
    window_s: PositiveFloat
    excerpts: Annotated[tuple[Excerpt, ...], Constraint("minItems", 1)]


@dataclass(frozen=True)
class Machine:
    """The machine, its system and the versions of the libraries."""

    board: str | None
    """Model of a single-board computer."""
    cpu: str | None
    architecture: str
    cores: PositiveInt | None
    usable_cores: PositiveInt
    governor: str | None
    """Linux' frequency governor of the first core."""
    memory_mb: Megabytes | None
    system: str
    kernel: str
    python: str
    versions: dict[str, str]

    def __str__(self) -> str:
        name = ", ".join(part for part in (self.board, self.cpu) if part) or self.architecture
        memory = f"{self.memory_mb / 1e3:.1f} GB, " if self.memory_mb else ""
        governor = f"governor {self.governor}, " if self.governor else ""
        return (
            f"{name}, {self.usable_cores} of {self.cores} cores, {governor}{memory}"
            f"{self.system} {self.kernel}, Python {self.python}"
        )

    @property
    def versions_line(self) -> str:
        """The versions for people."""
        return ", ".join(f"{name} {version}" for name, version in self.versions.items())


@dataclass(frozen=True)
class ThermalState:
    """The machine's state at a moment; see :func:`edge_runtime.system_info.thermal_state`."""

    temperature_c: float | None
    frequency_mhz: float | None
    throttled: tuple[str, ...] | None
    """Reasons that a Raspberry Pi's firmware gives."""
    throttle_count: Count | None
    load_average: float | None


@dataclass(frozen=True)
class KernelRate:
    """The rate of one operation in its quickest run."""

    kernel: str
    """Library, version, operation and size."""
    dtype: Dtype
    gmacs_per_s: PositiveFloat
    """1e9 multiply-accumulates a second."""


@dataclass(frozen=True)
class Peak:
    """The most multiply-accumulates a second that this machine was seen to do."""

    threads: PositiveInt
    float32: KernelRate | None
    int8: KernelRate | None
    kernels: tuple[KernelRate, ...]
    failed: tuple[str, ...]
    """A line for each library that could not be measured."""

    def of(self, dtype: Dtype) -> KernelRate | None:
        """The best kernel of a dtype."""
        return self.float32 if dtype == "float32" else self.int8


@dataclass(frozen=True)
class Minute:
    """A minute at full speed, and the machine's state at its end."""

    latency: Latency
    state: ThermalState


@dataclass(frozen=True)
class Sustained:
    """The fastest export for minutes without a pause."""

    case: str
    threads: PositiveInt
    error: str | None
    """Why it could not go on; there are no minutes then."""
    minutes: tuple[Minute, ...]

    @property
    def slowdown(self) -> float:
        """The last minute's median over the first's."""
        return self.minutes[-1].latency.p50_ms / self.minutes[0].latency.p50_ms


@dataclass(frozen=True)
class Report:
    """A benchmark with every raw sample. MB are 1e6 bytes; null is what the machine does not tell or does not apply."""

    schema: Annotated[int, Constraint("const", SCHEMA)]
    created: str
    """ISO 8601, UTC."""
    run: str
    """Name of the run folder."""
    method: Method
    machine: Machine
    before: ThermalState
    after: ThermalState
    peaks: tuple[Peak, ...]
    """For each number of threads; empty with ``--quick``."""
    cases: tuple[CaseReport, ...]
    failures: tuple[CaseFailure, ...]
    speedups: tuple[Speedup, ...]
    """Of the reference and of Keras ``predict``, to every other case with as many threads."""
    sustained: Sustained | None
    left_out: tuple[str, ...]
    """What was not measured, each with its reason."""

    def with_threads(self, threads: int) -> list[CaseReport]:
        """The cases that were measured with so many threads."""
        return [case for case in self.cases if case.threads == threads]

    @property
    def fastest_export(self) -> CaseReport | None:
        """The export of the run with the lowest median from a file, else of all cases; None if all failed."""
        exports = [case for case in self.cases if case.is_export]
        return min(exports or self.cases, key=lambda case: case.from_file.p50_ms, default=None)

    def to_json(self) -> str:
        """The report as a JSON document, with each list of samples on one line."""
        return dumps(to_document(self))

    @classmethod
    def from_json(cls, text: str) -> Report:
        """The report of a JSON document.

        Raises
        ------
        ValueError
            It is not a report of this schema, or a case has a latency of 0 or not as many samples in each round.
        """
        document = json.loads(text)
        if isinstance(document, dict) and document.get("schema") != SCHEMA:
            raise ValueError(f"schema {SCHEMA} is needed, got {document.get('schema')}")
        report = from_document(cls, document)
        for case in report.cases:
            for latency in map(case.latency, SOURCES):
                if len(latency.samples_ms) % report.method.rounds:
                    raise ValueError(f"{case.name} must have equally many samples in each of its rounds")
                if not min(latency.p50_ms, *latency.samples_ms) > 0:
                    raise ValueError(f"{case.name} must have latencies above 0 ms")
        return report

    @classmethod
    def read(cls, path: Path) -> Report:
        """Read a ``bench.json``.

        Raises
        ------
        TmgcError
            There is none, or it is of another schema.
        """
        if not path.is_file():
            raise TmgcError(f"a report must exist: there is no file {path}. Make one with tmgc-bench")
        try:
            return cls.from_json(path.read_text("utf-8"))
        except ValueError as error:
            raise TmgcError(
                f"a report must be a bench.json of this tmgc-bench: {path} is not ({error}). Measure again"
            ) from error


def report_schema() -> str:
    """The text of :data:`REPORT_SCHEMA`."""
    return dumps(schema_of(Report, title="bench.json of tmgc-bench")) + "\n"


if __name__ == "__main__":
    REPORT_SCHEMA.write_text(report_schema(), "utf-8")
