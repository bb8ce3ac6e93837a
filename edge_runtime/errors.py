"""The one family of errors that a user can cause: each message states the rule, what was found and the next step."""


class TmgcError(Exception):
    """Bad input or bad usage. The commands print the message as one line and exit with 2."""


def first_line(error: BaseException, *, longest: int = 200) -> str:
    """What an error of a library says, in one line; its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:longest]
