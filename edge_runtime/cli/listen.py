"""``tmgc-listen [FILE...|-]``: the genre of a microphone, of files or of a pipe, window by window."""

from __future__ import annotations

import logging
import math
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from edge_runtime.cli.base import CommandWithSubcommands, engine_option, threads_option, trust_option
from edge_runtime.cli.serve import access_options, announce, server_settings
from edge_runtime.errors import TmgcError

if TYPE_CHECKING:
    from edge_runtime.classifier import GenreClassifier
    from edge_runtime.decoding.pcm import PcmFormat
    from edge_runtime.listener import ListenSettings
    from edge_runtime.outputs import Output
    from edge_runtime.outputs.factory import OutputSettings
    from edge_runtime.server.settings import ServerSettings
    from edge_runtime.session import MicrophoneSettings, Session

log = logging.getLogger("tmgc.listen")

STANDARD_INPUT = "-"

OUTPUT_OPTIONS = ("as_json", "plain", "changes", "history", "keep_days", "keep_mb", "mqtt")

SUBCOMMANDS = {
    "doctor": "edge_runtime.cli.doctor:doctor",
    "history": "edge_runtime.cli.history:history",
    "install-service": "edge_runtime.cli.service:install_service",
    "uninstall-service": "edge_runtime.cli.service:uninstall_service",
}


@click.command(
    "tmgc-listen",
    cls=CommandWithSubcommands,
    subcommands=SUBCOMMANDS,
)
@click.argument("files", nargs=-1, metavar="[FILE...|-]")
@click.option("--device", metavar="NAME|NUMBER", help="The microphone: number or a part of its name.")
@click.option("--list-devices", is_flag=True, help="List the microphones and exit.")
@click.option("--wait-device", type=float, metavar="SECONDS", help="Wait this long for the microphone at the start.")
@click.option("--exit-on-device-loss", is_flag=True, help="Exit with 1 when the microphone is lost.")
@click.option("--raw", metavar="RATE,CHANNELS,FORMAT", help="Format of raw samples on a pipe, e.g. 44100,1,s16.")
@click.option("--speed", type=float, help="Read files at this speed: 1 is real time. Default: as fast as possible.")
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="A .tflite or .onnx file of tmgc-export. Default: the newest under ./runs, else a small one.",
)
@click.option(
    "--hop", default=1.0, show_default=True, help="Seconds between windows; shorter than a window, they overlap."
)
@click.option(
    "--smooth", type=int, help="Windows of the smoothed prediction. Default: as many as cover the seconds of the model."
)
@click.option("--threshold", type=float, help="Confidence below which the genre is 'unknown'. Default: the model's.")
@click.option("--silence", default=-50.0, show_default=True, help="Level below which a window is silence, dBFS.")
@threads_option
@engine_option
@trust_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@click.option("--plain", is_flag=True, help="Text lines instead of the live view, also in a terminal.")
@click.option("--changes", is_flag=True, help="Only windows in which the smoothed genre changes.")
@click.option(
    "--history", type=click.Path(path_type=Path), metavar="FILE.sqlite", help="Store every window and event (no audio)."
)
@click.option("--keep-days", default=90.0, show_default=True, help="Days that the history is kept.")
@click.option("--keep-mb", default=500.0, show_default=True, help="Size to which the history is kept, MB.")
@click.option("--mqtt", metavar="mqtt://HOST/TOPIC", help="Publish predictions; password: TMGC_MQTT_PASSWORD.")
@click.option("--serve", metavar="[HOST:]PORT", help="Serve a live page and an API over HTTP; needs the serve extra.")
@click.option(
    "--keep-corrections",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Let users of the page correct answers, and keep the images of these (no audio) for tmgc-train.",
)
@access_options
@click.version_option(package_name="tmgc")
def main(**options: Any) -> None:
    """Classify the genre of each window of the microphone, of music FILES or addresses, or of standard input (-).

    Each window is 2 s long unless the model's card says otherwise.

    Exit code 0: done, or a microphone or pipe was ended by Ctrl-C or SIGTERM; 1: nothing but silence, or the microphone
    was lost; 2: a file, a device or an option was refused, or the model computes something else here than where it was
    exported, or has too little memory (both 78 as a service); 130, 143: Ctrl-C or SIGTERM ended a file; 130: Ctrl-C,
    while the model was being opened.
    """
    from edge_runtime.models import default_model
    from edge_runtime.outputs.factory import open_outputs
    from edge_runtime.outputs.systemd import Watchdog, sd_notify
    from edge_runtime.session import Session
    from edge_runtime.shutdown import Shutdown

    settings = build_settings(options)
    if options["list_devices"]:
        _print_devices(as_json=options["as_json"])
        return
    hop_seconds = settings.listening.hop_seconds
    with Shutdown(on_check=Watchdog()) as stop:
        with stop.interrupting(_terminated_code(options["files"])):
            classifier = open_classifier(options["model"] or default_model(), options)
        model = classifier.interpreter.path
        with (
            open_outputs(settings.outputs, classifier, model, hop_seconds=hop_seconds) as outputs,
            _served(settings.server, model, classifier, options) as (classifier, page),
        ):
            # only after everything that may be refused: to systemd and install-service this is a successful start
            sd_notify("READY=1", "STATUS=waiting for sound")
            session = Session(classifier, settings.listening, [*page, *outputs], stop)
            code = _classify(session, options["files"], settings, options["speed"])
    sys.exit(code)


