"""Every error of the agent, sorted by who must act on it.

A message says what was tried, on what, and what came back; it never holds a secret.
"""

from __future__ import annotations


class AgentError(Exception):
    """Any trouble the agent names itself."""


class ConfigError(AgentError):
    """The operator must mend a setting; the process ends with exit status 78."""


class InputRefused(AgentError):
    """The caller of a command or verb asked for something malformed; nothing was changed.

    ``code`` is the Alink code of the answer (460: request parameter error).
    """

    def __init__(self, message: str, *, code: int = 460) -> None:
        super().__init__(message)
        self.code = code


class FrameError(AgentError):
    """Bytes that claim to be ours and are broken; counted, dropped, nobody acts."""


class HardwareError(AgentError):
    """A radio failed: time heals it, or a hand; its job is restarted with backoff.

    ``code`` names the trouble for ``health`` (for example ``adapter_gone``).
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class CloudBusy(AgentError):
    """The cloud did not answer, or asked us to wait: the same request may be repeated later."""


class CloudRefused(AgentError):
    """The cloud answered no; repeating the same request would not help.

    ``code`` is the code of its answer (cloud-device-channel.md, section 7).
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class StoreError(AgentError):
    """The state directory cannot be read or written: warning ``store_unavailable``, retried."""
