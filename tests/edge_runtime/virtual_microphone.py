"""A microphone without a microphone: PulseAudio with a sink that nobody hears, whose monitor PortAudio records."""

from __future__ import annotations

import ctypes.util
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

ASOUND = """</usr/share/alsa/alsa.conf>
pcm.!default { type pulse }
ctl.!default { type pulse }
"""


def missing() -> list[str]:
    """What the system lacks for it."""
    programs = [name for name in ("pulseaudio", "pactl", "paplay") if not shutil.which(name)]
    return programs if ctypes.util.find_library("portaudio") else [*programs, "libportaudio2"]


class VirtualMicrophone:
    """A sound server of its own in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._socket = folder / "native"
        (folder / "asound.conf").write_text(ASOUND)
        self.environment = {
            **os.environ,
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "PULSE_SERVER": f"unix:{self._socket}",
            "ALSA_CONFIG_PATH": str(folder / "asound.conf"),
        }
        self._players: list[subprocess.Popen[bytes]] = []
        self._server: subprocess.Popen[bytes] | None = None

    def plug_in(self) -> None:
        """Start the server, and wait until it answers."""
        server = ["pulseaudio", "-n", "--exit-idle-time=-1", "--use-pid-file=no"]
        # Anonymous, since another user listens where the unit's restrictions are tried.
        listens = f"module-native-protocol-unix auth-anonymous=1 socket={self._socket}"
        sink = "module-null-sink sink_name=virt norewinds=1"  # or sound comes in blocks of two seconds
        self._server = self._run([*server, "-L", sink, "-L", listens])
        for _ in range(100):
            if self._run(["pactl", "set-default-source", "virt.monitor"]).wait() == 0:
                return
            time.sleep(0.1)
        raise AssertionError("pulseaudio does not answer")

    def unplug(self) -> None:
        """End the server as a device ends that is pulled out."""
        if self._server:
            self._server.kill()
            self._server.wait()

    def hang(self) -> None:
        """Let it give nothing any more, and answer nobody."""
        assert self._server
        self._server.send_signal(signal.SIGSTOP)

    def play(self, path: Path) -> None:
        """Begin to play a file that the microphone hears."""
        self._players.append(self._run(["paplay", "--device=virt", str(path)]))

    def take_away(self) -> None:
        """End everything that was started."""
        for player in self._players:
            player.kill()
            player.wait()
        self.unplug()

    def _run(self, command: list[str]) -> subprocess.Popen[bytes]:
        nowhere = subprocess.DEVNULL
        return subprocess.Popen(command, env=self.environment, stdin=nowhere, stdout=nowhere, stderr=nowhere)
