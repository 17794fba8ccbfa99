"""How an object store is reached."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from churn_assets.errors import SourceError

# Together they end a try to reach a silent server within 15 seconds.
CONNECT_SECONDS, READ_SECONDS, _RETRIES = 5, 10, 1
# Delta writers take these beside the store's own keys; readers need none of them.
_WRITERS_ONLY = re.compile(r"unsafe_rename|locking_provider|dynamo|conditional_put")
_CLIENT = re.compile(
    r"(?:aws_|azure_|google_)?(allow_http|allow_invalid_certificates|connect_timeout|timeout"
    r"|read_timeout|http1_only|http2_only|pool_idle_timeout|pool_max_idle_per_host|proxy_url"
    r"|proxy_ca_certificate|proxy_excludes|root_certificate|user_agent|randomize_addresses)"
)
_FLAGS = ("allow_http", "allow_invalid_certificates", "http1_only", "http2_only")


def connect(root: str, options: Mapping[str, str], place: str, keys: str) -> Any:
    """An object store.

    Parameters
    ----------
    root : str
        Its address, or that of a folder in it.
    options : mapping of str to str
        Its keys, and those of the connection.
    place : str
        The address as it may be shown.
    keys : str
        Which setting they come from.

    Raises
    ------
    SourceError
        Where it knows no such key.
    """
    from obstore.exceptions import UnknownConfigurationKeyError
    from obstore.store import from_url

    client, config = _client_options(options)
    connected: Any = from_url
    try:
        return connected(
            root,
            config=config,
            client_options={
                "connect_timeout": f"{CONNECT_SECONDS}s",
                "read_timeout": f"{READ_SECONDS}s",
                "timeout": "1d",
                **client,
            },
            retry_config={
                "max_retries": _RETRIES,
                "retry_timeout": timedelta(seconds=READ_SECONDS),
            },
        )
    except UnknownConfigurationKeyError as error:
        key = re.search(r"'(\w+)'", str(error))
        raise SourceError(
            f"{place}: {keys} has a key that this store does not know"
            f"{f', {key[1]!r}' if key else ''}. Correct or remove it."
        ) from None


def _client_options(options: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Split keys into those of the connection and those of the store."""
    client: dict[str, Any] = {}
    config = {}
    for key, value in options.items():
        option = _CLIENT.fullmatch(key.lower())
        if option:
            is_flag = option[1] in _FLAGS
            client[option[1]] = value.lower() in ("true", "1") if is_flag else value
        elif not _WRITERS_ONLY.search(key.lower()):
            config[key] = value
    return client, config
