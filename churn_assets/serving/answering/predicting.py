"""From a call to its answer: who is asked about, who answers, what is logged."""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Literal

import msgspec

from churn_assets.learning.explaining.wording import REASONS
from churn_assets.serving.answering.calls.access import EXPLAIN, Caller
from churn_assets.serving.answering.calls.decoding import decoded
from churn_assets.serving.answering.calls.limits import Limits
from churn_assets.serving.answering.calls.problems import ProblemError, refused
from churn_assets.serving.answering.faults import Fault
from churn_assets.serving.answering.live import CHALLENGER, Live, Served
from churn_assets.serving.answering.split import answers

Row = Mapping[str, float | str | None]
KEY, RECORD, INPUTS = "key", "record", "inputs"
MOST_REASONS = len(REASONS)
_FORMS = "give one of key, record and inputs; only inputs may come with a key"
_MANY = 16
"""Customers from which columns are scored faster than rows."""


_NOTHING = msgspec.Raw()


class Customer(msgspec.Struct, forbid_unknown_fields=True):
    """One customer of a call, in one of three forms; inputs may come with the key they are of."""

    key: dict[str, str | int] | None = None
    record: dict[str, str | int | float | bool | None] | None = None
    inputs: msgspec.Raw = _NOTHING


class PredictCall(msgspec.Struct, forbid_unknown_fields=True):
    """A call to `predict`."""

    customers: list[Customer]
    reasons: Literal[0, 3, "all"] = 0


class Asked(msgspec.Struct):
    """A customer who is asked about, with what the answer is made from.

    Parameters
    ----------
    form : {"key", "record", "inputs"}
        How it was asked.
    row : mapping of str to float, str or None
        The model's inputs, and what the business case takes beside them.
    key : tuple of str or None
        The parts of the customer's key.
    known : mapping of str to object
        What only the last batch knows: contact, rank, split.
    """

    form: str
    row: Row
    key: tuple[str, ...] | None = None
    known: Mapping[str, Any] = {}


class Scored(msgspec.Struct):
    """A customer's score, by whom, and of those who scored along."""

    asked: Asked
    served: Served
    score: float
    share: float
    shadow: bool = False
    reasons: Sequence[str | None] = ()


class ScoringError(Exception):
    """A model failed on customers whom it was to answer, which is a fault of ours or of its.

    Parameters
    ----------
    scored : sequence of Scored
        Who was to answer whom; the scores are NaN.
    """

    def __init__(self, scored: Sequence[Scored]) -> None:
        super().__init__("a model failed")
        self.scored = scored


Records = Callable[[Sequence[Mapping[str, Any]]], Sequence[Asked | list[Fault]]]
"""Turns raw records into what is asked; comes from where use cases are known."""

_predict = msgspec.json.Decoder(PredictCall)
_prefix, _numbers = secrets.token_hex(8), itertools.count()


def new_request_id() -> str:
    """A name for a call that no other call of any server has."""
    return f"{_prefix}-{next(_numbers):x}"


