"""What a user relies on where a deployment is configured."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from churn_assets import settings as module
from churn_assets.errors import SettingsError
from churn_assets.settings import PROFILES, Settings, load_settings, project_folder, settings_file

URI = "CHURN_SOURCES__TELCO_CHURN__URI"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder without any settings yet."""
    monkeypatch.setattr(module, "_PACKAGE", tmp_path / "churn_assets")
    (tmp_path / "config").mkdir()
    return tmp_path


def given(folder: Path, text: str | bytes, profile: str = "dev") -> Path:
    """Write a profile's file."""
    file = folder / "config" / f"{profile}.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def refusal() -> str:
    """The one line that unusable settings are refused with."""
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


# What holds


def test_without_any_settings_everything_lies_below_the_project_s_folder(folder: Path) -> None:
    settings = load_settings()

    root = folder / ".churn"
    assert settings.profile == "dev"
    assert settings.lake_uri == str(root / "lake")
    assert settings.tracking_uri == f"sqlite:///{root}/mlflow.db"
    assert settings.artifacts == f"file://{root}/artifacts"
    assert settings.dagster_home == root / "dagster"
    assert settings.source("telco_churn").uri == ""
    assert settings.model_name("telco_churn") == "telco_churn"


def test_the_environment_beats_the_file_and_the_file_the_defaults(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(folder, "max_reject_share: 0.2\npreview_rows: 3\n")
    monkeypatch.setenv("CHURN_PREVIEW_ROWS", "4")

    settings = load_settings()

    assert (settings.max_reject_share, settings.preview_rows) == (0.2, 4)
    assert settings.training.sample == 1


def test_a_variable_changes_one_nested_key_and_leaves_its_neighbours_to_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(
        folder,
        "training: {sample: 0.5, seed: 1}\n"
        "sources: {telco_churn: {uri: old.csv, delimiter: ';', rename: {Id: customerID}}}\n",
    )
    monkeypatch.setenv("CHURN_TRAINING__SEED", "7")
    monkeypatch.setenv(URI, "new.csv")

    settings = load_settings()

    assert (settings.training.sample, settings.training.seed) == (0.5, 7)
    source = settings.source("telco_churn")
    assert (source.uri, source.delimiter, source.rename) == ("new.csv", ";", {"Id": "customerID"})


def test_a_variable_may_hold_json(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_SOURCES__TELCO_CHURN__RENAME", '{"Kunde Nr": "customerID"}')

    assert load_settings().source("telco_churn").rename == {"Kunde Nr": "customerID"}


def test_what_is_typed_beats_the_environment_and_leaves_it_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(URI, "of_the_environment.csv")
    monkeypatch.setenv("CHURN_SOURCES__TELCO_CHURN__DELIMITER", ";")
    before = dict(os.environ)

    settings = load_settings({"sources": {"telco_churn": {"uri": "typed.csv"}}})

    assert settings.source("telco_churn").uri == "typed.csv"
    assert settings.source("telco_churn").delimiter == ";"
    assert dict(os.environ) == before


def test_spark_takes_any_of_its_own_keys_from_the_file_and_the_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(folder, "spark: {spark.master: 'local[4]', spark.ui.enabled: true, spark.cores.max: 8}\n")
    monkeypatch.setenv("CHURN_SPARK", '{"spark.master": "yarn"}')

    assert load_settings().spark_options == {
        "spark.master": "yarn",
        "spark.ui.enabled": "true",
        "spark.cores.max": "8",
    }


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", ".churn/jars"),
        ("root: elsewhere\n", "elsewhere/jars"),
        ("spark_jars: ../shared/jars\n", "../shared/jars"),
    ],
)
def test_delta_s_jars_lie_below_the_root_or_where_the_settings_say(
    text: str, place: str, folder: Path
) -> None:
    given(folder, text)

    assert load_settings().spark_jars_folder == folder / place


