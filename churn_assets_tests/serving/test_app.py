"""A running server: answers as batch does, refuses what batch would, and keeps all it said."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from churn_assets_tests.serving.conftest import ORIGIN, Served
from churn_assets_tests.support.processes import CHECKOUT, background
from churn_assets_tests.support.project import Project
from churn_assets_tests.support.serving.running import Answered, serving

PREDICT = "/v1/telco_churn/predict"
OF_THE_CALL = ["scored_at", "semantic_version", "variant"]
CALL_ROWS = 500


def inputs(served: Served) -> list[dict[str, Any]]:
    """Each customer's inputs, by key."""
    case = served.project.use_case
    return served.rows("features").select(case.inputs).to_dicts()


def asked(served: Served, customers: list[dict[str, Any]], **more: Any) -> pl.DataFrame:
    """What the server says of many customers."""
    found: list[dict[str, Any]] = []
    for begin in range(0, len(customers), CALL_ROWS):
        answer = served.server.predict(*customers[begin : begin + CALL_ROWS], **more)
        assert answer.status == 200, answer.body[:2000]
        found += answer.json["predictions"]
    return pl.DataFrame(found, infer_schema_length=None)


def assert_alike(online: pl.Series, batch: pl.Series) -> None:
    """Equal, but for the last decimal of a score, which the order of a sum may turn over."""
    if online.name == "churn_probability":
        assert (online - batch).abs().max() <= 1.001e-12
    else:
        assert online.to_list() == batch.to_list(), online.name


def test_every_customer_is_answered_by_key_as_in_the_batch_table(served: Served) -> None:
    batch = served.rows("predictions")

    keys = [{"key": {"customer_id": key}} for key in batch["customer_id"]]
    online = asked(served, keys, reasons=3)

    same = [name for name in batch.columns if name not in OF_THE_CALL]
    assert set(same) <= set(online.columns)
    for name in same:
        assert_alike(online[name], batch[name])


def test_every_customer_is_answered_by_inputs_as_in_the_batch_table(served: Served) -> None:
    batch = served.rows("predictions")

    online = asked(served, [{"inputs": one} for one in inputs(served)], reasons=3)

    for name in ("churn_probability", "decision", "risk_band", "expected_value", "reason_1"):
        assert_alike(online[name], batch[name])


def test_a_link_by_key_says_the_same(served: Served) -> None:
    row = served.rows("predictions").row(3, named=True)

    answer = served.server.ask(f"/v1/telco_churn/customers/{row['customer_id']}")

    assert answer.status == 200
    assert answer.json["churn_probability"] == pytest.approx(row["churn_probability"], abs=1e-11)
    assert answer.json["reason_1"] == row["reason_1"]
    assert answer.json["rank"] == row["rank"]


def test_what_if_tells_both_scores_and_what_moved(served: Served) -> None:
    row = served.rows("predictions").filter(pl.col("churn_probability") > 0.5).row(0, named=True)
    call = {"key": {"customer_id": row["customer_id"]}, "changes": {"contract": "Two year"}}

    answer = served.server.ask("/v1/telco_churn/what-if", call)

    assert answer.status == 200, answer.body
    assert answer.json["before"]["churn_probability"] == pytest.approx(row["churn_probability"])
    assert answer.json["after"]["churn_probability"] < row["churn_probability"]
    assert "contract" in [one["input"] for one in answer.json["moved"]]