@dataclass
class Predicting:
    """How the calls to one use case are answered.

    Parameters
    ----------
    use_case : str
        Its name.
    keys : tuple of str
        Columns that name a customer.
    limits : Limits
        Of the server.
    records : callable
        Turns raw records into what is asked.
    """

    use_case: str
    limits: Limits
    records: Records

    def asked_of(self, live: Live, body: bytes, caller: Caller) -> tuple[list[Asked], int | None]:
        """Whom a call to `predict` asks about, and how many reasons it wants; None for all.

        Raises
        ------
        ProblemError
            With all that is wrong with the call.
        """
        call: PredictCall = decoded(_predict, body)
        customers = call.customers
        self.limits.require_rows(len(customers))
        if not customers:
            raise refused([Fault("customers", "", "names nobody")])
        forms = [_form(one) for one in customers]
        if call.reasons and KEY in forms:
            caller.require(EXPLAIN)
        faults: list[Fault] = []
        asked = [
            self._asked(live, one, form, f"customers[{i}]", faults)
            for i, (one, form) in enumerate(zip(customers, forms, strict=True))
        ]
        records = [i for i, form in enumerate(forms) if form == RECORD]
        if records:
            rows = self.records([customers[i].record or {} for i in records])
            for i, found in zip(records, rows, strict=True):
                if isinstance(found, list):
                    faults += below(f"customers[{i}].record", found)
                else:
                    asked[i] = found
        if len(customers) > 1:
            faults += _twice(asked)
        if faults:
            raise refused(faults)
        most = None if call.reasons == "all" else int(call.reasons)
        return [one for one in asked if one is not None], most

    def _asked(
        self, live: Live, given: Customer, form: str | None, place: str, faults: list[Fault]
    ) -> Asked | None:
        """A customer by inputs or key; None of a record, and of what is wrong."""
        if form == INPUTS:
            return self._by_inputs(live, given, place, faults)
        if form == KEY:
            return self._by_key(live, given.key or {}, place, faults)
        if form is None:
            faults.append(Fault(place, "", _FORMS))
        return None

    def _by_inputs(
        self, live: Live, given: Customer, place: str, faults: list[Fault]
    ) -> Asked | None:
        row, wrong = live.champion.reader.read(given.inputs)
        faults += below(f"{place}.inputs", wrong)
        key = None if given.key is None else self._key(live, given.key, place, faults)
        return None if wrong else Asked(INPUTS, row, key)

    def _by_key(
        self, live: Live, given: Mapping[str, str | int], place: str, faults: list[Fault]
    ) -> Asked | None:
        key = self._key(live, given, place, faults)
        found = None if key is None else self.by_key(live, key)
        if key is not None and found is None:
            faults.append(Fault(f"{place}.key", "", "names nobody who is known here"))
        return found

    def _key(
        self, live: Live, given: Mapping[str, str | int], place: str, faults: list[Fault]
    ) -> tuple[str, ...] | None:
        """The parts of a key, in their order."""
        names = live.champion.bundle.manifest.keys
        wrong = [
            Fault(f"{place}.key.{name}", "", "is missing") for name in names if name not in given
        ]
        wrong += [
            Fault(f"{place}.key.{name}", "", f"is not a part of the key; it has {', '.join(names)}")
            for name in given
            if name not in names
        ]
        faults += wrong
        return None if wrong else tuple(str(given[name]) for name in names)

    def by_key(self, live: Live, key: tuple[str, ...]) -> Asked | None:
        """What is known of a customer; None where nothing is.

        Raises
        ------
        ProblemError
            503, where there are no features by key.
        """
        if live.snapshot is None:
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{self.use_case}: there are no features by key here yet. Send inputs or a record, "
                "or make them with `churn run`.",
                retry_after=10,
            )
        found = live.snapshot.get(key)
        if found is None:
            return None
        row = dict(zip(live.snapshot.columns, found.values, strict=True))
        known = {"contact": found.contact, "rank": found.rank, "split": found.split}
        return Asked(KEY, row, key, known)

    def scored(
        self, live: Live, asked: Sequence[Asked], most_reasons: int | None = 0
    ) -> list[Scored]:
        """Scores of customers, each by the model that answers it, and those that score along.

        Parameters
        ----------
        live : Live
            What is served.
        asked : sequence of Asked
            The customers.
        most_reasons : int or None
            How many each is told; None for all there are.

        Raises
        ------
        ScoringError
            Where a model failed.
        """
        traffic = live.traffic
        if traffic is None or live.other is None:
            return _by(live.champion, asked, 1.0, most_reasons)
        now = time.time()
        found: list[Scored | None] = [None] * len(asked)
        along: list[Scored] = []
        groups: dict[tuple[str, float], list[int]] = {}
        for i, one in enumerate(asked):
            groups.setdefault(answers(traffic, one.key, now), []).append(i)
        for (variant, share), places in groups.items():
            served = live.other if variant == CHALLENGER else live.champion
            some = _by(served, [asked[i] for i in places], share, most_reasons)
            for i, scored in zip(places, some, strict=True):
                found[i] = scored
        if traffic.is_shadow:
            along = _by(live.other, asked, 0.0, 0, shadow=True)
        return [one for one in found if one is not None] + along


