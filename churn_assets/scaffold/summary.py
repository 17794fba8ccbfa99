"""What a person reads of a new use case."""

from __future__ import annotations

from collections.abc import Iterator

from churn_assets.scaffold.draft import Draft, writing_notes
from churn_assets.scaffold.new import NewUseCase
from churn_assets.tables.sources.columns import listed

_MOST_LISTED = 8


def summary(new: NewUseCase) -> str:
    """What was assumed, what to check, what was written, and what comes next."""
    return "\n".join(
        [
            *_findings(new),
            "",
            *_left_out(new.draft),
            *_questions(new.draft),
            "",
            *_files(new),
        ]
    )


def _findings(new: NewUseCase) -> Iterator[str]:
    draft, profile = new.draft, new.draft.profile
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
    some = f"{new.rejected:,} of the records read would be rejects"
    yield f"Records: {'all keep the contract' if not new.rejected else some}."
    for rule, count in sorted(new.broken.items(), key=lambda rule: -rule[1])[:_MOST_LISTED]:
        yield f"  {rule} ({count:,})"
    if new.short_lines:
        yield (
            f"Fewer fields than the header, and rejects: {listed(new.short_lines, _MOST_LISTED)}. "
            "Correct them, or where blank fields at the end were left out, set "
            f"sources.{draft.name}.short_lines to blank."
        )
    for entry in draft.entries:
        if written := " ".join(writing_notes(entry.profile)):
            yield f"{entry.profile.source}: {written}"
    if profile.totals:
        yield (
            f"A total among the records: {listed(profile.totals, _MOST_LISTED)}. Remove it from "
            "the source, or it may become a customer."
        )
    if draft.is_few:
        yield "So few records may not be enough for a model to pass the gates."


def _left_out(draft: Draft) -> Iterator[str]:
    by_reason: dict[str, list[str]] = {}
    for entry in draft.left_out:
        by_reason.setdefault(entry.why, []).append(entry.profile.source)
    for column in draft.unread:
        by_reason.setdefault(f"of type {column.source_type}", []).append(column.source)
    if not by_reason:
        return
    yield "Left out of the inputs:"
    for why, sources in by_reason.items():
        yield f"  {why}: {listed(sources, _MOST_LISTED)}"
    yield ""


def _questions(draft: Draft) -> Iterator[str]:
    questions = draft.questions
    yield f"{len(questions)} questions for you, each in the file where its answer goes:"
    for of, question in questions[:_MOST_LISTED]:
        yield f"  {of}: {question}"
    if len(questions) > _MOST_LISTED:
        yield f"  and {len(questions) - _MOST_LISTED} more"


def _files(new: NewUseCase) -> Iterator[str]:
    yield f"Use case: {new.use_case}"
    yield f"Test:     {new.test}"
    if new.settings:
        yield f"Source:   sources.{new.draft.name} in {new.settings}"
    yield f"Profile:  {new.page}"
    if new.variable:
        yield (
            f"The address holds a credential and was written nowhere: set {new.variable} to it "
            "wherever this runs."
        )
    yield f"Next: churn run --use-case {new.draft.name}"
