"""Home Assistant accepts the discovery of every topic, and never takes two for one."""

from __future__ import annotations

import re

import pytest

from edge_runtime.outputs.broker import Broker
from edge_runtime.outputs.home_assistant import MAX_IDENTIFIER, discovery, identifier

ACCEPTED = re.compile(r"^homeassistant/(?:sensor)/[a-zA-Z0-9_-]+/[a-zA-Z0-9_-]+/config$")
"""As Home Assistant matches a discovery topic (``homeassistant/components/mqtt/discovery.py``)."""

TOPICS = [
    "cafe/music",
    "cafe_music",
    "cafe-music",
    "cafe/Music",
    "kafe/müzik",
    "kafe/muzik",
    "kafe/mu\u0308zik",
    "KAFE/ŞARKI",
    "ıİğĞşŞçÇöÖüÜ",
    "kahve evi",
    "кафе/музыка",
    "カフェ",
    "مقهى",
    "☕",
    "🎵",
    "a@b?c",
    "-",
    "_",
    "x" * 300,
    "x" * 301,
    "level/" * 198 + "x",
]


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("host", ["raspberrypi", "müzik.local", "pi-2"])
def test_every_topic_gives_two_sensors_that_are_accepted(topic: str, host: str) -> None:
    found = discovery(Broker("host", 1883, topic, tls=False), "tiny", host=host)
    assert len(found) == 2
    for announced, config in found.items():
        assert ACCEPTED.fullmatch(announced)
        assert config["state_topic"] == topic
        assert config["availability_topic"] == f"{topic}/availability"
        assert re.fullmatch("[a-zA-Z0-9_-]+", config["unique_id"])
    assert len({config["unique_id"] for config in found.values()}) == 2


def test_different_paths_have_different_short_identifiers() -> None:
    paths = [*TOPICS, *(f"pi/{topic}" for topic in TOPICS), *(f"pi_2/{topic}" for topic in TOPICS)]
    identifiers = set(map(identifier, paths))
    assert len(identifiers) == len(paths)
    assert max(map(len, identifiers)) <= MAX_IDENTIFIER


@pytest.mark.parametrize(
    ("path", "beginning"),
    [
        ("pi/cafe/music", "pi_cafe_music"),
        ("pi/kafe/müzik", "pi_kafe_muzik-"),
        ("pi/ıİğĞşŞçÇöÖüÜ", "pi_iIgGsScCoOuU-"),
        ("raspberry-pi/a", "raspberry_pi_a-"),
    ],
)
def test_turkish_letters_stay_readable(path: str, beginning: str) -> None:
    assert identifier(path).startswith(beginning)
    assert identifier(path) == identifier(path)


def test_the_device_keeps_the_name_of_its_topic() -> None:
    for config in discovery(Broker("host", 1883, "kafe/müzik", tls=False), "tiny").values():
        assert config["device"]["name"] == "tmgc kafe/müzik"
    long = discovery(Broker("host", 1883, "x" * 60_000, tls=False), "tiny")
    assert max(len(config["device"]["name"]) for config in long.values()) < 120