REFUSED: dict[str, tuple[Any, int, str]] = {
    "not JSON": (b"{", 400, ""),
    "not UTF-8": (b'{"\xff": 1}', 400, ""),
    "nobody": ({"customers": []}, 422, "customers"),
    "another field": ({"customers": [], "rows": []}, 422, ""),
    "two forms": (
        {"customers": [{"key": {"customer_id": "x"}, "record": {}}]},
        422,
        "customers[0]",
    ),
    "an unknown key": (
        {"customers": [{"key": {"customer_id": "x"}}]},
        422,
        "customers[0].key",
    ),
    "another key": ({"customers": [{"key": {"id": "x"}}]}, 422, "customers[0].key.id"),
    "reasons of two": (
        {"customers": [{"key": {"customer_id": "x"}}], "reasons": 2},
        422,
        "reasons",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_users_mistake_is_told_as_a_problem_that_names_the_field(
    served: Served, name: str
) -> None:
    body, status, field = REFUSED[name]

    answer = served.server.ask(PREDICT, body)

    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["status"] == status
    if field:
        assert any(fault["field"].startswith(field) for fault in answer.json["faults"])


WRONG_INPUTS: dict[str, dict[str, Any]] = {
    "unknown": {"favourite_colour": "red"},
    "text for a number": {"tenure_months": "twelve"},
    "negative": {"tenure_months": -1},
    "a number for text": {"contract": 3},
    "too large": {"monthly_charges": 1e400},
}


@pytest.mark.parametrize("name", WRONG_INPUTS)
def test_inputs_that_are_wrong_are_refused_by_name_and_never_shown(
    served: Served, name: str
) -> None:
    wrong = WRONG_INPUTS[name]
    (field,) = wrong

    body = json.dumps({"customers": [{"inputs": {**inputs(served)[0], **wrong}}]})
    answer = served.server.ask(PREDICT, body.replace("Infinity", "1e400").encode())

    assert answer.status in {400, 422}, answer.body
    if answer.status == 422:
        assert any(one.endswith(field) for one in answer.faults), answer.faults
    assert "twelve" not in answer.body.decode()


def test_all_faults_are_told_at_once(served: Served) -> None:
    row = inputs(served)[0]
    wrong = {**row, "tenure_months": "x", "contract": 1}

    answer = served.server.predict({"inputs": row}, {"inputs": wrong})

    assert answer.status == 422
    assert {one.rsplit(".", 1)[-1] for one in answer.faults} == {"tenure_months", "contract"}
    assert all(one.startswith("customers[1].") for one in answer.faults)


def test_a_customer_twice_in_a_call_is_refused(served: Served) -> None:
    key = {"key": {"customer_id": served.rows("predictions")["customer_id"][0]}}

    answer = served.server.predict(key, key)

    assert answer.status == 422
    assert list(answer.faults) == ["customers[1]"]


def test_a_call_that_is_too_large_is_refused_before_it_is_read(served: Served) -> None:
    rows = served.server.predict(*[{"inputs": inputs(served)[0]}] * 1001)
    body = served.server.ask(PREDICT, b" " * 10_000_001)
    deep = served.server.ask(PREDICT, b'{"customers":' + b"[" * 100_000)

    assert (rows.status, body.status) == (413, 413)
    assert deep.status in {400, 422}


def test_another_address_or_method_is_told(served: Served) -> None:
    nothing, method = served.server.ask("/v1/nobody"), served.server.ask(PREDICT)

    assert (nothing.status, method.status) == (404, 405)
    assert "POST" in method.json["detail"]


def test_mlflows_formats_are_answered_alike(served: Served) -> None:
    rows = inputs(served)[:20]
    scores = served.rows("predictions")["churn_probability"][:20].to_list()
    frame = pl.DataFrame(rows)
    split = {"columns": frame.columns, "data": [list(row) for row in frame.rows()]}
    bodies: list[dict[str, Any]] = [
        {"dataframe_split": split},
        {"dataframe_records": rows},
        {"instances": rows},
        {"inputs": frame.to_dict(as_series=False)},
    ]

    answers = [served.server.ask("/invocations", body) for body in bodies]
    csv = served.server.ask(
        "/v1/telco_churn/invocations",
        frame.write_csv().encode(),
        headers={"Content-Type": "text/csv; charset=utf-8"},
    )

    for answer in [*answers, csv]:
        assert answer.status == 200, answer.body
        assert answer.json["predictions"] == pytest.approx(scores, abs=1.001e-12)


def test_probes_metrics_and_versions_are_there(served: Served) -> None:
    served.server.predict({"inputs": inputs(served)[0]})

    probes = {name: served.server.ask(name).status for name in ("/livez", "/readyz", "/ping")}
    metrics = served.server.ask("/metrics").body.decode()
    version = served.server.ask("/version").json

    assert set(probes.values()) == {200}
    assert (
        'churn_predictions_total{form="inputs",model_version="1",semantic_version="1.0.0"'
        in metrics
    )
    assert version["model_version"] == 1
    assert version["semantic_version"] == "1.0.0"


def test_features_by_key_that_are_too_old_are_said_to_be_and_counted(served: Served) -> None:
    key = served.rows("features")["customer_id"][0]
    counter = 'churn_stale_features_answers_total{use_case="telco_churn"}'

    def counted() -> float:
        lines = served.server.ask("/metrics").body.decode().splitlines()
        return sum(float(line.split()[1]) for line in lines if line.startswith(counter))

    before = counted()
    served.server.predict({"key": {"customer_id": key}})
    served.server.predict({"inputs": inputs(served)[0]})

    assert served.server.ask("/readyz").json["use_cases"]["telco_churn"]["features_are_stale"]
    assert counted() - before == 1


def test_only_pages_of_the_sites_that_are_named_may_ask_from_a_browser(served: Served) -> None:
    def ask(origin: str, method: str) -> Answered:
        headers = {
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        }
        return served.server.ask("/version", method=method, headers=headers)

    for method in ("GET", "OPTIONS"):
        assert ask(ORIGIN, method).headers.get("access-control-allow-origin") == ORIGIN
        other = ask("https://elsewhere.example.com", method)
        assert "access-control-allow-origin" not in other.headers


def test_the_examples_that_are_documented_work_and_load_nothing_from_outside(
    served: Served,
) -> None:
    page = served.server.ask("/docs").body.decode()
    document = served.server.ask("/openapi.json").json

    tried = 0
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {})
            for media, body in content.items():
                # A made-up key is nobody's, and traffic is for who may change it.
                if "example" not in body or "made-up" in json.dumps(body["example"]):
                    continue
                if "traffic" in path:
                    continue
                example = body["example"]
                sent = example.encode() if isinstance(example, str) else example
                answer = served.server.ask(
                    path, sent, method=method.upper(), headers={"Content-Type": media}
                )
                assert answer.status == 200, (path, answer.body)
                tried += 1
    assert document["openapi"] == "3.1.0"
    assert tried >= 5
    assert "src=" not in page
    assert "http" not in page.replace("http://127.0.0.1:8000", "")


def test_no_call_that_the_description_allows_or_forbids_makes_the_server_fail(
    served: Served, tmp_path: Path
) -> None:
    command = [str(Path(sys.executable).with_name("st")), "run", "--no-color"]
    command += ["--checks", "not_a_server_error,status_code_conformance,content_type_conformance"]
    command += ["--max-examples", "15", "--phases", "examples,coverage,fuzzing", "--seed", "1"]
    # Probes may say that they are not ready; a change of traffic would be one for all tests.
    command += ["--exclude-path-regex", "readyz|ping|health|traffic"]
    command += ["--suppress-health-check", "all", f"{served.server.address}/openapi.json"]

    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False
    )

    assert done.returncode == 0, done.stdout[-6000:]


