"""A bundle is plain data that is refused where it is not what was registered."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from churn_assets.errors import BundleError
from churn_assets.learning.compiling.bundle import Bundle, load
from churn_assets.learning.compiling.compile import Compiled
from churn_assets.learning.compiling.format import write
from churn_assets.learning.storing.files import StoredFiles
from churn_assets_tests.support.project import USE_CASE
from churn_assets_tests.support.serving.bundles import compiled, loaded


@pytest.fixture(scope="module")
def one(fit: Callable[..., Any]) -> Compiled:
    return compiled(fit("blend"))


@pytest.fixture
def folder(one: Compiled, tmp_path: Path) -> Path:
    write(tmp_path / "bundle", one.files)
    return tmp_path / "bundle"


@pytest.fixture
def bundle(one: Compiled, tmp_path: Path) -> Bundle:
    return loaded(one, tmp_path / "bundle")


def change(folder: Path, **values: Any) -> None:
    """Write other values into a manifest."""
    file = folder / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def refusal(folder: Path, digest: str | None = None) -> str:
    with pytest.raises(BundleError) as refused:
        load(folder, digest)
    message = str(refused.value)
    assert "\n" not in message
    return message


def test_it_says_what_it_is(bundle: Bundle) -> None:
    manifest = bundle.manifest

    assert (manifest.use_case, manifest.model_name, manifest.version) == ("telco_churn", "telco", 3)
    assert (manifest.semantic_version, manifest.threshold) == ("1.2.0", 0.31)
    assert tuple(manifest.inputs) == USE_CASE.inputs
    assert (manifest.numeric, manifest.categorical) == (USE_CASE.numeric, USE_CASE.categorical)
    assert (manifest.path, manifest.currency) == ("compiled", "USD")
    assert manifest.keys == ("customer_id",)
    assert set(manifest.made_with) == {"churn-assets", "lightgbm", "numpy"}


def test_it_is_plain_data(one: Compiled) -> None:
    assert {Path(name).suffix for name in one.files} == {".json", ".txt", ".npy"}
    assert not [name for name, content in one.files.items() if b"pickle" in content]


def test_its_schemas_say_what_may_be_asked(bundle: Bundle) -> None:
    inputs = bundle.manifest.schemas["inputs"]["properties"]
    record = bundle.manifest.schemas["record"]["properties"]

    assert inputs["tenure_months"]["type"] == "integer"
    assert inputs["tenure_months"]["minimum"] == 0
    assert inputs["contract"]["enum"] == ["Month-to-month", "One year", "Two year"]
    # What cleaning gives it is not what the source has.
    assert inputs["senior_citizen"]["type"] == ["string", "null"]
    assert inputs["avg_price_increase_usd"]["type"] == ["number", "null"]
    assert record["TotalCharges"]["type"] == ["number", "string", "null"]
    assert record["SeniorCitizen"]["enum"] == [0, 1, "0", "1"]
    (example,) = bundle.manifest.schemas["inputs"]["examples"]
    assert 0 <= bundle.score(example) <= 1


def test_a_score_has_its_decision_band_and_value(bundle: Bundle) -> None:
    row = bundle.manifest.golden[0].inputs

    assert [bundle.decide(score) for score in (0.30999, 0.31)] == [False, True]
    assert [bundle.band(score) for score in (0.0, 0.3, 0.6)] == ["low", "medium", "high"]
    assert bundle.value(0.5, {"monthly_charges_usd": 100.0}) == 142.5
    assert bundle.value(0.5, {**row, "monthly_charges_usd": None}) is None
    assert bundle.value(0.5, {**row, "monthly_charges_usd": float("inf")}) is None
    assert bundle.value(0.5, {}) is None


def test_one_by_one_and_all_at_once_are_the_same(bundle: Bundle) -> None:
    rows = [golden.inputs for golden in bundle.manifest.golden]
    columns = {name: [row[name] for row in rows] for name in USE_CASE.inputs}

    assert bundle.scores(columns).tolist() == [bundle.score(row) for row in rows]
    assert bundle.reasons_of(columns) == [bundle.reasons(row) for row in rows]
    assert [bundle.answer(row) for row in rows] == [
        (bundle.score(row), bundle.reasons(row)) for row in rows
    ]
    assert bundle.answer(rows[0], 0) == (bundle.score(rows[0]), [])
    assert bundle.contributions_of(columns).tolist() == [
        bundle.contributions(row).tolist() for row in rows
    ]


def test_of_nobody_nothing_is_scored(bundle: Bundle) -> None:
    columns: dict[str, list[Any]] = {name: [] for name in USE_CASE.inputs}

    assert bundle.scores(columns).shape == (0,)
    assert bundle.reasons_of(columns) == []


def test_a_row_without_an_input_is_refused(bundle: Bundle) -> None:
    row = {**bundle.manifest.golden[0].inputs}
    del row["contract"]

    with pytest.raises(KeyError, match="contract"):
        bundle.score(row)


def test_a_changed_file_is_refused(one: Compiled, folder: Path) -> None:
    digest = StoredFiles(one.files).digest
    for name in one.files:
        file = folder / name
        content = file.read_bytes()
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

        assert "are not those that were registered" in refusal(folder, digest)
        file.write_bytes(content)
    (folder / "more.txt").touch()
    assert "are not those that were registered" in refusal(folder, digest)
    (folder / "more.txt").unlink()
    assert load(folder, digest)


def test_a_format_that_is_not_known_is_refused(folder: Path) -> None:
    change(folder, format=2, anything={"new": 1})

    assert "has format 2, and this version of Churn Assets knows format 1. Update" in refusal(
        folder
    )


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"format": "1"}', b'{"format": 1}', b"\xff"], ids=repr
)
def test_a_manifest_that_is_none_is_refused(folder: Path, content: bytes) -> None:
    (folder / "manifest.json").write_bytes(content)

    assert "manifest.json cannot be read" in refusal(folder)


def test_a_folder_without_a_bundle_is_refused(tmp_path: Path) -> None:
    assert "there is no bundle" in refusal(tmp_path / "nothing")
    assert "there is no bundle" in refusal(tmp_path)


def test_a_bundle_that_answers_otherwise_than_it_did_is_refused(
    folder: Path, one: Compiled
) -> None:
    plain = msgspec.to_builtins(one.manifest.golden)
    wrong = {
        "score": ("score", plain[1]["score"] + 2e-12),
        "decision": ("decision", not plain[1]["decision"]),
        "band": ("risk band", "none"),
        "value": ("value", 1.0),
        "reasons": ("reasons", ["weather: fine", None, None]),
    }
    for name, (called, value) in wrong.items():
        change(folder, golden=[plain[0], {**plain[1], name: value}])

        message = refusal(folder)

        assert (
            f"made-up customer 1 is not answered as when the model was compiled: its {called}"
            in (message)
        )
        assert "lightgbm 4." in message


def test_trees_that_are_cut_off_are_refused(folder: Path) -> None:
    (trees,) = folder.glob("trees-*.txt")
    trees.write_bytes(trees.read_bytes()[:300])

    assert "LightGBM cannot evaluate the bundle's trees" in refusal(folder)


def test_a_library_that_is_not_installed_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from churn_assets.learning.compiling.libraries import found, lightgbm

    lightgbm._libraries.cache_clear()
    monkeypatch.setattr(found.importlib.util, "find_spec", lambda _: None)

    assert "needs lightgbm, and its library lib_lightgbm is not installed here" in refusal(folder)