def _terminated_code(files: Sequence[str]) -> int:
    """The exit code after SIGTERM: only files have an end that is missed."""
    return 128 + signal.SIGTERM if files and STANDARD_INPUT not in files else 0


class Settings(NamedTuple):
    """What the options of ``tmgc-listen`` mean, as far as no model is needed to know."""

    listening: ListenSettings
    outputs: OutputSettings
    microphone: MicrophoneSettings
    raw: PcmFormat | None
    server: ServerSettings | None


def build_settings(options: Mapping[str, Any]) -> Settings:
    """The settings of a command line.

    Parameters
    ----------
    options : mapping
        Parameters of :func:`main` by name.

    Raises
    ------
    TmgcError
        An option has a wrong value, or does not fit the others.
    """
    from edge_runtime.decoding.pcm import raw_format
    from edge_runtime.listener import ListenSettings
    from edge_runtime.outputs.factory import OutputSettings
    from edge_runtime.session import MicrophoneSettings

    _check_source(options)
    return Settings(
        ListenSettings(options["hop"], options["smooth"], options["threshold"], options["silence"]),
        OutputSettings(**{name: options[name] for name in OUTPUT_OPTIONS}),
        MicrophoneSettings(options["device"], options["wait_device"] or 0.0, options["exit_on_device_loss"]),
        None if options["raw"] is None else raw_format(options["raw"]),
        None if options["serve"] is None else server_settings(options["serve"], options),
    )


def _check_source(options: Mapping[str, Any]) -> None:
    """Refuse options that do not apply to the selected source."""
    files, raw, speed = options["files"], options["raw"], options["speed"]
    of_microphone = (options["device"], options["wait_device"], options["exit_on_device_loss"] or None)
    piped = STANDARD_INPUT in files
    if piped and len(files) > 1:
        raise TmgcError("- is standard input and cannot be combined with files: name it alone, or the files without it")
    if files and any(option is not None for option in of_microphone):
        raise TmgcError(f"one source is needed, a microphone or files: leave out {files[0]}, or the device's options")
    if raw is not None and not piped:
        raise TmgcError("--raw is for standard input: name it with -, e.g. tmgc-listen - --raw 44100,1,s16")
    if options["serve"] is None:
        _check_no_page(options)
    if speed is not None and (piped or not files):
        raise TmgcError("--speed is for files: a microphone and a pipe set the pace themselves. Leave it out")
    if speed is not None and not speed > 0:
        raise TmgcError(f"--speed must be above 0, got {speed}: 1 is real time")


def _check_no_page(options: Mapping[str, Any]) -> None:
    """Refuse options of a page that is not served."""
    for name in ("keep_corrections", "public_page", "token_file", "allow_host", "allow_origin"):
        if options[name]:
            option = f"--{name.replace('_', '-')}"
            raise TmgcError(f"{option} is for users of the page: add --serve 8321, or leave it out")


def _print_devices(*, as_json: bool) -> None:
    from dataclasses import asdict

    from edge_runtime.outputs.json_lines import json_line
    from edge_runtime.sources.portaudio import NO_MICROPHONE, list_devices
    from edge_runtime.terminal import print_json, print_line

    devices = list_devices()
    if not devices:
        raise TmgcError(NO_MICROPHONE)
    for device in devices:
        if as_json:
            print_json(json_line("device", **asdict(device)))
        else:
            marked = "  (default)" if device.default else ""
            print_line(
                f"{device.number:3d}  {device.name}  {device.channels} channel(s), {device.sample_rate} Hz{marked}"
            )


def open_classifier(model: Path, options: Mapping[str, Any]) -> GenreClassifier:
    """Open the model for its hop, and log what is run; refuse what the model does not allow.

    Parameters
    ----------
    model : Path
    options : mapping
        Parameters of :func:`main` by name.
    """
    from edge_runtime.classifier import GenreClassifier
    from edge_runtime.windowing import hop_samples

    threads, engine, trust = options["threads"], options["engine"], options["trust_anyway"]
    classifier = GenreClassifier.open(model, threads=threads, engine=engine, trust=trust)
    spectrogram = classifier.card.spectrogram
    exact_hop = hop_samples(spectrogram, options["hop"]) / spectrogram.sample_rate
    running = f"{classifier.interpreter.path}: {classifier.runtime}"
    log.info("%s, %d thread(s), a window every %.3f s", running, classifier.threads, exact_hop)
    if classifier.card.warning:
        log.warning("%s", classifier.card.warning)
    return classifier


@contextmanager
def _served(
    server: ServerSettings | None, model: Path, classifier: GenreClassifier, options: Mapping[str, Any]
) -> Iterator[tuple[GenreClassifier, list[Output]]]:
    """Serve the page if that was asked for; yields the listener's classifier and further outputs."""
    if server is None:
        yield classifier, []
        return
    from edge_runtime.server.running import serve_listener

    history, corrections = options["history"], options["keep_corrections"]
    with serve_listener(model, classifier, server, history=history, corrections=corrections) as served:
        announce(served.address, server.token)
        yield served.classifier, [served.hub]


def _classify(session: Session, files: Sequence[str], settings: Settings, speed: float | None) -> int:
    if not files:
        return session.classify_microphone(settings.microphone)
    if STANDARD_INPUT in files:
        return session.classify_standard_input(settings.raw)
    return session.classify_files(files, speed=math.inf if speed is None else speed)
