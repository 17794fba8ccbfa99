"""What can be asked of a server, and how each question is answered."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import msgspec

from churn_assets.serving.answering.calls.access import ADMIN, EXPLAIN, PREDICT
from churn_assets.serving.answering.calls.decoding import decoded
from churn_assets.serving.answering.calls.problems import ProblemError, refused
from churn_assets.serving.answering.faults import Fault
from churn_assets.serving.answering.live import Live
from churn_assets.serving.answering.metrics import MEDIA_TYPE
from churn_assets.serving.answering.moves import WhatIf
from churn_assets.serving.answering.predicting import (
    INPUTS,
    MOST_REASONS,
    Asked,
    Predicting,
    Records,
    moment,
    prediction_of,
)
from churn_assets.serving.answering.protocols import open_inference
from churn_assets.serving.answering.protocols.invocations import rows_of
from churn_assets.serving.answering.server import Answer, Call, Route, Server, as_json
from churn_assets.serving.plan import RELOAD


class TrafficCall(msgspec.Struct, forbid_unknown_fields=True):
    """A change of who answers, as `churn traffic` takes it."""

    kind: Literal["champion", "shadow", "canary", "ab", "ramp"]
    why: str
    version: int | None = None
    share: float | None = None
    steps: list[float] | None = None
    step_seconds: float | None = None


_traffic = msgspec.json.Decoder(TrafficCall)


async def asked_beside(module: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """What a process says that opens the lake, which a worker does not.

    Raises
    ------
    ProblemError
        500, where it said nothing.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    said, _ = await process.communicate(as_json(told))
    if not said:
        raise ProblemError(500, "the lake could not be asked; the server's log says why.")
    answer: dict[str, Any] = msgspec.json.decode(said)
    return answer