def prediction_of(
    scored: Scored, live: Live, most_reasons: int | None, scored_at: str
) -> dict[str, Any]:
    """A customer's answer: the columns of predictions, the model and the variant.

    Parameters
    ----------
    scored : Scored
        The score.
    live : Live
        Knows the features' version.
    most_reasons : int or None
        How many; None for all there are.
    scored_at : str
        When.
    """
    asked, bundle, score = scored.asked, scored.served.bundle, scored.score
    manifest = bundle.manifest
    answer: dict[str, Any] = {}
    if asked.key is not None:
        answer.update(zip(manifest.keys, asked.key, strict=True))
    answer["churn_probability"] = score
    answer["decision"] = score >= manifest.threshold
    answer["threshold"] = manifest.threshold
    answer["risk_band"] = bundle.band(score)
    if manifest.business is not None:
        answer["expected_value"] = bundle.value(score, asked.row)
    if asked.form == KEY:
        answer.update(asked.known)
    if most_reasons is None:
        answer["reasons"] = [one for one in scored.reasons if one is not None]
    elif most_reasons:
        answer.update(zip(REASONS, scored.reasons, strict=True))
    answer["model_version"] = manifest.version
    answer["semantic_version"] = manifest.semantic_version
    answer["variant"] = scored.served.variant
    answer["features_version"] = live.features_version if asked.form == KEY else None
    answer["scored_at"] = scored_at
    return answer


def moment() -> str:
    """Now, as answers say it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _by(
    served: Served,
    asked: Sequence[Asked],
    share: float,
    most_reasons: int | None,
    *,
    shadow: bool = False,
) -> list[Scored]:
    try:
        scores, reasons = _answers(served, asked, most_reasons)
    except Exception as error:
        nan = float("nan")
        raise ScoringError([Scored(one, served, nan, share, shadow) for one in asked]) from error
    return [
        Scored(one, served, score, share, shadow, why)
        for one, score, why in zip(asked, scores, reasons, strict=True)
    ]


def _answers(
    served: Served, asked: Sequence[Asked], most_reasons: int | None
) -> tuple[Sequence[float], Sequence[Sequence[str | None]]]:
    """The scores, and reasons, of customers in their order."""
    bundle = served.bundle
    most = len(bundle.causes) if most_reasons is None else most_reasons
    if len(asked) < _MANY:
        if not most:
            return [bundle.score(one.row) for one in asked], [()] * len(asked)
        told = [bundle.answer(one.row, most) for one in asked]
        return [score for score, _ in told], [why for _, why in told]
    columns = {name: [one.row.get(name) for one in asked] for name in bundle.manifest.inputs}
    scores = bundle.scores(columns).tolist()
    return scores, bundle.reasons_of(columns, most) if most else [()] * len(asked)


def _form(given: Customer) -> str | None:
    """In which form a customer is given; None where it is in none, or in two."""
    has_inputs = given.inputs is not _NOTHING
    if given.record is not None:
        return None if has_inputs or given.key is not None else RECORD
    if has_inputs:
        return INPUTS
    return None if given.key is None else KEY


def below(place: str, faults: Sequence[Fault]) -> list[Fault]:
    """Faults of a part of a body, by where they are in the whole."""
    return [
        Fault(f"{place}.{one.field}" if one.field else place, one.kind, one.rule) for one in faults
    ]


def _twice(asked: Sequence[Asked | None]) -> list[Fault]:
    """Customers who are in a call twice."""
    seen: dict[tuple[str, ...], int] = {}
    faults = []
    for i, one in enumerate(asked):
        if one is None or one.key is None:
            continue
        first = seen.setdefault(one.key, i)
        if first != i:
            faults.append(
                Fault(f"customers[{i}]", "", f"is the customer of customers[{first}] again")
            )
    return faults
