"""``tmgc-bench check``: speed and memory of one part, each printed as a ratio that was measured in one run."""

from __future__ import annotations

from importlib import import_module

import click

from edge_runtime.cli.base import OneLineGroup

_CHECKS = {
    "start-up": "benchmarks.checks.start_up:main",
    "soak": "benchmarks.checks.soak:main",
    "preparing": "benchmarks.checks.preparing:main",
    "listening": "benchmarks.checks.listening:overhead",
    "streamed-spectrogram": "benchmarks.checks.listening:streamed",
    "peak": "benchmarks.roofline:main",
}


class _Checks(OneLineGroup):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_CHECKS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _CHECKS:
            return None
        module, _, attribute = _CHECKS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


@click.group("check", cls=_Checks, context_settings={"help_option_names": ["-h", "--help"]})
def check() -> None:
    """Measure one part: start-up, hours of sound, preparing, listening, the spectrogram, the machine's peak."""