def test_answers_are_in_the_table_once_the_server_has_stopped(copied_scored: Project) -> None:
    keys = copied_scored.rows("predictions")["customer_id"].sort().to_list()[:50]
    with serving(copied_scored.folder / ".churn") as server:
        for key in keys:
            answer = server.predict({"key": {"customer_id": key}})
            assert answer.status == 200
        refused = server.predict({"key": {"customer_id": "nobody"}})

    logged = copied_scored.rows("requests")
    scored = logged.filter(pl.col("status") == 200)
    batch = copied_scored.rows("predictions").select("customer_id", "churn_probability")
    joined = scored.join(batch, on="customer_id")
    assert scored["customer_id"].sort().to_list() == keys, scored
    assert_alike(joined["churn_probability"], joined["churn_probability_right"])
    assert scored["request_id"].n_unique() == len(keys)
    (row,) = logged.filter(pl.col("status") != 200).to_dicts()
    assert row["request_id"] == refused.json["request_id"]
    assert row["refusal"] == "customers[0].key: names nobody who is known here"


def test_a_promotion_and_a_rollback_reach_a_server_within_seconds(copied_scored: Project) -> None:
    def version(answer: Answered) -> int:
        return int(answer.json["predictions"][0]["model_version"])

    key = {"key": {"customer_id": copied_scored.rows("predictions")["customer_id"][0]}}
    with serving(copied_scored.folder / ".churn") as server:
        assert version(server.predict(key)) == 1
        run = copied_scored.run(retrain=True)
        assert run.success, run.error
        until = time.monotonic() + 60
        while version(server.predict(key)) != 2:
            assert time.monotonic() < until, server.ask("/readyz").body
            time.sleep(0.2)

        run = copied_scored.run(tables="champion", config={"champion": {"rollback": True}})

        assert run.success, run.error
        while version(server.predict(key)) != 1:
            assert time.monotonic() < until + 60, server.ask("/readyz").body
            time.sleep(0.2)


