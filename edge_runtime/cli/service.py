"""``tmgc-listen install-service`` and ``uninstall-service``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from edge_runtime.cli.base import OneLineCommand
from edge_runtime.errors import TmgcError
from edge_runtime.server.settings import DEFAULT_PORT
from edge_runtime.service import NAME, TOKEN_FILE, ServiceSettings, unit_text
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
    from edge_runtime.service import check_system, install, placed_model

    parameters = _parameters(options)
    token_file = TOKEN_FILE if _needs_token(parameters) else None
    settings = ServiceSettings(model, options, user, token_file=token_file)
    _check_options(parameters, has_token=token_file is not None)
    _check_engine(parameters["engine"], model)
    if dry_run:
        standard_output("utf-8")  # which systemd reads in every locale
        print_lines(unit_text(replace(settings, model=placed_model(settings))).splitlines())
        return
    check_system()
    _check_model(model, parameters)
    is_new_token = token_file is not None and not token_file.exists()
    log.info("%s: installed, started now and at every boot", install(settings))
    if parameters["serve"]:
        _tell_address(parameters["serve"], token_file, is_new=is_new_token)
    log.info("predictions: journalctl --unit %s --follow; state: systemctl status %s", NAME, NAME)


def _parameters(options: tuple[str, ...]) -> dict[str, Any]:
    """What the options mean to ``tmgc-listen``; refuses those that do not fit a service."""
    from edge_runtime.cli.listen import main as listen

    with listen.make_context("tmgc-listen", ["--wait-device", "inf", *options]) as context:
        unfit = [name for parameter, name in NOT_FOR_A_SERVICE.items() if context.params[parameter]]
    if unfit:
        raise TmgcError(f"the service listens to a microphone only: leave out {unfit[0]}")
    return context.params


def _needs_token(parameters: Mapping[str, Any]) -> bool:
    """Whether the service serves other machines, and no token is named."""
    from edge_runtime.server.settings import is_loopback, parse_address

    address = parameters["serve"]
    return address is not None and parameters["token_file"] is None and not is_loopback(parse_address(address)[0])


def _check_options(parameters: Mapping[str, Any], *, has_token: bool) -> None:
    """Refuse options now that ``tmgc-listen`` would refuse at every start, with the same message."""
    from edge_runtime.cli.listen import build_settings
    from edge_runtime.cli.serve import server_settings

    if has_token:  # which is not there yet
        server_settings(f"{DEFAULT_PORT}", parameters)
        parameters = {**parameters, "serve": None}
    build_settings(parameters)


def _check_engine(engine: str, model: Path) -> None:
    """Refuse an engine that is unknown, not installed, or of another format: the service has no other file."""
    from edge_runtime.interpreters import AUTO, check_engine, installed_engines, refused_engine

    check_engine(engine)
    if engine != AUTO and engine not in installed_engines(model):
        raise refused_engine(engine, [model])


def _check_model(model: Path, parameters: Mapping[str, Any]) -> None:
    """Refuse what the model does not allow. It is not run: its first start has fewer rights than this process."""
    from edge_runtime.interpreters import check_file, check_threads
    from edge_runtime.model_file import check_digest, read_card
    from edge_runtime.windowing import hop_samples

    check_file(model)
    if parameters["threads"] is not None:
        check_threads(parameters["threads"])
    card = read_card(model)
    check_digest(model, card)
    hop_samples(card.spectrogram, parameters["hop"])
    if card.warning:
        log.warning("%s", card.warning)


def _tell_address(address: str, token_file: Path | None, *, is_new: bool) -> None:
    from edge_runtime.cli.serve import announce
    from edge_runtime.server.settings import page_address, parse_address, read_token

    token = read_token(token_file) if token_file and is_new else None
    page = page_address(*parse_address(address))
    announce(page, token)
    if token_file:
        log.info("the token is in %s%s", token_file, f": {token}" if token else "")


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
