"""``tmgc-listen uninstall-service``: takes away what ``install-service`` has put in place."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import click

from edge_runtime.cli.base import OneLineCommand, say
from edge_runtime.errors import TmgcError
from edge_runtime.service import NAME, ServiceSettings, unit_text

NOT_FOR_A_SERVICE = {"files": "the files", "list_devices": "--list-devices", "raw": "--raw", "speed": "--speed"}
"""Parameters of ``tmgc-listen`` that are about something else than listening to a microphone, as they are called."""

_USER_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,30}")


@click.command(
    "install-service",
    cls=OneLineCommand,
    context_settings={"help_option_names": ["-h", "--help"], "ignore_unknown_options": True},
)
@click.option("--model", type=click.Path(path_type=Path), required=True, help="The model file; it is copied.")
@click.option("--user", default=NAME, show_default=True, help="The system's user that it runs as; made where missing.")
@click.option("--dry-run", is_flag=True, help="Print the unit and change nothing.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS OF TMGC-LISTEN]...")
def install_service(model: Path, user: str, dry_run: bool, options: tuple[str, ...]) -> None:
    """Listen to a microphone from every boot on, as a service of systemd with no rights but to the sound card.

    Further options are those of tmgc-listen, for example --device, --hop or --json. The answers go to the journal:
    journalctl --unit tmgc --follow
    """
    from edge_runtime.service import check_system, install, placed_model

    if not _USER_NAME.fullmatch(user):
        raise TmgcError(f"a user's name is of small letters, digits, _ and -, got {user!r}: leave --user out")
    _check_options(options)
    settings = ServiceSettings(model, options, user)
    if dry_run:
        click.echo(unit_text(replace(settings, model=placed_model(settings))), nl=False)
        return
    check_system()
    _check_model(model)
    say(f"{install(settings)}: written, started, and started again at every boot")
    say(f"answers: journalctl --unit {NAME} --follow; state: systemctl status {NAME}")


def _check_model(model: Path) -> None:
    """Refuse now what the service would refuse at every start."""
    from edge_runtime.classifier import GenreClassifier

    GenreClassifier.open(model)


def _check_options(options: tuple[str, ...]) -> None:
    """Refuse now what ``tmgc-listen`` would refuse in the service, in the words that it has for it."""
    from edge_runtime.cli.listen import main as listen

    with listen.make_context("tmgc-listen", ["--wait-device", "inf", *options]) as context:
        unfit = [name for parameter, name in NOT_FOR_A_SERVICE.items() if context.params[parameter]]
    if unfit:
        raise TmgcError(f"the service listens to a microphone and to nothing else: leave out {unfit[0]}")


@click.command("uninstall-service", cls=OneLineCommand, context_settings={"help_option_names": ["-h", "--help"]})
def uninstall_service() -> None:
    """Stop the service and take its unit away; its program, its user and its state stay."""
    from edge_runtime.service import check_system, left_behind, uninstall

    check_system()
    say(f"{uninstall()}: stopped and taken away")
    say(f"left as they are: {', '.join(map(str, left_behind()))} and the user that it ran as")
