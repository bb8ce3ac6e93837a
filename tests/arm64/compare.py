"""Compare the predictions of emulated arm64 machines with those of x86-64, and write a report.

Called by ``prove.sh``: ``compare.py PREDICTIONS REPORT``, where PREDICTIONS holds a folder for each machine.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

REFERENCE = "x86_64"
"""The machine that the others are compared with."""

TOLERANCES = {"float32": 1e-4, "float16": 1e-4, "dynamic": 1e-2, "int8": 1e-2}
"""Maximum difference of a probability from the reference's, by recipe. Sums of floats depend on their order, and one
rounding can move an 8-bit value by a step. A float16 file is computed in float32."""

ONNX_INT8 = 0.1
"""The same for ONNX Runtime in int8, which adds products of 8 bits in other ways on ARM; 0.05 was found."""

ENGINES = {"ai-edge-litert", "onnxruntime"}
"""Those that must run a model wherever they do on the reference. OpenVINO is tried, too: its wheel (2026.4.1) does not
run on an emulated Cortex-A53 or A72."""

LIBRARIES = ("tmgc", "ai-edge-litert", "onnxruntime", "openvino", "numpy", "soundfile", "soxr", "sounddevice")


@dataclass(frozen=True)
class Comparison:
    """One model on one machine."""

    machine: str
    """Debian's release and the processor that QEMU emulates."""
    model: str
    recipe: str
    windows: int
    same_genre: int
    """Windows with the same genre as on x86-64."""
    largest_difference: float
    """Of any probability of any window, in [0, 1]."""
    tolerance: float
    window_cpu_ms: float
    """CPU time of a window on the emulated machine: compares models, and is not the speed of a board."""
    spectrogram_cpu_ms: float
    """The part of it that is not the network's."""
    golden_windows: str
    """What ``tmgc-listen doctor`` says of them."""
    engines: str
    """What it says of the ways to run the model, the chosen one first."""
    missing: tuple[str, ...]
    """Engines of :data:`ENGINES` that work on the reference, and not here."""
    trusted: bool
    """Whether it finds the golden windows as they were exported."""

    @property
    def passed(self) -> bool:
        """Whether predictions and golden windows are the same within their tolerances, and the same engines work."""
        return (
            self.trusted
            and not self.missing
            and 0 < self.windows == self.same_genre
            and self.largest_difference <= self.tolerance
        )


def compare(
    machine: str,
    predictions: list[dict[str, Any]],
    reference: list[dict[str, Any]],
    cpu_times: dict[str, float],
    examined: dict[str, Any],
    examined_reference: dict[str, Any],
) -> Comparison:
    """Compare the predictions of one machine with the reference, window by window.

    Parameters
    ----------
    machine : str
    predictions, reference : lists of JSON lines of ``tmgc-listen --json``
    cpu_times : dict
        What ``cpu_time.py`` prints.
    examined, examined_reference : dict
        What ``tmgc-listen doctor --json`` prints on both.
    """
    *windows, summary = predictions
    *expected, _ = reference
    if [window["start_s"] for window in windows] != [window["start_s"] for window in expected]:
        sys.exit(f"error: {machine} has {len(windows)} windows, x86-64 has {len(expected)}: they must be the same")
    model = summary["model"]
    findings, reference_findings = (
        {finding["check"]: finding for finding in each["findings"]} for each in (examined, examined_reference)
    )
    missing = ENGINES & _engines(reference_findings) - _engines(findings)
    pairs = list(zip(windows, expected, strict=True))
    return Comparison(
        machine=machine,
        model=Path(model["file"]).name,
        recipe=model["recipe"],
        windows=len(windows),
        same_genre=sum(here["genre"] == there["genre"] for here, there in pairs),
        largest_difference=max((_difference(here, there) for here, there in pairs), default=0.0),
        tolerance=_tolerance(model),
        **cpu_times,
        golden_windows=findings.get("golden-windows", findings["model"])["found"],
        engines=findings["engines"]["found"] if "engines" in findings else "",
        missing=tuple(sorted(missing)),
        trusted=findings.get("golden-windows", findings["model"])["state"] == "ok",
    )


