"""What a person is told of a use case that was begun."""

from __future__ import annotations

from collections.abc import Iterator

from churn_assets.scaffold.draft import Draft
from churn_assets.scaffold.new import NewUseCase
from churn_assets.tables.sources.columns import listed

_MOST_LISTED = 8


def summary(begun: NewUseCase) -> str:
    """What was assumed, what to check, what was written, and what comes next."""
    return "\n".join(
        [
            *_found(begun),
            "",
            *_left_out(begun.draft),
            *_questions(begun.draft),
            "",
            *_written(begun),
        ]
    )


def _found(begun: NewUseCase) -> Iterator[str]:
    draft, profile = begun.draft, begun.draft.profile
    read = "" if profile.is_whole else f" {profile.read:,} were read, drawn by a hash of the key."
    yield f"{profile.uri}: {profile.rows:,} records, {len(profile.columns)} columns.{read}"
    yield (
        f"{profile.label} is {profile.positive} for {profile.rate:.1%} of {profile.known:,} known "
        f"outcomes; {profile.valid - profile.known:,} are not known yet."
    )
    keys = " and ".join(profile.keys)
    among = "" if profile.is_whole else " among those read"
    yield f"The key is {keys}: never blank, and no two records{among} share it."
    yield f"Inputs: {draft.kinds}."
    kept = f"{begun.rejected:,} of the records read would be rejects"
    yield f"Records: {'all keep the contract' if not begun.rejected else kept}."
    if draft.is_few:
        yield "So few records may not be enough for a model to pass the gates."


def _left_out(draft: Draft) -> Iterator[str]:
    left: dict[str, list[str]] = {}
    for entry in draft.left_out:
        left.setdefault(entry.why, []).append(entry.profile.source)
    for column in draft.unread:
        left.setdefault(f"of type {column.found}", []).append(column.source)
    if not left:
        return
    yield "Left out of the inputs:"
    for why, sources in left.items():
        yield f"  {why}: {listed(sources, _MOST_LISTED)}"
    yield ""


def _questions(draft: Draft) -> Iterator[str]:
    asked = draft.questions
    yield f"{len(asked)} questions for you, each in the file where its answer goes:"
    for of, question in asked[:_MOST_LISTED]:
        yield f"  {of}: {question}"
    if len(asked) > _MOST_LISTED:
        yield f"  and {len(asked) - _MOST_LISTED} more"


def _written(begun: NewUseCase) -> Iterator[str]:
    yield f"Use case: {begun.use_case}"
    yield f"Test:     {begun.test}"
    if begun.settings:
        yield f"Source:   sources.{begun.draft.name} in {begun.settings}"
    yield f"Profile:  {begun.page}"
    if begun.variable:
        yield (
            f"The address holds a credential and was written nowhere: set {begun.variable} to it "
            "wherever this runs."
        )
    yield f"Next: churn run --use-case {begun.draft.name}"