def test_keys_open_what_their_roles_are_for(scored: Project) -> None:
    root = scored.folder / ".churn"
    environ = {"CHURN_ROOT": str(root)}
    keys = {}
    for role in ("predict", "explain", "admin"):
        log = scored.folder / f"key-{role}.log"
        with background(["churn", "key", f"a_{role}", "--role", role], environ, log) as made:
            assert made.wait(60) == 0, made.tail()
        keys[role] = log.read_text().split()[-1]
    row = scored.rows("features").select(scored.use_case.inputs).row(0, named=True)
    call = {"customers": [{"inputs": row}]}

    with serving(root, authentication="always") as server:

        def status(path: str, role: str | None, body: object = None) -> int:
            headers = {"Content-Type": "application/json"}
            if role is not None:
                headers["Authorization"] = f"Bearer {keys.get(role, role)}"
            return server.ask(path, body, headers=headers).status

        assert [status(PREDICT, role, call) for role in (None, "wrong", "admin", "predict")] == [
            *(401, 401, 403, 200)
        ]
        assert [status("/v1/admin/loaded", role) for role in ("predict", "admin")] == [403, 200]
        assert [status(path, None) for path in ("/ping", "/livez", "/readyz", "/metrics")] == [
            200
        ] * 4
        assert keys["predict"] not in (root / "serving" / "keys").read_text()


def test_every_record_is_answered_as_in_the_batch_table(served: Served) -> None:
    batch = served.rows("predictions")
    raw = served.project.rows("raw").sort("customerID")
    records = raw.drop("source_uri", "ingested_at").head(CALL_ROWS).to_dicts()

    online = asked(served, [{"record": one} for one in records], reasons=3)

    for name in ("customer_id", "churn_probability", "decision", "expected_value", "reason_2"):
        assert_alike(online[name], batch[name].head(CALL_ROWS))


def test_a_record_that_batch_would_reject_is_refused_by_the_same_rule(served: Served) -> None:
    raw = served.project.rows("raw").drop("source_uri", "ingested_at").to_dicts()[0]
    wrong = {**raw, "tenure": "-3", "Contract": "Weekly", "MonthlyCharges": "NaN"}

    answer = served.server.predict({"record": wrong})

    assert answer.status == 422
    assert {one.rsplit(".", 1)[-1] for one in answer.faults} == {
        *("tenure", "Contract", "MonthlyCharges")
    }
    assert "Weekly" not in answer.body.decode()