def test_an_experiment_beats_the_file_and_the_environment_beats_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(folder, "experiment: x.yaml\ntraining: {seed: 1, folds: 3}\ngates: {rule: improve}\n")
    (folder / "x.yaml").write_text(
        "candidates: [lightgbm]\nfolds: 4\ntuning: {trials: 9}\ngates: {floors: {f1: 0.5}}\n"
    )
    monkeypatch.setenv("CHURN_TRAINING__TUNING__TRIALS", "2")

    settings = load_settings()

    assert settings.training.candidates is not None
    assert [one.name for one in settings.training.candidates] == ["lightgbm"]
    assert (settings.training.seed, settings.training.folds) == (1, 4)
    assert settings.training.tuning.trials == 2
    assert (settings.gates.rule, settings.gates.floors) == ("improve", {"f1": 0.5})
    # What the profile asks for is not the experiment's own.
    assert settings.experiment_gates == {"floors": {"f1": 0.5}}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "experiment: there is no file "),
        ("trials: 3\n", "x.yaml: trials: there is no such setting."),
        ("gates: {floor: {}}\n", "x.yaml: floor: there is no such setting. Did you mean floors?"),
        ("candidates: []\n", "x.yaml: candidates: Tuple should have at least 1 item"),
        ("folds: [\n", "x.yaml: line 2 is not YAML"),
    ],
)
def test_a_fault_of_an_experiment_is_one_line_that_names_its_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, says: str
) -> None:
    if text is not None:
        (folder / "x.yaml").write_text(text)
    monkeypatch.setenv("CHURN_EXPERIMENT", "x.yaml")

    assert says in refusal()


