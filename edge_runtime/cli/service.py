"""``tmgc-listen install-service`` and ``uninstall-service``."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from edge_runtime.cli.base import OneLineCommand
from edge_runtime.errors import TmgcError
from edge_runtime.service import NAME, ServiceSettings, unit_text
from edge_runtime.terminal import print_lines, standard_output

log = logging.getLogger("tmgc.service")

NOT_FOR_A_SERVICE = {"files": "the files", "list_devices": "--list-devices", "raw": "--raw", "speed": "--speed"}
"""Parameters of ``tmgc-listen`` that do not apply to a microphone, and their names in a message."""


@click.command(
    "install-service",
    cls=OneLineCommand,
    short_help="Listen from every boot on, as a systemd service.",
    context_settings={"ignore_unknown_options": True},
)
@click.option("--model", type=click.Path(path_type=Path), required=True, help="The model file; it is copied.")
@click.option("--user", default=NAME, show_default=True, help="System user of the service; created if missing.")
@click.option("--dry-run", is_flag=True, help="Print the unit and change nothing.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS OF TMGC-LISTEN]...")
def install_service(model: Path, user: str, dry_run: bool, options: tuple[str, ...]) -> None:
    """Listen to a microphone from every boot on, as a systemd service with access to nothing but the sound card.

    Further options are those of tmgc-listen, for example --device, --hop or --json. Predictions go to the journal:
    journalctl --unit tmgc --follow
    """
    from edge_runtime.cli.listen import open_classifier
    from edge_runtime.service import check_system, install, placed_model

    settings = ServiceSettings(model, options, user)
    parameters = _check_options(options)
    if dry_run:
        standard_output("utf-8")  # which systemd reads in every locale
        print_lines(unit_text(replace(settings, model=placed_model(settings))).splitlines())
        return
    check_system()
    open_classifier(model, parameters["threads"], parameters["hop"])
    log.info("%s: installed, started now and at every boot", install(settings))
    log.info("predictions: journalctl --unit %s --follow; state: systemctl status %s", NAME, NAME)


def _check_options(options: tuple[str, ...]) -> dict[str, Any]:
    """Refuse options now that ``tmgc-listen`` would refuse at every start, with the same message; returns all."""
    from edge_runtime.cli.listen import build_settings
    from edge_runtime.cli.listen import main as listen

    with listen.make_context("tmgc-listen", ["--wait-device", "inf", *options]) as context:
        unfit = [name for parameter, name in NOT_FOR_A_SERVICE.items() if context.params[parameter]]
    if unfit:
        raise TmgcError(f"the service listens to a microphone only: leave out {unfit[0]}")
    build_settings(context.params)
    return context.params


@click.command(
    "uninstall-service",
    cls=OneLineCommand,
    short_help="Stop the service and remove its unit.",
)
def uninstall_service() -> None:
    """Stop the service and remove its unit; its program, user and state remain."""
    from edge_runtime.service import check_system, left_behind, uninstall

    check_system()
    log.info("%s: stopped and removed", uninstall())
    log.info("kept: %s and the user of the service", ", ".join(map(str, left_behind())))