@pytest.mark.parametrize(
    "media", ["text/csv", "application/x-ndjson", "application/vnd.apache.parquet"]
)
def test_a_batch_answers_row_by_row_and_loses_none(served: Served, media: str) -> None:
    batch, features = served.rows("predictions"), served.rows("features")
    frame = features.select("customer_id", *served.project.use_case.inputs)
    wrong = pl.lit(-1).cast(frame.schema["tenure_months"])
    frame = frame.with_columns(
        tenure_months=pl.when(pl.int_range(pl.len()) == 7).then(wrong).otherwise("tenure_months")
    )
    bodies = {
        "text/csv": lambda: frame.write_csv().encode(),
        "application/x-ndjson": lambda: frame.write_ndjson().encode(),
        "application/vnd.apache.parquet": lambda: parquet(frame),
    }

    answer = served.server.ask(
        "/v1/telco_churn/batch?reasons=3",
        bodies[media](),
        headers={"Content-Type": media, "Accept": "application/x-ndjson"},
    )

    assert answer.status == 200, answer.body[:500]
    rows = [json.loads(line) for line in answer.body.splitlines()]
    assert [row["row"] for row in rows] == list(range(len(batch)))
    assert [row["row"] for row in rows if row["error"] is not None] == [7]
    assert "tenure_months" in rows[7]["error"]
    scored = [row for row in rows if row["error"] is None]
    expected = batch.filter(pl.int_range(pl.len()) != 7)
    for name in ("customer_id", "churn_probability", "decision", "reason_1"):
        assert_alike(pl.Series(name, [row[name] for row in scored]), expected[name])


def test_a_client_of_tritons_is_answered(served: Served) -> None:
    from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput

    case = served.project.use_case
    features = served.rows("features").head(30)
    client = InferenceServerClient(served.server.address.removeprefix("http://"))
    inputs_ = []
    for name in case.inputs:
        is_number = name in case.numeric
        values = features[name].to_numpy() if is_number else features[name].to_list()
        array = np.asarray(values, dtype=np.float64 if is_number else object)
        tensor = InferInput(name, [30], "FP64" if is_number else "BYTES")
        tensor.set_data_from_numpy(array, binary_data=False)
        inputs_.append(tensor)
    wanted = [InferRequestedOutput("churn_probability", binary_data=False)]

    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("telco_churn")
    answer = client.infer("telco_churn", inputs_, outputs=wanted)

    scores = served.rows("predictions")["churn_probability"].head(30)
    assert answer.as_numpy("churn_probability") == pytest.approx(scores.to_numpy(), abs=1.001e-12)
    metadata = client.get_model_metadata("telco_churn")
    assert metadata["platform"] == "churn_bundle"
    client.close()


def test_mlflows_own_client_is_answered(served: Served) -> None:
    import pandas as pd
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient

    frame = pd.DataFrame(inputs(served)[:10])
    client = ScoringServerClient("127.0.0.1", int(served.server.address.rsplit(":", 1)[1]))

    client.ping()
    answer = client.invoke(frame).get_predictions()

    scores = served.rows("predictions")["churn_probability"].head(10)
    assert answer[0].to_numpy() == pytest.approx(scores.to_numpy(), abs=1.001e-12)


def test_what_answers_has_not_imported_what_trains(scored: Project) -> None:
    program = CHECKOUT / "churn_assets_tests" / "support" / "programs" / "answering.py"
    folder = scored.folder / ".churn" / "serving"
    row = scored.rows("features").select("customer_id").row(0)[0]

    done = subprocess.run(
        [sys.executable, str(program), str(folder), row],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )

    found = json.loads(done.stdout)
    forbidden = {"dagster", "mlflow", "narwhals", "pandas", "sklearn", "lightgbm", "deltalake"}
    assert found["status"] == 200
    assert set(found["modules"]).isdisjoint(forbidden)
    assert not any(name.startswith("churn_assets.usecases") for name in found["ours"])
    assert found["megabytes"] < 150


def parquet(frame: pl.DataFrame) -> bytes:
    """A frame as a Parquet file."""
    content = io.BytesIO()
    frame.write_parquet(content)
    return content.getvalue()
