"""Exit codes of the control tool (DESIGN 3), and which one an error means."""

from __future__ import annotations

from agent.errors import (
    AgentError,
    CloudBusy,
    ConfigError,
    FrameError,
    HardwareError,
    InputRefused,
    StoreError,
)

DONE = 0
NO = 1
USAGE = 2
BAD_DATA = 65
NO_INPUT = 66
UNREACHABLE = 69
TRY_AGAIN = 75
NOT_PERMITTED = 77
CONFIGURATION = 78
INTERRUPTED = 130  # 128 + SIGINT, as shells say it

# The first that fits; every other AgentError is an answer of no.
EXITS: list[tuple[type[AgentError], int]] = [
    (ConfigError, CONFIGURATION),
    (InputRefused, BAD_DATA),
    (FrameError, BAD_DATA),
    (HardwareError, TRY_AGAIN),
    (CloudBusy, TRY_AGAIN),
    (StoreError, TRY_AGAIN),
]


class CommandFailed(AgentError):
    """A command that ends with a sentence on stderr and ``exit_code``."""

    def __init__(self, exit_code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


def exit_code_of(error: AgentError) -> int:
    """The exit code that an error means."""
    if isinstance(error, CommandFailed):
        return error.exit_code
    return next((code for kind, code in EXITS if isinstance(error, kind)), NO)
