"""MQTT: the newest prediction as a retained state, the availability of the listener, and Home Assistant's discovery."""

from __future__ import annotations

import json
import logging
import socket
import ssl
import sys
from threading import Event as Signal
from threading import Lock
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import TmgcError, first_line, pip_install_extra
from edge_runtime.outputs import Output
from edge_runtime.outputs.broker import PASSWORD_VARIABLE, Broker
from edge_runtime.outputs.home_assistant import discovery
from edge_runtime.outputs.json_lines import window_json
from edge_runtime.predictions import Prediction

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessageInfo

RECONNECT_SECONDS = (1, 60)
"""Shortest and longest pause between two attempts to connect; it doubles from one to the other."""

CLOSE_SECONDS = 0.4
"""Limit of each of the two waits at the end, for the connection and for the last acknowledgement."""

# A state is sent at most once: paho queues messages of a higher quality of service while the broker is away, and would
# replay stale states as current ones. What must arrive, once per connection, is sent at least once.
_AT_MOST_ONCE, _AT_LEAST_ONCE = 0, 1

_GONE = "is gone"

log = logging.getLogger("tmgc.outputs")


class MqttPublisher(Output):
    """Publishes each prediction as the retained state of a topic, and reconnects to the broker as often as needed.

    While the broker is away only the newest state is kept; it is published when the broker is back.

    Parameters
    ----------
    url : str
        As :meth:`Broker.from_url` parses it.
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
        self._troubles: set[str] = set()
        self._connected = self._refused = False
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
        offline = self._publish(self._broker.availability_topic, "offline", _AT_LEAST_ONCE)
        try:
            offline.wait_for_publish(CLOSE_SECONDS)
            return offline.is_published()
        except RuntimeError:  # the connection was lost at this moment
            return False

    def _publish(self, topic: str, payload: str, quality_of_service: int) -> MQTTMessageInfo:
        return self._client.publish(topic, payload, quality_of_service, retain=True)

    def _new_client(self) -> Client:
        paho = _import_paho()
        broker = self._broker
        client: Client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        client.reconnect_delay_set(*RECONNECT_SECONDS)
        client.will_set(self._broker.availability_topic, "offline", _AT_LEAST_ONCE, retain=True)
        if broker.user:
            client.username_pw_set(broker.user, broker.password)
        if broker.tls:
            client.tls_set_context(broker.tls_context())
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        return client

    def _on_connect(self, client: Client, data: object, flags: object, reason: Any, properties: object) -> None:
        if reason.is_failure:
            self._refused = True
            self._report_trouble(f"refuses the connection ({reason}){self._next_step(str(reason))}")
            return
        self._connected = True
        with self._lock:
            self._report_recovery()
            if self._state:  # before "online", which makes it valid
                self._publish_state()
            self._publish(self._broker.availability_topic, "online", _AT_LEAST_ONCE)
            for topic, config in discovery(self._broker, self._model).items():
                self._publish(topic, json.dumps(config, ensure_ascii=False), _AT_LEAST_ONCE)
            self._online = True
        self._answered.set()

    def _on_disconnect(self, client: Client, data: object, flags: object, reason: Any, properties: object) -> None:
        with self._lock:
            self._online = False
        if reason.is_failure and self._connected:
            self._report_trouble(_GONE)
        elif reason.is_failure and not self._refused:
            plain = "if this port expects TLS, use mqtts://"
            tls = "check the port; a broker that asks for a client's certificate cannot be used"
            self._report_trouble(f"does not answer with MQTT: {tls if self._broker.tls else plain}")
        self._connected = self._refused = False

    def _on_connect_fail(self, client: Client, data: object) -> None:
        error = sys.exc_info()[1]  # paho calls this while it handles the error, and does not pass it on
        what = why_no_connection(error, tls=self._broker.tls)
        # a broker that was there and stops is one trouble, not two
        if _GONE not in self._troubles or isinstance(error, ssl.SSLError):
            self._report_trouble(what)

    def _next_step(self, reason: str) -> str:
        if reason not in ("Bad user name or password", "Not authorized"):
            return ""
        if self._broker.user is None:
            return ": name a user, mqtt://USER@HOST/TOPIC"
        return f": check the user, and the password in {PASSWORD_VARIABLE}"

    def _report_trouble(self, what: str) -> None:
        """Log each trouble once until the next connection."""
        if what not in self._troubles:
            log.warning("MQTT: %s %s; retrying, and keeping only the newest prediction", self._broker.name, what)
        self._troubles.add(what)
        self._answered.set()

    def _report_recovery(self) -> None:
        if self._troubles:
            skipped = f"; {self._unsent - 1} older predictions were skipped" if self._unsent > 1 else ""
            log.info("MQTT: %s is back%s", self._broker.name, skipped)
        self._troubles.clear()


def why_no_connection(error: BaseException | None, *, tls: bool) -> str:
    """What keeps a client from a broker, as the end of a sentence that begins with the broker's name.

    Parameters
    ----------
    error : BaseException or None
        What the attempt to connect has raised.
    tls : bool
        Whether the client speaks TLS.
    """
    match error:
        case ssl.SSLCertVerificationError():
            return _why_no_trust(error)
        case ssl.SSLError(reason=str(reason)) if "ALERT" in reason:
            return f"refuses the TLS connection ({reason.replace('_', ' ').lower()})"
        case ssl.SSLError() | ConnectionResetError() if tls:
            return f"does not answer with TLS ({first_line(error)}): if this port is without TLS, use mqtt://"
        case TimeoutError() if tls:
            return "does not answer, or not with TLS: check host and port; if this port is without TLS, use mqtt://"
        case socket.gaierror():
            return f"cannot be found ({error.strerror}): check its name and this machine's network"
        case ConnectionRefusedError():
            return "does not answer: nothing listens on that port. Start the broker, or correct the port"
        case OSError():
            return f"does not answer ({error.strerror or first_line(error)})"
    return "does not answer"


def _why_no_trust(error: ssl.SSLCertVerificationError) -> str:
    reason = error.verify_message.rstrip(".")
    text = f"has a certificate that is not trusted ({reason})"
    if error.verify_code in _NAME_MISMATCHES:
        return f"{text}: name the host as the certificate does"
    if error.verify_code in _WRONG_TIMES:
        return f"{text}: renew it, or set the clock of this machine"
    return f"{text}: name the authority that signed it with ?cafile=PATH"


_NAME_MISMATCHES = (62, 64)
"""``X509_V_ERR_HOSTNAME_MISMATCH`` and ``X509_V_ERR_IP_ADDRESS_MISMATCH`` of OpenSSL."""

_WRONG_TIMES = (9, 10)
"""``X509_V_ERR_CERT_NOT_YET_VALID`` and ``X509_V_ERR_CERT_HAS_EXPIRED`` of OpenSSL."""


def _import_paho() -> Any:
    try:
        import paho.mqtt.client
    except ImportError:
        raise TmgcError(f"--mqtt needs paho-mqtt, which is not installed: {pip_install_extra('mqtt')}") from None
    return paho.mqtt.client
