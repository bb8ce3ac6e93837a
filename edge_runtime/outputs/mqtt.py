"""MQTT: the newest prediction as a retained state, the availability of the listener, and Home Assistant's discovery."""

from __future__ import annotations

import json
import logging
import os
import re
import socket
from dataclasses import dataclass, field
from threading import Event as Signal
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from edge_runtime.errors import TmgcError
from edge_runtime.outputs import Output
from edge_runtime.outputs.json_lines import window_json
from edge_runtime.predictions import Prediction

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessageInfo

PASSWORD_VARIABLE = "TMGC_MQTT_PASSWORD"
"""Unlike the arguments of a process, its environment is not shown to every user of the machine."""

RECONNECT_SECONDS = (1, 60)
"""Shortest and longest pause between two attempts to connect; it doubles from one to the other."""

CLOSE_SECONDS = 0.4
"""Limit of each of the two waits at the end, for the connection and for the last acknowledgement."""

DISCOVERY_PREFIX = "homeassistant"
"""Home Assistant's default."""

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_FORM = "mqtt://[user[:password]@]host[:port]/topic"

# A state is sent at most once: paho queues messages of a higher quality of service while the broker is away, and would
# replay stale states as current ones. What must arrive, once per connection, is sent at least once.
_AT_MOST_ONCE, _AT_LEAST_ONCE = 0, 1

log = logging.getLogger("tmgc.outputs")


@dataclass(frozen=True)
class Broker:
    """Address of a topic on an MQTT broker."""

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
    def from_url(cls, url: str) -> Broker:
        """Parse a URL; without a password in it, :data:`PASSWORD_VARIABLE` is used.

        Raises
        ------
        TmgcError
            The URL is invalid. The message does not repeat it, since it may contain a password.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise TmgcError(f"--mqtt must be {_FORM}: its host or port is invalid") from None
        topic = unquote(parts.path.strip("/"))
        if parts.scheme not in _PORTS:
            raise TmgcError(f"--mqtt must be {_FORM} or mqtts://...: its scheme is neither")
        if not parts.hostname or not topic:
            raise TmgcError(f"--mqtt must be {_FORM}: it has no {'topic' if parts.hostname else 'host'}")
        if {"#", "?"} & set(url) or "+" in topic or "\0" in topic:
            raise TmgcError(f"--mqtt must be {_FORM}: a topic must not contain + # ?")
        return cls(
            parts.hostname,
            port or _PORTS[parts.scheme],
            topic,
            tls=parts.scheme == "mqtts",
            user=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else os.environ.get(PASSWORD_VARIABLE),
        )


class MqttPublisher(Output):
    """Publishes each prediction as the retained state of a topic, and reconnects to the broker as often as needed.

    While the broker is away only the newest state is kept; it is published when the broker is back.

    Parameters
    ----------
    url : str
        ``mqtt://[user[:password]@]host[:port]/topic``, or ``mqtts://`` with TLS.
    model : str
        Name of the model, for Home Assistant.

    Raises
    ------
    TmgcError
        The URL is invalid, or paho-mqtt is not installed. A broker that does not answer is no error.
    """

    def __init__(self, url: str, *, model: str) -> None:
        self._broker = Broker.from_url(url)
        self._model = model
        # The caller's thread and paho's both publish: the lock keeps the newest state the last one.
        self._lock = Lock()
        self._online = False
        self._state = ""
        self._unsent = 0
        self._in_trouble = False
        self._answered = Signal()
        self._client = self._new_client()
        self._client.connect_async(self._broker.host, self._broker.port)
        self._client.loop_start()

    def window(self, prediction: Prediction) -> None:
        with self._lock:
            self._state = window_json(prediction)
            self._unsent += 1
            if self._online:
                self._publish_state()

    def close(self) -> None:
        """Publish ``offline`` and wait for its acknowledgement, within a second in all."""
        self._answered.wait(CLOSE_SECONDS)  # a short recording may end before the broker has answered
        acknowledged = self._online and self._publish_offline()
        if self._unsent or (self._state and not acknowledged):
            log.warning(
                "MQTT: %s is away or slow: the last predictions may not have arrived",
                self._broker.name,
            )
        self._client.disconnect()
        if acknowledged:
            self._client.loop_stop()  # without a broker the thread would take too long; it ends by itself

    def _publish_state(self) -> None:
        if self._publish(self._broker.topic, self._state, _AT_MOST_ONCE).rc == 0:
            self._unsent = 0

    def _publish_offline(self) -> bool:
        offline = self._publish(self._availability_topic, "offline", _AT_LEAST_ONCE)
        try:
            offline.wait_for_publish(CLOSE_SECONDS)
            return offline.is_published()
        except RuntimeError:  # the connection was lost at this moment
            return False

    def _publish(self, topic: str, payload: str, quality_of_service: int) -> MQTTMessageInfo:
        return self._client.publish(topic, payload, quality_of_service, retain=True)

    @property
    def _availability_topic(self) -> str:
        return f"{self._broker.topic}/availability"

    def _new_client(self) -> Client:
        paho = _import_paho()
        broker = self._broker
        client: Client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        client.reconnect_delay_set(*RECONNECT_SECONDS)
        client.will_set(self._availability_topic, "offline", _AT_LEAST_ONCE, retain=True)
        if broker.user:
            client.username_pw_set(broker.user, broker.password)
        if broker.tls:
            client.tls_set()
        client.on_connect = self._on_connect
        client.on_connect_fail = lambda client, data: self._report_trouble("does not answer")
        client.on_disconnect = self._on_disconnect
        return client

    def _on_connect(self, client: Client, data: object, flags: object, reason: Any, properties: object) -> None:
        if reason.is_failure:
            self._report_trouble(f"refuses the connection ({reason})")
            return
        with self._lock:
            self._report_recovery()
            if self._state:  # before "online", which makes it valid
                self._publish_state()
            self._publish(self._availability_topic, "online", _AT_LEAST_ONCE)
            for topic, config in discovery(self._broker.topic, self._model).items():
                self._publish(topic, json.dumps(config, ensure_ascii=False), _AT_LEAST_ONCE)
            self._online = True
        self._answered.set()

    def _on_disconnect(self, client: Client, data: object, flags: object, reason: Any, properties: object) -> None:
        with self._lock:
            self._online = False
        if reason.is_failure:
            self._report_trouble("is gone")

    def _report_trouble(self, what: str) -> None:
        if not self._in_trouble:
            log.warning("MQTT: %s %s; retrying, and keeping only the newest prediction", self._broker.name, what)
        self._in_trouble = True
        self._answered.set()

    def _report_recovery(self) -> None:
        if self._in_trouble:
            skipped = f"; {self._unsent - 1} older predictions were skipped" if self._unsent > 1 else ""
            log.info("MQTT: %s is back%s", self._broker.name, skipped)
        self._in_trouble = False


def discovery(topic: str, model: str) -> dict[str, dict[str, Any]]:
    """Topics and payloads that announce two sensors to Home Assistant: the genre and its confidence.

    Parameters
    ----------
    topic : str
        The topic of the state.
    model : str
        Name of the model.

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


def _import_paho() -> Any:
    try:
        import paho.mqtt.client
    except ImportError:
        raise TmgcError("--mqtt needs paho-mqtt, which is not installed: pip install 'tmgc[mqtt]'") from None
    return paho.mqtt.client
