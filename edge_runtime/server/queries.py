"""What the query of a request asks for."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request

from edge_runtime.errors import TmgcError
from edge_runtime.listener import ListenSettings
from edge_runtime.server.models import ServedModel
from edge_runtime.server.refusals import RefusedError
from edge_runtime.server.uploads import UploadSettings
from edge_runtime.windowing import hop_samples

MIN_HOP_SECONDS = 0.1
"""From one window of an upload to the next: an hour has at most 36,000."""


def upload_settings(request: Request, model: ServedModel) -> UploadSettings:
    """What the query of an upload asks for."""
    try:
        hop = _number(request, "hop", 1.0)
        smooth, threshold = _number(request, "smooth", None), _number(request, "threshold", None)
        if smooth is not None and not float(smooth).is_integer():
            raise TmgcError(f"smooth must be a whole number, got {smooth}: try ?smooth=5")
        listening = ListenSettings(hop, None if smooth is None else int(smooth), threshold)
        if not hop >= MIN_HOP_SECONDS:
            raise TmgcError(f"hop must be at least {MIN_HOP_SECONDS} s, got {hop}: try ?hop=1")
        hop_samples(model.classifier.card.spectrogram, hop)
        start, duration = _number(request, "start", 0.0), _number(request, "duration", math.inf)
        if not 0 <= start < math.inf or not duration > 0:
            raise TmgcError(f"start must be 0 s or later and duration above 0 s, got {start} and {duration}")
    except TmgcError as error:
        raise RefusedError(422, "the query must be valid", str(error), "see /openapi.json") from error
    only_summary = "application/json" in request.headers.get("accept", "")
    return UploadSettings(listening, start, duration, windows=not only_summary)


def _number(request: Request, name: str, default: Any) -> Any:
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if math.isnan(number):
        raise TmgcError(f"{name} must be a number, got {text[:40]!r}")
    return number


def time_limit(request: Request, name: str) -> datetime | None:
    """A date or time of the query; None where it names none."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError, OSError):
        raise RefusedError(
            422, f"{name} is a date or a time in ISO 8601", repr(text[:40]), "try 2026-11-23T18:30:00Z"
        ) from None


def time_before(until: datetime, span: timedelta) -> datetime:
    """The beginning of a span of the query.

    Raises
    ------
    RefusedError
        No calendar goes back so far.
    """
    try:
        return until - span
    except OverflowError:
        raise RefusedError(
            422, "until lies after the year 1", repr(until.isoformat()), "try 2026-11-23T18:30:00Z"
        ) from None