def _tolerance(model: dict[str, Any]) -> float:
    is_onnx = model["file"].endswith(".onnx")
    return ONNX_INT8 if is_onnx and model["recipe"] == "int8" else TOLERANCES[model["recipe"]]


def _engines(findings: dict[str, Any]) -> set[str]:
    """The libraries that run a model, as the doctor names them with their times."""
    return set(re.findall(r" by (\S+) \S+ [\d.e+]+ ms", findings.get("engines", {}).get("found", "")))


def cpu_lines(comparisons: list[Comparison]) -> list[str]:
    """For each machine, the CPU time of its models compared with its slowest."""
    lines = []
    for machine in dict.fromkeys(each.machine for each in comparisons):
        *others, slowest = sorted(
            (each for each in comparisons if each.machine == machine), key=lambda each: each.window_cpu_ms
        )
        for each in others:
            times, share = slowest.window_cpu_ms / each.window_cpu_ms, each.spectrogram_cpu_ms / each.window_cpu_ms
            lines.append(
                f"{machine}: a window of {each.model} takes 1/{times:.3g} of the CPU time of {slowest.model}, "
                f"{share:.0%} of it for the spectrogram (under emulation: not the speed of a board)"
            )
    return lines


def _difference(here: dict[str, Any], there: dict[str, Any]) -> float:
    """Largest difference of a genre's probability, to the four digits of the JSON lines."""
    differences = (
        abs(probability - there["probabilities"][genre]) for genre, probability in here["probabilities"].items()
    )
    return round(max(differences, default=0.0), 4)


def machine_of(folder: Path) -> dict[str, Any]:
    """Architecture, Python and library versions of a machine."""
    architecture, python = json.loads((folder / "machine.json").read_text())
    packages = {item["name"]: item["version"] for item in json.loads((folder / "packages.json").read_text())}
    return {"architecture": architecture, "python": python} | {name: packages[name] for name in LIBRARIES}


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The JSON lines of a file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def main(predictions: Path, report: Path) -> int:
    """Compare all machines, print a line for each and write the report; 1 where one fails."""
    folders = sorted(folder for folder in predictions.iterdir() if folder.name != REFERENCE)
    comparisons = [
        compare(
            folder.name,
            lines_of(file),
            lines_of(predictions / REFERENCE / file.name),
            json.loads(file.with_suffix(".cpu.json").read_text()),
            json.loads(file.with_suffix(".doctor.json").read_text()),
            json.loads((predictions / REFERENCE / file.with_suffix(".doctor.json").name).read_text()),
        )
        for folder in folders
        for file in sorted(folder.glob("*.jsonl"))
    ]
    for found in comparisons:
        print(
            f"{found.machine}: {found.model}: {'passed' if found.passed else 'FAILED'} "
            f"({found.same_genre} of {found.windows} windows of the same genre, probabilities within "
            f"{found.largest_difference:.4f}, allowed {found.tolerance:g})\n"
            f"  golden windows: {found.golden_windows}\n  engines: {found.engines}"
            + (f"\n  missing here: {', '.join(found.missing)}" if found.missing else "")
        )
    print(*cpu_lines(comparisons), sep="\n")
    document = {
        "date": datetime.now(UTC).date().isoformat(),
        "qemu": _first_line("qemu-aarch64-static", "--version"),
        "machines": {folder.name: machine_of(folder) for folder in [predictions / REFERENCE, *folders]},
        "comparisons": [asdict(found) | {"passed": found.passed} for found in comparisons],
    }
    report.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    print(f"written: {report}")
    return 0 if comparisons and all(found.passed for found in comparisons) else 1


def _first_line(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