@dataclass
class Routes:
    """The answers to all routes of a server.

    Parameters
    ----------
    server : Server
        Gets the routes.
    records : callable
        By use case, turns raw records into what is asked.
    """

    server: Server
    records: Mapping[str, Records]

    def __post_init__(self) -> None:
        self.predicting = {
            name: Predicting(name, self.server.limits, records)
            for name, records in self.records.items()
        }
        add = self.server.add
        for name in self.predicting:
            v1, model = f"/v1/{name}", f"/v2/models/{name}"
            add("POST", f"{v1}/predict", Route("predict", self.predict, PREDICT, True), name)
            add("GET", f"{v1}/customers/", Route("customer", self.customer, EXPLAIN, True), name)
            add("POST", f"{v1}/what-if", Route("what-if", self.what_if, EXPLAIN, True), name)
            add("POST", f"{v1}/invocations", self._invocations(), name)
            add("GET", model, Route("v2-metadata", self.v2_model, PREDICT), name)
            add("GET", f"{model}/ready", Route("v2-ready", self.v2_model_ready), name)
            add("POST", f"{model}/infer", Route("v2-infer", self.v2_infer, PREDICT, True), name)
            versions = f"{model}/versions/"
            add("GET", versions, Route("v2-metadata", self.v2_version, PREDICT), name)
            add("POST", versions, Route("v2-infer", self.v2_version_infer, PREDICT, True), name)
        add("POST", "/invocations", self._invocations())
        add("GET", "/ping", Route("ping", self.ping))
        add("GET", "/version", Route("version", self.version))
        add("GET", "/livez", Route("livez", self.livez))
        add("GET", "/readyz", Route("readyz", self.readyz))
        add("GET", "/metrics", Route("metrics", self.metrics))
        add("GET", "/v2", Route("v2-server", self.v2_server))
        add("GET", "/v2/health/live", Route("v2-live", self.livez))
        add("GET", "/v2/health/ready", Route("v2-health", self.readyz))
        add("GET", "/v1/admin/loaded", Route("loaded", self.loaded, ADMIN))
        add("POST", "/v1/admin/reload", Route("reload", self.reload, ADMIN))
        for name in self.predicting:
            traffic = f"/v1/admin/{name}/traffic"
            add("GET", traffic, Route("traffic", self.traffic, ADMIN), name)
            add("POST", traffic, Route("traffic", self.change_traffic, ADMIN), name)

    def _invocations(self) -> Route:
        role = PREDICT if self.server.settings.protect_invocations else None
        return Route("invocations", self.invocations, role, True)

    async def predict(self, call: Call) -> Answer:
        """Score customers by key, record or inputs."""
        live, predicting = self.server.live(call.use_case), self.predicting[call.use_case]
        asked, most = predicting.asked_of(live, await self.server.body(call), call.caller)
        scored, at = predicting.scored(live, asked, most), moment()
        predictions = [prediction_of(one, live, most, at) for one in scored if not one.shadow]
        return Answer(as_json({"request_id": call.request_id, "predictions": predictions}), scored)

    async def customer(self, call: Call) -> Answer:
        """Score a customer by the key in the path."""
        live, predicting = self.server.live(call.use_case), self.predicting[call.use_case]
        names = live.champion.bundle.manifest.keys
        if len(call.path) != len(names):
            raise ProblemError(HTTPStatus.NOT_FOUND, f"a key is {'/'.join(names)}.")
        asked = predicting.by_key(live, call.path)
        if asked is None:
            raise ProblemError(HTTPStatus.NOT_FOUND, f"{call.use_case}: no customer has this key.")
        scored = predicting.scored(live, [asked], MOST_REASONS)
        prediction = prediction_of(scored[0], live, MOST_REASONS, moment())
        return Answer(as_json({"request_id": call.request_id, **prediction}), scored)

    async def what_if(self, call: Call) -> Answer:
        """Score a customer as it is and as it might be."""
        live, predicting = self.server.live(call.use_case), self.predicting[call.use_case]
        scored, answer = WhatIf(predicting, live).answer(await self.server.body(call))
        return Answer(as_json({"request_id": call.request_id, **answer}), scored)

    async def invocations(self, call: Call) -> Answer:
        """Score rows as MLflow's scoring server does: a probability each."""
        call.use_case = call.use_case or self.server.default_use_case
        live, body = self.server.live(call.use_case), await self.server.body(call)
        manifest = live.champion.bundle.manifest
        numeric = frozenset(name for name, kind in manifest.inputs.items() if kind == "number")
        asked = self._inputs(live, rows_of(body, call.media_type, numeric), "[{}]")
        scored = self.predicting[call.use_case].scored(live, asked)
        answered = [one.score for one in scored if not one.shadow]
        return Answer(as_json({"predictions": answered}), scored)

    def _inputs(self, live: Live, rows: Sequence[Mapping[str, Any]], place: str) -> list[Asked]:
        """Rows of inputs, all of which must be right."""
        self.server.limits.require_rows(len(rows))
        if not rows:
            raise refused([Fault("", "", "names nobody")])
        reader, faults, asked = live.champion.reader, [], []
        for i, given in enumerate(rows):
            row, wrong = reader.convert(given)
            faults += [Fault(f"{place.format(i)}.{one.field}", one.kind, one.rule) for one in wrong]
            asked.append(Asked(INPUTS, row))
        if faults:
            raise refused(faults)
        return asked

    async def ping(self, call: Call) -> Answer:
        """Whether the default use case is answered, as SageMaker asks."""
        self.server.live(self.server.default_use_case)
        return Answer(b"\n", media_type=b"text/plain")

    async def version(self, call: Call) -> Answer:
        """Versions: of MLflow, of this package, and of the model that answers."""
        use_case = self.server.default_use_case
        place = self.server.places.get(use_case)
        live = None if place is None else place.live
        manifest = None if live is None else live.champion.bundle.manifest
        return Answer(
            as_json(
                {
                    "mlflow": version("mlflow"),
                    "churn_assets": version("churn-assets"),
                    "use_case": use_case,
                    "model_version": None if manifest is None else manifest.version,
                    "semantic_version": None if manifest is None else manifest.semantic_version,
                }
            )
        )

    async def livez(self, call: Call) -> Answer:
        """Whether the process answers at all."""
        return Answer(as_json({"live": True}))

    async def readyz(self, call: Call) -> Answer:
        """Whether each use case that has a Champion is loaded, with what is in the way."""
        use_cases = {name: self._readiness(name) for name in self.server.places}
        waits = [
            name
            for name, one in use_cases.items()
            if one["has_champion"] and one["model_version"] is None
        ]
        # Where nothing was looked up yet, nobody knows who has a Champion.
        unknown = all(place.plan is None for place in self.server.places.values())
        is_ready = not waits and not unknown and not self.server.is_ending
        return Answer(
            as_json({"ready": is_ready, "use_cases": use_cases}),
            status=HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE,
        )

    def _readiness(self, use_case: str) -> dict[str, Any]:
        place = self.server.places[use_case]
        plan, live = place.plan, place.live
        snapshot = None if live is None else live.snapshot
        age = None if snapshot is None else snapshot.age_seconds
        return {
            "has_champion": plan is not None and plan.champion is not None,
            "model_version": None if live is None else live.champion.version,
            "path": None if live is None else live.champion.bundle.manifest.path,
            "trouble": place.trouble or (None if plan is None else plan.trouble),
            "trouble_since": None if plan is None else plan.trouble_since,
            "features_version": None if snapshot is None else snapshot.features_version,
            "features_age_seconds": age,
            "features_are_stale": live is not None
            and live.is_stale(self.server.settings.features_hours),
        }

    async def metrics(self, call: Call) -> Answer:
        """What Prometheus scrapes."""
        metrics = self.server.metrics
        for name in self.server.places:
            readiness = self._readiness(name)
            if readiness["features_age_seconds"] is not None:
                metrics.features_age.labels(name).set(readiness["features_age_seconds"])
        return Answer(metrics.exposed(), media_type=MEDIA_TYPE)

    async def loaded(self, call: Call) -> Answer:
        """What is loaded of each use case, and what was before."""
        return Answer(
            as_json(
                {
                    name: {
                        **self._readiness(name),
                        "models": [
                            {
                                "variant": one.variant,
                                "model_version": one.version,
                                "semantic_version": one.bundle.manifest.semantic_version,
                                "path": one.bundle.manifest.path,
                                "why": one.bundle.manifest.why,
                            }
                            for one in (place.live.served if place.live else ())
                        ],
                        "before": [
                            one.version for one in (place.before.served if place.before else ())
                        ],
                    }
                    for name, place in self.server.places.items()
                }
            )
        )

    async def reload(self, call: Call) -> Answer:
        """Let records, registry and features be looked at now."""
        Path(self.server.settings.folder, RELOAD).touch()
        return Answer(as_json({"reload": True}), status=HTTPStatus.ACCEPTED)

    async def traffic(self, call: Call) -> Answer:
        """Who answers, by the record that is in force."""
        live = self.server.live(call.use_case)
        share = None if live.traffic is None else live.traffic.share(time.time())
        return Answer(as_json({"traffic": live.plan.traffic, "challengers_share": share}))

    async def change_traffic(self, call: Call) -> Answer:
        """Put a change of who answers on record, with who asks and why."""
        asked: TrafficCall = decoded(_traffic, await self.server.body(call))
        wish = {
            name: value
            for name, value in msgspec.structs.asdict(asked).items()
            if name != "why" and value is not None
        }
        by = call.caller.name or "this machine"
        told = {"use_case": call.use_case, "wish": wish, "by": by, "why": asked.why}
        answer = await asked_beside("churn_assets.serving.admin", told)
        if "detail" in answer:
            raise ProblemError(HTTPStatus.CONFLICT, answer["detail"])
        Path(self.server.settings.folder, RELOAD).touch()
        return Answer(as_json(answer))

    async def v2_server(self, call: Call) -> Answer:
        """What this server is."""
        return Answer(
            as_json({"name": "churn_assets", "version": version("churn-assets"), "extensions": []})
        )

    async def v2_model(self, call: Call) -> Answer:
        """What a model takes and gives."""
        manifest = self.server.live(call.use_case).champion.bundle.manifest
        return Answer(
            as_json(
                open_inference.model_metadata(
                    call.use_case, manifest.version, manifest.path, manifest.inputs
                )
            )
        )

    async def v2_model_ready(self, call: Call) -> Answer:
        """Whether a model answers."""
        self.server.live(call.use_case)
        return Answer(as_json({"name": call.use_case, "ready": True}))

    async def v2_infer(self, call: Call) -> Answer:
        """Score a tensor for each input."""
        live = self.server.live(call.use_case)
        if b"inference-header-content-length" in call.headers:
            raise ProblemError(
                HTTPStatus.BAD_REQUEST,
                "tensors are taken as JSON, not as binary data: set `binary_data` to false.",
            )
        asked_for = open_inference.request_of(await self.server.body(call))
        manifest = live.champion.bundle.manifest
        asked = self._inputs(
            live, open_inference.rows_of(asked_for, manifest.inputs), "customer {}"
        )
        scored = self.predicting[call.use_case].scored(live, asked)
        at = moment()
        answers = [prediction_of(one, live, 0, at) for one in scored if not one.shadow]
        response = open_inference.response_to(asked_for, call.use_case, manifest.version, answers)
        return Answer(as_json(response), scored)

    async def v2_version(self, call: Call) -> Answer:
        """What a version takes and gives, and whether it is ready."""
        return await (
            self.v2_model_ready(call) if self._version(call) == ("ready",) else self.v2_model(call)
        )

    async def v2_version_infer(self, call: Call) -> Answer:
        """Score with a version, which must be the one that is served."""
        if self._version(call) != ("infer",):
            raise ProblemError(HTTPStatus.NOT_FOUND, "there is nothing at this address.")
        return await self.v2_infer(call)

    def _version(self, call: Call) -> tuple[str, ...]:
        """What is asked of the version that is served."""
        manifest = self.server.live(call.use_case).champion.bundle.manifest
        if call.path[0] != str(manifest.version):
            raise ProblemError(
                HTTPStatus.NOT_FOUND,
                f"{call.use_case}: version {manifest.version} is served, and no other.",
            )
        return call.path[1:]
