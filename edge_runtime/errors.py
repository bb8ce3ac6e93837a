"""The one family of errors that a user can cause: each message states the rule, what was found and the next step."""


class TmgcError(Exception):
    """Bad input or bad usage. The commands print the message as one line and exit with 2."""
