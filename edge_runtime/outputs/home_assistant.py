"""Home Assistant's discovery over MQTT: two sensors, whose identifiers are ASCII whatever the topic is called."""

from __future__ import annotations

import hashlib
import re
import socket
import unicodedata
from typing import Any

from edge_runtime.outputs.broker import Broker

DISCOVERY_PREFIX = "homeassistant"
"""Home Assistant's default."""

MAX_IDENTIFIER = 64
"""Characters of an identifier."""

MAX_NAME = 100
"""Characters of the topic that the device's name shows: Home Assistant makes entity ids of it, of at most 255."""

_PLAIN = re.compile("[a-zA-Z0-9]+(/[a-zA-Z0-9]+)*")
_DOTLESS = str.maketrans("ıßøđłæœ", "isodlao")


def discovery(broker: Broker, model: str, *, host: str | None = None) -> dict[str, dict[str, Any]]:
    """Topics and payloads that announce two sensors: the genre and its confidence.

    Parameters
    ----------
    broker : Broker
    model : str
        Name of the model.
    host : str, optional
        Name of this machine by default.

    See Also
    --------
    https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery : the format
    """
    unique = f"tmgc_{identifier(f'{host or socket.gethostname()}/{broker.topic}')}"
    common = {
        "state_topic": broker.topic,
        "availability_topic": broker.availability_topic,
        "device": {"identifiers": [unique], "name": f"tmgc {broker.topic[:MAX_NAME]}", "model": model},
    }
    genre = {
        "name": "Genre",
        "unique_id": f"{unique}_genre",
        "value_template": "{{ value_json.smoothed.genre }}",
        "json_attributes_topic": broker.topic,
        "icon": "mdi:music",
    }
    confidence = {
        "name": "Confidence",
        "unique_id": f"{unique}_confidence",
        "value_template": "{{ (value_json.smoothed.confidence * 100) | round }}",
        "unit_of_measurement": "%",
        "state_class": "measurement",
    }
    return {
        f"{DISCOVERY_PREFIX}/sensor/{unique}/{name}/config": common | sensor
        for name, sensor in (("genre", genre), ("confidence", confidence))
    }


def identifier(path: str) -> str:
    """A path of topic levels as an identifier that Home Assistant accepts; different paths have different ones.

    Parameters
    ----------
    path : str
        Levels with ``/`` between them, of any script.

    Returns
    -------
    identifier : str [shape=(1 to 64,)], of ``[a-zA-Z0-9_-]``
        Levels of ASCII letters and digits are joined by ``_``. Otherwise letters lose their accents, all else becomes
        ``_``, and a hash of the path follows behind a ``-``, which the plain ones do not contain.
    """
    if _PLAIN.fullmatch(path) and len(path) <= MAX_IDENTIFIER:
        return path.replace("/", "_")
    digest = hashlib.sha256(path.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    letters = unicodedata.normalize("NFKD", path.translate(_DOTLESS))
    ascii_only = "".join(letter for letter in letters if not unicodedata.combining(letter))
    readable = re.sub("[^a-zA-Z0-9]+", "_", ascii_only).strip("_")[: MAX_IDENTIFIER - len(digest) - 1]
    return f"{readable}-{digest}"
