"""`churn serve`: the server in this process, with keys and an address that fit each other."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from churn_assets.errors import SettingsError
from churn_assets.machine import keep_private
from churn_assets.serving.answering.calls.access import (
    ROLES,
    is_loopback,
    line_of,
    new_key,
    read_keys,
)
from churn_assets.settings import Settings

APP = "churn_assets.serving.app:app"


def add_key(settings: Settings, name: str, roles: Sequence[str]) -> str:
    """Make a key, and keep its hash.

    Raises
    ------
    SettingsError
        Where the name or a role cannot be, or the file cannot be read or written.
    """
    unknown = [role for role in roles if role not in ROLES]
    if unknown or not roles:
        raise SettingsError(f"a key has roles of {', '.join(ROLES)}; give one or more by --role.")
    if not name.isidentifier():
        raise SettingsError(f"'{name}' is not a name of letters, digits and underscores.")
    file, key = settings.keys_file, new_key()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        if any(caller.name == name for caller in read_keys(before).values()):
            raise SettingsError(f"{file}: there is a key '{name}' already. Remove its line first.")
        beside = file.with_name(f".{file.name}.new")
        beside.touch(mode=0o600)
        beside.write_text(f"{before}{line_of(name, list(roles), key)}\n", encoding="utf-8")
        beside.replace(file)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file}: {error}") from None
    return key


def serve(settings: Settings, host: str | None, port: int | None, use_case: str | None) -> None:
    """Become the server.

    Raises
    ------
    SettingsError
        Where it would listen to other machines and there is no key for them.
    """
    address = host or settings.serving.host
    if not is_loopback(address) and settings.serving.authentication == "auto":
        _require_key(settings, address)
    listens = port if port is not None else settings.serving.port
    environment: Mapping[str, str] = {
        **os.environ,
        "CHURN_SERVING__HOST": address,
        "CHURN_SERVING__PORT": str(listens),
        **({"CHURN_SERVING__DEFAULT_USE_CASE": use_case} if use_case else {}),
    }
    keep_private(settings.present.root_folder)
    arguments = [sys.executable, "-m", "uvicorn", APP, "--host", address, "--port", str(listens)]
    arguments += ["--no-access-log", "--no-server-header", "--log-level", "warning"]
    tls = (settings.serving.tls_certificate, settings.serving.tls_key)
    for option, file in zip(("--ssl-certfile", "--ssl-keyfile"), tls, strict=True):
        arguments += [option, file] if file else []
    scheme = "https" if tls[0] else "http"
    print(f"Serving at {scheme}://{address}:{listens} (what can be asked: /docs); Ctrl+C stops it.")
    sys.stdout.flush()
    os.execve(sys.executable, arguments, dict(environment))


def _require_key(settings: Settings, address: str) -> None:
    file = settings.keys_file
    try:
        keys = read_keys(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        keys = {}
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file}: {error}") from None
    if not keys:
        raise SettingsError(
            f"{address} is reached from other machines, and there is no API key for them. Make one "
            "with `churn key NAME --role predict`."
        )
