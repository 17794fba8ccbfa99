"""Why a table cannot be read or written, in a few words."""

from __future__ import annotations

import re

# delta-rs takes a path for an address, which these characters would end or escape.
UNFIT = re.compile(r"[#?\[\]\\^|\x00-\x1f]|%[0-9A-Fa-f]{2}")
_REASONS = (
    (
        r"No space left|os error 28|StorageFull",
        "the disk is full. Free some space, then run again.",
    ),
    (
        r"Not a directory|File exists|os error (17|20)",
        "a file stands where its folder should be. Move it, or set CHURN_LAKE to another place.",
    ),
    (
        r"Permission denied|Read-only file system|os error (13|30)",
        "this place is read-only. Give write permission, or set CHURN_LAKE to another place.",
    ),
    (
        r"connect|dns|timed? ?out|error sending request",
        "the store cannot be reached. Check CHURN_LAKE.",
    ),
    (r"\b403\b|Forbidden|AccessDenied|credential", "access is denied. Check `storage_options`."),
)


def reason(message: str) -> str:
    """A short reason without whatever an object store put into its message."""
    for pattern, words in _REASONS:
        if re.search(pattern, message, re.IGNORECASE):
            return words
    return message.splitlines()[0][:200].rstrip(".") + "."