@pytest.mark.parametrize("file", sorted((project_folder() / "experiments").glob("*.yaml")))
def test_the_experiments_that_come_with_the_project_can_be_chosen(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURN_EXPERIMENT", str(file))

    assert load_settings().training.tuning.trials > 0


def test_an_empty_file_and_a_missing_one_leave_the_defaults(folder: Path) -> None:
    missing = load_settings()
    given(folder, "# nothing yet\n")

    assert load_settings() == missing


def test_without_a_checkout_the_project_is_where_the_command_runs(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (folder / "config").rmdir()
    monkeypatch.chdir(elsewhere)

    assert project_folder() == elsewhere
    assert load_settings().root_folder == elsewhere / ".churn"


@pytest.mark.parametrize(
    ("lake", "uri"),
    [("s3://bucket/lake", "s3://bucket/lake"), ("/data/lake", "/data/lake"), ("lake", "{}/lake")],
)
def test_a_lake_is_a_uri_or_a_path_that_starts_at_the_project_s_folder(
    lake: str, uri: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURN_LAKE", lake)

    assert load_settings().lake_uri == uri.format(folder)


def test_a_tracking_server_knows_where_it_keeps_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURN_MLFLOW__TRACKING_URI", "http://mlflow:5000")

    settings = load_settings()

    assert settings.tracking_uri == "http://mlflow:5000"
    assert settings.artifacts is None


# The profiles that come with the project


@pytest.fixture(params=PROFILES)
def profile(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("CHURN_PROFILE", request.param)
    settings = load_settings()
    assert settings.profile == request.param
    assert settings_file(request.param).exists()
    return settings


def test_no_two_profiles_share_a_place_or_a_registered_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = []
    for name in PROFILES:
        monkeypatch.setenv("CHURN_PROFILE", name)
        settings = load_settings()
        kept += [
            settings.root_folder,
            settings.lake_uri,
            settings.tracking_uri,
            settings.artifacts,
            settings.dagster_home,
            settings.model_name("telco_churn"),
        ]

    assert len(set(kept)) == 6 * len(PROFILES)


def test_only_staging_trains_on_a_sample(profile: Settings) -> None:
    assert (profile.training.sample < 1) == (profile.profile == "staging")


def test_only_prod_shows_no_records(profile: Settings) -> None:
    assert (profile.preview_rows == 0) == (profile.profile == "prod")


# What is refused


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("engin: polars\n", ": engin: there is no such setting. Did you mean engine?"),
        (
            "training: {sampel: 0.5}\n",
            ": training.sampel: there is no such setting. Did you mean sample?",
        ),
        (
            "sources: {telco_churn: {url: x.csv}}\n",
            ": sources.telco_churn.url: there is no such setting. Did you mean uri?",
        ),
        (
            "sources: {telco_churn: {labels: {url: x.csv}}}\n",
            ": sources.telco_churn.labels.url: there is no such setting. Did you mean uri?",
        ),
        (
            "sources: {telco_churn: {volume: {row: 0.1}}}\n",
            ": sources.telco_churn.volume.row: there is no such setting. Did you mean rows?",
        ),
        ("nonsense: 1\n", ": nonsense: there is no such setting. Known are as_of, catalog,"),
        (
            "max_reject_share: many\n",
            ": max_reject_share: Input should be a valid number, unable to parse string as a "
            "number (found 'many').",
        ),
        ("max_reject_share: 5\n", ": max_reject_share: Input should be less than or equal to 1"),
        ("engine: duck\n", ": engine: Input should be 'polars' or 'spark' (found 'duck')."),
        (
            "spark: {master: yarn}\n",
            ": spark: 'master' is not a key of Spark's; they start with 'spark.'.",
        ),
        ("spark: {spark.jars: [a, b]}\n", ": spark: 'spark.jars' must be one value, with commas"),
        ("training: 3\n", ": training: Input should be a valid dictionary"),
        ("root: ''\n", ": root: String should have at least 1 character"),
        (
            "mlflow: {model_name: '{usecase}'}\n",
            ": mlflow.model_name: may hold {use_case} and no other braces.",
        ),
        (
            "tables: {feature: x}\n",
            ": tables: there is no table 'feature'. Did you mean features?",
        ),
        ("tables: {features: silver}\n", ": tables: 'silver' is the name of features and of ano"),
        ("tables: {features: a-b}\n", ": tables: 'a-b' is not made of letters, digits and under"),
        (
            "catalog: main.churn\n",
            ": catalog: a catalog is Spark's, so it takes engine: spark (found 'main.churn').",
        ),
        ("engine: spark\ncatalog: a.b.c\n", ": catalog: must be a schema, or a catalog and a sc"),
        (
            "sources: {telco_churn: {delimiter: '::'}}\n",
            ": sources.telco_churn.delimiter: must be one ASCII character",
        ),
        ("serving: {steps: [0.5, 0.1, 1]}\n", ": serving.steps: must rise from step to step."),
        ("serving: {steps: [0.1, 0.5]}\n", ": serving.steps: must end with 1, everyone,"),
        (
            "serving: {rollout: slowly}\n",
            ": serving.rollout: Input should be 'at_once' or 'ramp'.",
        ),
        ("serving: {guard: {alpha: 0}}\n", ": serving.guard.alpha: Input should be greater than 0"),
        (
            "serving: {guard: {error: 0}}\n",
            ": serving.guard.error: there is no such setting. Did you mean errors?",
        ),
        ("engine: polars\n  root: x\n", ": line 2 is not YAML: mapping values are not allowed"),
        ("root: [1\n", ": line 2 is not YAML: "),
        ("- engine\n", ": must hold settings as `key: value`."),
        ("just text\n", ": must hold settings as `key: value`."),
        ("name: Zoë\n".encode("latin-1"), ": cannot be read: "),
        ("a: \x00\n", ": cannot be read: "),
    ],
)
def test_a_fault_of_the_file_is_one_line_that_names_file_and_key(
    text: str | bytes, says: str, folder: Path
) -> None:
    file = given(folder, text)

    assert refusal().startswith(f"{file}{says}")


def test_two_use_cases_never_share_a_name_in_a_catalog(folder: Path) -> None:
    given(folder, "engine: spark\ncatalog: main.churn\n")
    assert refusal().startswith("catalog: main.churn.raw would be a table of booking_cancell")

    given(folder, "engine: spark\ncatalog: main.{use_case}\ntables: {features: training}\n")
    names = load_settings().table_names

    assert names.registered("telco_churn", "features") == "main.telco_churn.training"


def test_a_folder_in_place_of_the_file_is_told(folder: Path) -> None:
    (folder / "config" / "dev.yaml").mkdir()

    assert refusal().startswith(f"{folder}/config/dev.yaml: cannot be read: ")


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("CHURN_ENGIN", "x", "CHURN_ENGIN: there is no such setting. Did you mean CHURN_ENGINE?"),
        (
            "churn_profile",
            "prod",
            "churn_profile: there is no such setting. Did you mean CHURN_PROFILE?",
        ),
        (
            "CHURN_ENGINE",
            "duck",
            "CHURN_ENGINE: Input should be 'polars' or 'spark' (found 'duck').",
        ),
        ("CHURN_TRAINING__SAMPLE", "0", "CHURN_TRAINING__SAMPLE: Input should be greater than 0"),
        (
            "CHURN_MLFLOW__TRACKINGURI",
            "x",
            "CHURN_MLFLOW__TRACKINGURI: there is no such setting. Did you mean tracking_uri?",
        ),
        (
            "CHURN_SOURCES",
            '{"telco_churn": {"url": "x"}}',
            "CHURN_SOURCES: telco_churn.url: there is no such setting. Did you mean uri?",
        ),
        ("CHURN_SOURCES", "{bad", "CHURN_SOURCES: its value must be JSON."),
        (
            "CHURN_SOURCES__TELCO_CHURN__RENAME",
            "a=b",
            "CHURN_SOURCES__TELCO_CHURN__RENAME: its value must be JSON.",
        ),
        (
            "CHURN_SOURCES__TELKO_CHURN__URI",
            "x",
            "sources.telko_churn: there is no use case 'telko_churn'. Did you mean telco_churn?",
        ),
        ("CHURN_PROFILE", "qa", "CHURN_PROFILE: 'qa' is not a profile; it is one of dev, staging,"),
        ("CHURN_PROFILE", "", "CHURN_PROFILE: '' is not a profile"),
        ("CHURN_ROOT", "", "CHURN_ROOT: String should have at least 1 character"),
    ],
)
def test_a_fault_of_the_environment_is_one_line_that_names_the_variable(
    variable: str, value: str, says: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(folder, "preview_rows: 2\n")
    monkeypatch.setenv(variable, value)

    assert refusal().startswith(says)


# Secrets


SECRET = "hidden-7f3a"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CHURN_STORAGE_OPTIONS", f'{{"aws_secret_access_key": "{SECRET}"'),
        ("CHURN_STORAGE_OPTIONS", f'{{"aws_secret_access_key": ["{SECRET}"]}}'),
        ("CHURN_SOURCES__TELCO_CHURN__STORAGE_OPTIONS", f'["{SECRET}"]'),
        ("CHURN_SOURCES__TELCO_CHURN", f"https://me:{SECRET}@host/x.csv"),
        ("CHURN_SOURCES", f'{{"telco_churn": {{"uri": ["https://me:{SECRET}@host"]}}}}'),
        ("CHURN_SPARK", f'{{"spark.hadoop.fs.s3a.secret.key": ["{SECRET}"]}}'),
        ("CHURN_MLFLOW", f'{{"tracking_uri": ["http://me:{SECRET}@host"]}}'),
    ],
)
def test_a_refusal_shows_no_secret(
    variable: str, value: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)

    said = refusal()

    assert SECRET not in said
    assert variable in said


def test_settings_that_are_printed_show_no_secret_and_hand_it_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(
        folder,
        f"storage_options: {{aws_secret_access_key: {SECRET}}}\n"
        f"spark: {{spark.hadoop.fs.s3a.secret.key: {SECRET}}}\n"
        f"mlflow: {{tracking_uri: 'http://me:{SECRET}@mlflow:5000'}}\n"
        f"sources: {{telco_churn: {{uri: 'https://me:{SECRET}@host/x.csv?sig={SECRET}'}}}}\n",
    )
    monkeypatch.setenv(
        "CHURN_SOURCES__TELCO_CHURN__STORAGE_OPTIONS", f'{{"azure_storage_sas_key": "{SECRET}"}}'
    )

    settings = load_settings()

    assert SECRET not in f"{settings!r} {settings}"
    assert settings.lake_options == {"aws_secret_access_key": SECRET}
    assert settings.source("telco_churn").options == {"azure_storage_sas_key": SECRET}
    assert settings.spark_options == {"spark.hadoop.fs.s3a.secret.key": SECRET}
    assert settings.tracking_uri == f"http://me:{SECRET}@mlflow:5000"
