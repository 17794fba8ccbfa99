"""The page at `/`: look a customer up, see score and reasons, and try what could be otherwise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlencode

from churn_assets.pages.html import render
from churn_assets.serving.answering.calls.access import ANYBODY, EXPLAIN, Caller
from churn_assets.serving.answering.calls.problems import ProblemError
from churn_assets.serving.answering.faults import Fault
from churn_assets.serving.answering.live import Live
from churn_assets.serving.answering.moves import WhatIf
from churn_assets.serving.answering.predicting import Asked, Scored
from churn_assets.serving.answering.routes import Routes, asked_beside
from churn_assets.serving.answering.server import Answer, Call, Route, page
from churn_assets.serving.people.session import Sessions

_FOLDER = "serving/people"
_CHANGE = "change."
_FORM = "application/x-www-form-urlencoded"
_LONGEST_FORM = 10_000
_PAST = "churn_assets.serving.past"


@dataclass
class Page:
    """The pages for people of a server.

    Parameters
    ----------
    routes : Routes
        Answer what the page asks.
    sessions : Sessions
        Of browsers.
    """

    routes: Routes
    sessions: Sessions

    def __post_init__(self) -> None:
        add = self.routes.server.add
        add("GET", "/", Route("page", self.show, is_logged=True))
        add("GET", "/login", Route("login", self.login))
        add("POST", "/login", Route("login", self.log_in))
        add("POST", "/logout", Route("logout", self.log_out))

    async def login(self, call: Call) -> Answer:
        """Ask for a key."""
        return page(render(f"{_FOLDER}/login.html", trouble=None))

    async def log_in(self, call: Call) -> Answer:
        """Open a session."""
        body = await self.routes.server.body(call)
        fields = dict(parse_qsl(body[:_LONGEST_FORM].decode("latin-1")))
        try:
            cookie = self.sessions.open(fields.get("key", ""))
        except ProblemError as problem:
            trouble = render(f"{_FOLDER}/login.html", trouble=problem.detail)
            return page(trouble, status=problem.status)
        return _redirect("/", (b"set-cookie", cookie))

    async def log_out(self, call: Call) -> Answer:
        """End a session."""
        return _redirect("/login", (b"set-cookie", self.sessions.close()))

    async def show(self, call: Call) -> Answer:
        """The page, for who may see customers."""
        caller = self._caller(call)
        if caller is None:
            return _redirect("/login")
        caller.require(EXPLAIN)
        query = dict(
            parse_qsl(call.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        )
        server = self.routes.server
        use_case = query.get("use_case") or server.default_use_case
        if use_case not in server.places:
            raise ProblemError(HTTPStatus.NOT_FOUND, "there is no use case of this name.")
        call.use_case = use_case
        live = server.places[use_case].live
        view: dict[str, Any] = {
            "use_case": use_case,
            "use_cases": list(server.places),
            "has_session": caller is not ANYBODY,
            "trouble": None,
            "faults": [],
            "keys": {},
            "customer": None,
            "history": None,
        }
        scored: Sequence[Scored] = ()
        status: int = HTTPStatus.OK
        if live is None:
            view["trouble"] = "There is no Champion yet: `churn run` trains and promotes one."
        else:
            names = live.champion.bundle.manifest.keys
            view["keys"] = {name: query.get(f"key.{name}", "").strip() for name in names}
            if all(view["keys"].values()):
                try:
                    scored, view["customer"] = self._customer(live, use_case, query, view["keys"])
                    if "history" in query:
                        view["history"] = await _history(live, use_case, view["keys"])
                except ProblemError as problem:
                    status = problem.status
                    view["trouble"] = problem.detail
                    view["faults"] = list(problem.faults)
        return page(render(f"{_FOLDER}/customer.html", **view), status=status, scored=scored)

    def _caller(self, call: Call) -> Caller | None:
        headers = call.headers
        session = self.sessions.caller(headers.get(b"cookie", b""))
        if session is not None:
            return session
        try:
            return self.routes.server.access.caller(call.scope, headers)
        except ProblemError:
            return None

    def _customer(
        self, live: Live, use_case: str, query: Mapping[str, str], keys: Mapping[str, str]
    ) -> tuple[Sequence[Scored], dict[str, Any]]:
        predicting = self.routes.predicting[use_case]
        asked = predicting.by_key(live, tuple(keys.values()))
        if asked is None:
            raise ProblemError(HTTPStatus.NOT_FOUND, "No customer has this key.")
        given = {
            name: query.get(f"{_CHANGE}{name}") for name in live.champion.bundle.manifest.inputs
        }
        changes, faults = _changes(asked, given, live.champion.bundle.manifest.inputs)
        what_if = WhatIf(predicting, live)
        problem: ProblemError | None = None
        try:
            scored, moved = what_if.moved(asked, changes)
        except ProblemError as wrong:
            problem = wrong
            scored, moved = what_if.moved(asked, {})
        if problem is not None:
            faults += problem.faults
        bundle = live.champion.bundle
        return scored, {
            "inputs": [
                _input(name, asked, given.get(name), bundle.manifest)
                for name in bundle.manifest.inputs
            ],
            "before": moved["before"],
            "after": moved["after"] if changes and not faults else None,
            "moved": [
                {
                    "called": bundle.manifest.called[one["input"]],
                    "text": f"{math.exp(one['log_odds']):.2f} times",
                }
                for one in (moved["moved"] if changes and not faults else [])
            ],
            "faults": faults,
            "threshold": bundle.manifest.threshold,
            "advice": _advice(moved["before"], bundle.manifest.currency),
            "features_version": live.snapshot.features_version if live.snapshot else None,
            "back": "?"
            + urlencode({"use_case": use_case, **{f"key.{k}": v for k, v in keys.items()}}),
        }


async def _history(
    live: Live, use_case: str, keys: Mapping[str, str]
) -> list[dict[str, Any]] | str:
    """What was told of a customer, the newest scoring first; why not, where that cannot be had."""
    told = await asked_beside(_PAST, {"use_case": use_case, "key": list(keys.values())})
    if "detail" in told:
        return str(told["detail"])
    called = live.champion.bundle.manifest.called
    return [
        {**one, "changed": [called.get(name, name) for name in one["changed"]]}
        for one in told["scorings"]
    ]


def _changes(
    asked: Asked, given: Mapping[str, str | None], kinds: Mapping[str, str]
) -> tuple[dict[str, Any], list[Fault]]:
    """The inputs that were given another value, as JSON would have them."""
    changes: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, text in given.items():
        if text is None or text == shown(asked.row[name]):
            continue
        if not text.strip():
            changes[name] = None
        elif kinds[name] == "number":
            try:
                changes[name] = float(text)
            except ValueError:
                faults.append(Fault(f"changes.{name}", "text", "is not a number"))
        else:
            changes[name] = text
    return changes, faults


def shown(value: float | str | None) -> str:
    """An input's value as the form has it.

    >>> shown(12.0), shown(0.5), shown(None), shown("Two year")
    ('12', '0.5', '', 'Two year')
    """
    if value is None or value != value:  # noqa: PLR0124
        return ""
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _advice(prediction: Mapping[str, Any], currency: str | None) -> dict[str, str]:
    """What the last batch and the value say to do."""
    advice = {}
    value = prediction.get("expected_value")
    if value is not None:
        advice["Value of a contact"] = f"{value:,.2f} {currency}"
    if prediction.get("contact") is not None:
        rank = prediction.get("rank")
        place = f", rank {rank:,}" if rank is not None else ""
        advice["Last batch"] = f"{'contact' if prediction['contact'] else 'do not contact'}{place}"
    return advice or {"Value of a contact": "not known: there is no business case"}


def _input(name: str, asked: Asked, given: str | None, manifest: Any) -> dict[str, Any]:
    """A field of the form."""
    now = shown(asked.row[name])
    return {
        "name": name,
        "label": manifest.called[name],
        "kind": manifest.inputs[name],
        "now": now,
        "given": now if given is None else given,
        "choices": manifest.schemas["inputs"]["properties"][name].get("enum", ()),
    }


def _redirect(place: str, *headers: tuple[bytes, bytes]) -> Answer:
    """Send a browser to another page."""
    return page("", status=HTTPStatus.SEE_OTHER, headers=[(b"location", place.encode()), *headers])
