"""Answers to an MQTT broker: a retained state, whether anyone is listening, and Home Assistant's discovery."""

from __future__ import annotations

import json
import os
import re
import socket
from dataclasses import dataclass, field
from threading import Event as Signal
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from edge_runtime.cli.base import say
from edge_runtime.errors import TmgcError
from edge_runtime.files import to_utf8
from edge_runtime.outputs.json_lines import SCHEMA, window_document
from edge_runtime.predictions import Event, Prediction, Summary

if TYPE_CHECKING:
    from paho.mqtt.client import Client

PASSWORD_VARIABLE = "TMGC_MQTT_PASSWORD"
"""The environment is not shown to every user of the machine, as the arguments of a process are."""

MOST_WAITING = 1000
"""States that are kept for a broker that is away; after them only the newest."""

LONGEST_PAUSE_SECONDS = 60
"""Between two attempts to connect."""

FAREWELL_SECONDS = 0.4
"""The broker gets so long to answer at the end, and again to take what is left: the command ends within a second."""

DISCOVERY_PREFIX = "homeassistant"
"""Home Assistant's own default."""

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_FORM = "mqtt://[user[:password]@]host[:port]/topic"
_AT_LEAST_ONCE = 1


@dataclass(frozen=True)
class Broker:
    """Where to publish."""

    host: str
    port: int
    topic: str
    tls: bool
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """For messages: without user and password."""
        return f"{self.host}:{self.port}"

    @classmethod
    def of(cls, url: str) -> Broker:
        """The broker of a URL; a password in :data:`PASSWORD_VARIABLE` is taken where the URL has none.

        Raises
        ------
        TmgcError
            It is no such URL. The message does not repeat it, since a password may stand in it.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise TmgcError(f"--mqtt must be {_FORM}: its host or its port is none") from None
        topic = unquote(parts.path.strip("/"))
        if parts.scheme not in _PORTS:
            raise TmgcError(f"--mqtt must be {_FORM} or mqtts://...: it begins otherwise")
        if not parts.hostname or not topic:
            raise TmgcError(f"--mqtt must be {_FORM}: it names no {'topic' if parts.hostname else 'host'}")
        if {"#", "?"} & set(url) or "+" in topic or "\0" in topic:
            raise TmgcError(f"--mqtt must be {_FORM}: a topic holds none of + # ?")
        return cls(
            parts.hostname,
            port or _PORTS[parts.scheme],
            topic,
            tls=parts.scheme == "mqtts",
            user=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else os.environ.get(PASSWORD_VARIABLE),
        )


class Mqtt:
    """Publishes each window as the retained state of a topic, and keeps connecting to its broker.

    Parameters
    ----------
    url : str
        ``mqtt://[user[:password]@]host[:port]/topic``, or ``mqtts://`` with TLS.
    model : str
        Its name, for Home Assistant.

    Raises
    ------
    TmgcError
        The URL is none, or paho-mqtt is not installed. A broker that does not answer is waited for.
    """

    def __init__(self, url: str, *, model: str) -> None:
        self._broker = Broker.of(url)
        self._model = model
        self._newest = ""
        self._unsent = 0
        self._troubled = False
        self._settled = Signal()
        # Each number is counted up by one thread alone: the first by the caller's, the others by paho's.
        self._given = self._announced = self._arrived = 0
        self._client = self._new_client()
        self._client.connect_async(self._broker.host, self._broker.port)
        self._client.loop_start()

    def window(self, prediction: Prediction) -> None:
        state = {"schema": SCHEMA, "type": "window", **window_document(prediction)}
        self._newest = to_utf8(json.dumps(state, ensure_ascii=False))
        if self._waiting < MOST_WAITING:
            self._given += 1
            self._client.publish(self._broker.topic, self._newest, _AT_LEAST_ONCE, retain=True)
            return
        self._unsent += 1
        if self._unsent == 1:
            say(
                f"warning: MQTT: {MOST_WAITING} answers wait for {self._broker.name}: of the next only the last is kept"
            )

    def event(self, event: Event) -> None:
        """Events are for the log and the history."""

    def summary(self, summary: Summary) -> None:
        """A state has no summary."""

    def close(self) -> None:
        """Say farewell and let what waits go out, for a moment."""
        self._settled.wait(FAREWELL_SECONDS)  # a short recording may end before the broker has answered
        reached = self._client.is_connected() and self._says_farewell()
        if lost := self._waiting + self._unsent:
            say(f"warning: MQTT: {lost} messages were not published: {self._broker.name} is away or slow")
        self._client.disconnect()
        if reached:
            self._client.loop_stop()  # a thread that reaches nobody would be waited for too long; it ends by itself

    def _says_farewell(self) -> bool:
        self._given += 1
        farewell = self._client.publish(self._availability, "offline", _AT_LEAST_ONCE, retain=True)
        try:
            farewell.wait_for_publish(FAREWELL_SECONDS)
            return farewell.is_published()
        except RuntimeError:  # the broker went in this very moment
            return False

    @property
    def _availability(self) -> str:
        return f"{self._broker.topic}/availability"

    @property
    def _waiting(self) -> int:
        """Messages that the broker has not acknowledged."""
        return self._given + self._announced - self._arrived

    def _new_client(self) -> Client:
        paho = _paho()
        broker = self._broker
        client: Client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        client.reconnect_delay_set(1, LONGEST_PAUSE_SECONDS)
        client.will_set(self._availability, "offline", _AT_LEAST_ONCE, retain=True)
        if broker.user:
            client.username_pw_set(broker.user, broker.password)
        if broker.tls:
            client.tls_set()
        client.on_connect = self._connected
        client.on_connect_fail = lambda client, data: self._trouble("does not answer")
        client.on_disconnect = self._disconnected
        client.on_publish = self._acknowledged
        return client

    def _connected(self, client: Client, data: object, flags: object, reason: Any, properties: object) -> None:
        if reason.is_failure:
            self._trouble(f"refuses ({reason})")
            return
        if self._troubled:
            say(f"MQTT: {self._broker.name} is back")
        self._troubled = False
        self._announce(self._availability, "online")
        for topic, config in discovery(self._broker.topic, self._model).items():
            self._announce(topic, json.dumps(config, ensure_ascii=False))
        if self._unsent:
            say(f"warning: MQTT: {self._unsent} answers were not published, but for the last")
            self._announce(self._broker.topic, self._newest)
            self._unsent = 0
        self._settled.set()

    def _announce(self, topic: str, payload: str) -> None:
        self._announced += 1
        self._client.publish(topic, payload, _AT_LEAST_ONCE, retain=True)

    def _acknowledged(self, client: Client, data: object, message: int, reason: object, properties: object) -> None:
        self._arrived += 1

    def _disconnected(self, client: Client, data: object, flags: object, reason: Any, properties: object) -> None:
        if reason.is_failure:
            self._trouble("is gone")

    def _trouble(self, what: str) -> None:
        if not self._troubled:
            say(f"warning: MQTT: {self._broker.name} {what}; up to {MOST_WAITING} answers wait while it is tried again")
        self._troubled = True
        self._settled.set()


def discovery(topic: str, model: str) -> dict[str, dict[str, Any]]:
    """Topics and payloads by which Home Assistant finds two sensors: the genre, and how sure it is.

    See Also
    --------
    https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery : the format
    """
    identifier = re.sub(r"\W+", "_", f"tmgc_{socket.gethostname()}_{topic}")
    common = {
        "state_topic": topic,
        "availability_topic": f"{topic}/availability",
        "device": {"identifiers": [identifier], "name": f"tmgc {topic}", "model": model},
    }
    genre = {
        "name": "Genre",
        "unique_id": f"{identifier}_genre",
        "value_template": "{{ value_json.smoothed.genre }}",
        "json_attributes_topic": topic,
        "icon": "mdi:music",
    }
    confidence = {
        "name": "Confidence",
        "unique_id": f"{identifier}_confidence",
        "value_template": "{{ (value_json.smoothed.confidence * 100) | round }}",
        "unit_of_measurement": "%",
        "state_class": "measurement",
    }
    return {
        f"{DISCOVERY_PREFIX}/sensor/{identifier}/{name}/config": common | sensor
        for name, sensor in (("genre", genre), ("confidence", confidence))
    }


def _paho() -> Any:
    try:
        import paho.mqtt.client
    except ImportError:
        raise TmgcError("--mqtt needs paho-mqtt, which is not installed: pip install 'tmgc[mqtt]'") from None
    return paho.mqtt.client
