"""The address of a node, of which only scheme and host may be seen.

Providers put API keys into the path, the query or the user part of the address they sell. :class:`RpcUrl` keeps those
parts out of everything that is shown: it prints as scheme and host, it blots them out of text that others wrote (a
node's error message may quote the key), and out of what the HTTP libraries write to their logs.
"""

from __future__ import annotations

import logging
import re
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from chain.errors import InputError

_BLOT = "***"
_TELLTALE_LOGGERS = (
    "web3.providers.HTTPProvider",
    "web3._utils.http_session_manager",
    "web3._utils.http_session_manager.HTTPSessionManager",
    "urllib3.connection",
    "urllib3.connectionpool",
    "urllib3.poolmanager",
    "urllib3.util.retry",
)
# Shorter parts ("v2", "rpc") are no keys, and blotting them out would spoil ordinary words.
_SHORTEST_KEY = 6


class RpcUrl:
    """An HTTP address that hides all but scheme, host and port.

    Parameters
    ----------
    url
        ``http://`` or ``https://`` address of a JSON-RPC endpoint.

    Raises
    ------
    InputError
        If it is not such an address. The message does not repeat it.
    """

    def __init__(self, url: str) -> None:
        parts = _split(url)
        if parts is None:
            raise InputError("the RPC address is not an http:// or https:// URL with a host")
        self._url = url
        port = "" if parts.port is None else f":{parts.port}"
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        self._shown = f"{parts.scheme}://{host}{port}"
        self._secrets = _secrets(parts)
        _hide_in_logs(self)

    def reveal(self) -> str:
        """The whole address, for the HTTP library alone."""
        return self._url

    def scrub(self, text: str) -> str:
        """`text` with every secret part of the address blotted out."""
        return self._secrets.sub(_BLOT, text) if self._secrets else text

    def __str__(self) -> str:
        return self._shown

    def __repr__(self) -> str:
        return f"RpcUrl({self._shown!r})"


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if valid else None


def _secrets(parts: SplitResult) -> re.Pattern[str] | None:
    """What must never be shown, longest first so that no half of a secret survives the blotting of its other half."""
    user = parts.netloc.rpartition("@")[0]
    target = (parts.path + (f"?{parts.query}" if parts.query else "")).removeprefix("/")
    values = [value for _, value in parse_qsl(parts.query)]
    pieces = {user, parts.username or "", target, parts.query, parts.fragment, *parts.path.split("/"), *values}
    secrets = {unquote(piece) for piece in pieces if len(piece) >= _SHORTEST_KEY} | {unquote(parts.password or "")}
    longest_first = sorted(secrets - {""}, key=len, reverse=True)
    return re.compile("|".join(map(_in_any_encoding, longest_first)), re.IGNORECASE) if longest_first else None


def _in_any_encoding(secret: str) -> str:
    """A pattern for text of which any part may be percent-encoded: HTTP libraries rewrite that before they log."""
    return "".join(
        f"(?:{re.escape(character)}|{''.join(f'%{byte:02x}' for byte in character.encode())})" for character in secret
    )


class _LogScrubber(logging.Filter):
    """Rewrites log records that quote a node's address."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: dict[str, RpcUrl] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        text = shown = record.getMessage()
        for url in self.urls.values():
            shown = url.scrub(shown)
        if shown != text:
            record.msg, record.args = shown, ()
        return True


_LOG_SCRUBBER = _LogScrubber()


def _hide_in_logs(url: RpcUrl) -> None:
    _LOG_SCRUBBER.urls[url.reveal()] = url
    for name in _TELLTALE_LOGGERS:
        logging.getLogger(name).addFilter(_LOG_SCRUBBER)
