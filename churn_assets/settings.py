"""Typed settings: defaults < config/<profile>.yaml < environment variables."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import SettingsError as UnreadableVariable

from churn_assets.errors import SettingsError, public_uri
from churn_assets.learning.judging.rules import GateSettings
from churn_assets.learning.recipe import TrainingSettings
from churn_assets.learning.workplace import MODEL_TABLES, SERVED_TABLES
from churn_assets.tables.lake import RECORD_TABLES, TableNames
from churn_assets.tables.refine import MAX_REJECT_SHARE
from churn_assets.tables.sources.source import Source

if TYPE_CHECKING:
    from churn_assets.usecases.spec import UseCase

PREFIX = "CHURN_"
PROFILES = ("dev", "staging", "prod")
_NOT_SETTINGS = {"CHURN_TEST_DATA"}
_PACKAGE = Path(__file__).parent
_TABLES = (*RECORD_TABLES, *MODEL_TABLES, *SERVED_TABLES)
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def project_folder() -> Path:
    """Where `config/` lies and relative locations start: the checkout, or else this folder."""
    checkout = _PACKAGE.parent
    return checkout if (checkout / "config").is_dir() else Path.cwd()


def project_address(place: str) -> str:
    """A URI as it is, and a path as one that starts at the project's folder."""
    return place if "://" in place else str((project_folder() / place).absolute())


def settings_file(profile: str) -> Path:
    """The file that holds a profile's settings."""
    return project_folder() / "config" / f"{profile}.yaml"


class MlflowSettings(BaseModel):
    """Where MLflow keeps runs and models.

    Parameters
    ----------
    tracking_uri : str, optional
        A tracking server or database; `<root>/mlflow.db` by default.
    artifacts : str, optional
        Where a new experiment keeps files; `<root>/artifacts` by default, and what the
        server says where `tracking_uri` is set.
    model_name : str
        Name of the registered model; may hold ``{use_case}``.
    registry_uri : str, optional
        Where models are registered, if not in the tracking store.
    experiment : str, optional
        Name of the experiment, which may hold ``{use_case}``; the model's by default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tracking_uri: str | None = None
    artifacts: str | None = None
    model_name: str = "{use_case}"
    registry_uri: str | None = None
    experiment: str | None = None

    @field_validator("model_name", "experiment")
    @classmethod
    def _only_the_use_case(cls, model_name: str | None) -> str | None:
        if model_name is not None and not _of_use_case(model_name).strip():
            raise ValueError("must not be blank")
        return model_name

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Show the settings, but no password of the tracking server."""
        for name, value in super().__repr_args__():
            yield name, public_uri(value) if isinstance(value, str) else value


def _of_use_case(name: str) -> str:
    """A name that may hold ``{use_case}``, as one of them has it."""
    try:
        return name.format(use_case="x")
    except (LookupError, ValueError):
        raise ValueError("may hold {use_case} and no other braces") from None


class FreshnessSettings(BaseModel):
    """After how many minutes a table is stale, which makes the daemon refresh it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    raw_minutes: float = Field(default=24 * 60, ge=1)
    predictions_minutes: float = Field(default=24 * 60, ge=1)

    def minutes(self, table: str) -> float | None:
        """Those of a table; None of one that follows what it is made from."""
        return {"raw": self.raw_minutes, "predictions": self.predictions_minutes}.get(table)


Margin = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(gt=0, le=1)]
Origin = Annotated[str, Field(pattern=r"^https?://[^/\s*]+$")]


class GuardSettings(BaseModel):
    """What a Challenger may differ by from the Champion before the guard takes it back.

    Parameters
    ----------
    alpha : float
        Greatest chance that a whole ramp of an equal model is taken back.
    latency_ms : float
        From which an answer is slow.
    errors, latency : float
        Share of the customers with a failed call, and with a slow answer, above the Champion's.
    score, decisions : float
        Mean score and share of positive decisions, above or below the Champion's: a better model
        differs too.
    brier : float
        Brier score above the Champion's, of customers whose outcome is known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    alpha: float = Field(default=0.05, gt=0, le=0.5)
    latency_ms: float = Field(default=50.0, gt=0)
    errors: Margin = 0.005
    latency: Margin = 0.02
    score: Margin = 0.05
    decisions: Margin = 0.1
    brier: Margin = 0.02

    @property
    def margins(self) -> dict[str, float]:
        """Each margin by what it is of."""
        return self.model_dump(exclude={"alpha", "latency_ms"})


class ServingSettings(BaseModel):
    """How single predictions are answered.

    Parameters
    ----------
    rollout : {"at_once", "ramp"}
        How a new Champion takes over.
    steps : tuple of float
        Shares of the customers that a ramp goes through, ascending, in (0, 1].
    step_seconds : float
        How long each lasts.
    guard : GuardSettings
        What ends a ramp, a canary or an A/B test by itself.
    host, port
        Where `churn serve` listens.
    default_use_case : str, optional
        What the routes speak for that name none; by default the only one with a Champion.
    authentication : {"auto", "always", "never"}
        Where an API key is asked for: of calls from elsewhere, of all, or of none.
    keys_file : str, optional
        File of the API keys, hashed; `<root>/serving/keys` by default.
    protect_invocations : bool
        Whether `/invocations` asks for a key where other routes do.
    body_bytes, rows : int
        Most bytes of a body, and customers in a call.
    seconds : float
        That a body may take to come.
    concurrent : int
        Calls at once.
    per_second : float
        Calls of an API key.
    features_hours : float
        Age from which features by key are too old, as `/readyz` and a metric say.
    log_seconds : float
        After which an answer is in the table `requests` at the latest.
    log_sync_ms : int
        Milliseconds of answers that power loss costs at most.
    log_full : {"refuse", "answer"}
        What follows where the log cannot be written, as on a full disk.
    log_keep_days : int, optional
        How long `requests` keeps an answer; for ever by default.
    tls_certificate, tls_key : str, optional
        Files, where the server itself speaks TLS.
    origins : tuple of str
        Other sites whose pages may ask from a browser, such as https://crm.example.com; none by
        default.
    features_uri : str, optional
        Folder of an object store that features by key are put into as well, from where each server
        fetches them; may hold ``{use_case}``, and gets a folder for each where it does not. The
        lake's `storage_options` are its keys.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rollout: Literal["at_once", "ramp"] = "at_once"
    steps: tuple[Share, ...] = Field(default=(0.01, 0.1, 0.5, 1.0), min_length=1)
    step_seconds: float = Field(default=600.0, gt=0, allow_inf_nan=False)
    guard: GuardSettings = GuardSettings()
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    default_use_case: str | None = None
    authentication: Literal["auto", "always", "never"] = "auto"
    keys_file: str | None = None
    protect_invocations: bool = True
    body_bytes: int = Field(default=10_000_000, ge=1000)
    rows: int = Field(default=1000, ge=1)
    seconds: float = Field(default=30.0, gt=0)
    concurrent: int = Field(default=256, ge=1)
    per_second: float = Field(default=2000.0, ge=1)
    features_hours: float = Field(default=48.0, gt=0)
    log_seconds: float = Field(default=10.0, ge=1)
    log_sync_ms: int = Field(default=100, ge=1)
    log_full: Literal["refuse", "answer"] = "refuse"
    log_keep_days: int | None = Field(default=None, ge=1)
    tls_certificate: str | None = None
    tls_key: str | None = None
    origins: tuple[Origin, ...] = ()
    features_uri: str | None = None

    @field_validator("steps")
    @classmethod
    def _ascending(cls, steps: tuple[float, ...]) -> tuple[float, ...]:
        if list(steps) != sorted(set(steps)):
            raise ValueError("must rise from step to step")
        if steps[-1] != 1:
            raise ValueError("must end with 1, everyone, which a new Champion is to answer")
        return steps

    @field_validator("features_uri")
    @classmethod
    def _an_address(cls, uri: str | None) -> str | None:
        if uri is None:
            return None
        if "://" not in _of_use_case(uri):
            raise ValueError("must be the address of a folder in an object store, such as s3://...")
        return uri

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Show the settings, but no password of an address."""
        for name, value in super().__repr_args__():
            yield name, public_uri(value) if isinstance(value, str) else value


class Settings(BaseSettings):
    """All settings of a deployment.

    Parameters
    ----------
    profile : {"dev", "staging", "prod"}
        Which file of `config/` applies.
    root : str
        Folder of everything local; relative to the project's folder.
    lake : str, optional
        Folder or URI of the tables; `<root>/lake` by default.
    storage_options : mapping of str to secret
        Keys of the lake's object store.
    tables : mapping of str to str
        Other names of tables, which may hold ``{use_case}``: of their folders, and in a catalog.
    engine : {"polars", "spark"}
        What reads, transforms and writes tables: in this process, or wherever `spark` says.
    catalog : str, optional
        Schema that Spark registers the tables in by their names, with its catalog where it has one,
        such as ``main.{use_case}``; nowhere by default.
    spark : mapping of str to secret
        Spark's own configuration: `spark.master`, `spark.remote`, or any other of its keys.
    spark_jars : str, optional
        Folder of Delta's jars; by default they are resolved once, to `<root>/jars`.
    as_of : date, optional
        A past day: the run sees what was known then, and writes beside today's tables, models and
        history, below `<root>/as_of/<day>`.
    use_cases : mapping of str to bool
        Which are declared; all are, but those that are set to false.
    sources : mapping of str to Source
        Where each use case's records come from.
    max_reject_share : float
        Greatest share of rejected records with which silver is replaced.
    copies : {"warn", "block"}
        What follows where more rows of validation and test are copies of trained ones than chance
        gives: a warning, or the end of the run before anything is trained.
    preview_rows : int
        How many records the metadata of a table shows; 0 shows none.
    contacts : mapping of str to int
        How many customers of a use case can be contacted at most.
    experiment : str, optional
        YAML file of training settings and gates, which beats the profile's file.
    training, gates, mlflow, freshness, serving
        As their types say.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    profile: Literal["dev", "staging", "prod"] = "dev"
    root: str = Field(default=".churn", min_length=1)
    lake: str | None = Field(default=None, min_length=1)
    storage_options: dict[str, SecretStr] = {}
    tables: dict[str, str] = {}
    engine: Literal["polars", "spark"] = "polars"
    catalog: str | None = None
    spark: dict[str, SecretStr] = {}
    spark_jars: str | None = Field(default=None, min_length=1)
    as_of: date | None = None
    use_cases: dict[str, bool] = {}
    sources: dict[str, Source] = {}
    max_reject_share: float = Field(default=MAX_REJECT_SHARE, ge=0, le=1)
    copies: Literal["warn", "block"] = "warn"
    preview_rows: int = Field(default=5, ge=0, le=50)
    contacts: dict[str, Annotated[int, Field(ge=0)]] = {}
    experiment: str | None = Field(default=None, min_length=1)
    training: TrainingSettings = TrainingSettings()
    gates: GateSettings = GateSettings()
    mlflow: MlflowSettings = MlflowSettings()
    freshness: FreshnessSettings = FreshnessSettings()
    serving: ServingSettings = ServingSettings()

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Show the settings, but no password of an address."""
        for name, value in super().__repr_args__():
            yield name, public_uri(value) if isinstance(value, str) else value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is given counts; `load_settings` gives what the environment says."""
        return (init_settings,)

    @property
    def root_folder(self) -> Path:
        """Absolute folder of everything local."""
        return self._beside((project_folder() / self.root).absolute())

    @property
    def lake_uri(self) -> str:
        """Absolute folder or URI of the tables."""
        if self.lake is None:
            return str(self.root_folder / "lake")
        if "://" not in self.lake:
            return str(self._beside((project_folder() / self.lake).absolute()))
        return self.lake if self.as_of is None else f"{self.lake.rstrip('/')}/as_of/{self.as_of}"

    @property
    def table_names(self) -> TableNames:
        """What tables are called; what was known on a past day is in no catalog."""
        return TableNames(self.tables, "" if self.as_of else self.catalog or "")

    @property
    def present(self) -> Settings:
        """The same settings of today."""
        return self.model_copy(update={"as_of": None})

    def _beside(self, folder: Path) -> Path:
        return folder if self.as_of is None else folder / "as_of" / str(self.as_of)

    @field_validator("tables")
    @classmethod
    def _tables_of_their_own(cls, names: dict[str, str]) -> dict[str, str]:
        for table, name in names.items():
            if table not in _TABLES:
                raise ValueError(f"there is no table '{table}'.{_hint(table, set(_TABLES))}")
            if not _IDENTIFIER.fullmatch(_of_use_case(name)):
                raise ValueError(f"'{name}' is not made of letters, digits and underscores")
        called = [names.get(table, table) for table in _TABLES]
        for table, name in names.items():
            if called.count(name) > 1:
                raise ValueError(f"'{name}' is the name of {table} and of another table")
        return names

    @field_validator("catalog")
    @classmethod
    def _a_schema_of_spark(cls, catalog: str | None, given: ValidationInfo) -> str | None:
        if catalog is None:
            return None
        if given.data.get("engine") == "polars":
            raise ValueError("a catalog is Spark's, so it takes engine: spark")
        parts = _of_use_case(catalog).split(".")
        if len(parts) > 2 or not all(map(_IDENTIFIER.fullmatch, parts)):  # noqa: PLR2004
            raise ValueError("must be a schema, or a catalog and a schema with a point between")
        return catalog

    @field_validator("spark", mode="before")
    @classmethod
    def _spark_keys(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        for key, value in given.items():
            if not str(key).startswith("spark."):
                raise ValueError(f"'{key}' is not a key of Spark's; they start with 'spark.'")
            if not isinstance(value, (str, int, float, SecretStr)):
                raise ValueError(f"'{key}' must be one value, with commas where it is a list")
        return {key: _as_text(value) for key, value in given.items()}

    @property
    def lake_options(self) -> dict[str, str] | None:
        """Keys of the lake's object store, to be handed on and not shown."""
        return {k: v.get_secret_value() for k, v in self.storage_options.items()} or None

    @property
    def spark_options(self) -> dict[str, str]:
        """Spark's configuration, to be handed on and not shown."""
        return {key: value.get_secret_value() for key, value in self.spark.items()}

    @property
    def spark_jars_folder(self) -> Path:
        """Absolute folder of Delta's jars."""
        if self.spark_jars is None:
            return self.present.root_folder / "jars"
        return (project_folder() / Path(self.spark_jars).expanduser()).absolute()

    @property
    def tracking_uri(self) -> str:
        """Absolute URI of MLflow's store."""
        return self.mlflow.tracking_uri or f"sqlite:///{self.root_folder / 'mlflow.db'}"

    @property
    def artifacts(self) -> str | None:
        """Where a new experiment keeps files; None leaves it to the tracking server."""
        if self.mlflow.artifacts or self.mlflow.tracking_uri:
            return self.mlflow.artifacts
        return (self.root_folder / "artifacts").as_uri()

    @property
    def experiment_gates(self) -> dict[str, Any]:
        """The gates that the experiment names, with the values that hold."""
        if self.experiment is None:
            return {}
        named = _read(_experiment_file(self.experiment)).get("gates") or {}
        return self.gates.model_dump(mode="json", include=set(named))

    @property
    def studies_folder(self) -> Path:
        """Folder of the searches, so that a training that was stopped goes on."""
        return self.root_folder / "tuning"

    @property
    def profiles_folder(self) -> Path:
        """Folder of what tables are like that use cases were begun from."""
        return self.root_folder / "profiles"

    @property
    def servers_folder(self) -> Path:
        """Folder of what servers keep and are given on this machine."""
        return self.root_folder / "serving"

    @property
    def keys_file(self) -> Path:
        """File of the API keys."""
        named = self.serving.keys_file
        return Path(named).expanduser() if named else self.servers_folder / "keys"

    def serving_folder(self, use_case: str) -> Path:
        """Folder of what a use case's servers keep and are given on this machine."""
        return self.servers_folder / use_case

    def features_address(self, use_case: str) -> str | None:
        """Folder of a use case's features by key in an object store; None where there is none."""
        uri = self.serving.features_uri
        # What was known on a past day is not what servers answer by.
        if uri is None or self.as_of is not None:
            return None
        named = uri.format(use_case=use_case)
        return named if "{use_case}" in uri else f"{named.rstrip('/')}/{use_case}"

    @property
    def dagster_home(self) -> Path:
        """Folder of Dagster's history and of its dagster.yaml."""
        return self.root_folder / "dagster"

    def source(self, use_case: str) -> Source:
        """Where a use case's records come from; its generator by default."""
        return self.sources.get(use_case, Source())

    def model_name(self, use_case: str) -> str:
        """Name of a use case's registered model."""
        return self._then(self.mlflow.model_name.format(use_case=use_case))

    def experiment_name(self, use_case: str) -> str:
        """Name of the experiment of a use case's runs."""
        name = (self.mlflow.experiment or self.mlflow.model_name).format(use_case=use_case)
        return self._then(name)

    def _then(self, name: str) -> str:
        return name if self.as_of is None else f"{name}_as_of_{self.as_of}"


def _as_text(value: Any) -> Any:
    """Spark's values are texts, and YAML's are what they look like."""
    if isinstance(value, SecretStr):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


def load_settings(options: Mapping[str, Any] | None = None, *, coming: str = "") -> Settings:
    """Read the settings of this process.

    Parameters
    ----------
    options : mapping, optional
        Settings by name, nested as they are, that beat the environment, as it beats the profile's
        file: what was typed for one command.
    coming : str
        A use case that is not there yet, and may be set already.

    Raises
    ------
    SettingsError
        In one line, where a key is unknown, a value has the wrong type, or a file cannot be read.
    """
    profile = os.environ.get(f"{PREFIX}PROFILE", "dev")
    if profile not in PROFILES:
        raise SettingsError(
            f"CHURN_PROFILE: '{profile}' is not a profile; it is one of {', '.join(PROFILES)}."
        )
    file = settings_file(profile)
    _require_known_variables(os.environ)
    try:
        environment: Mapping[str, Any] = EnvSettingsSource(Settings)()
        given = _merged(environment, options or {})
        experiment = given.get("experiment")
        of_profile = _with_experiment({**_read(file), "profile": profile}, experiment)
        settings = Settings(**_merged(of_profile, given))
    except ValidationError as error:
        raise SettingsError(_first_fault(error, file)) from None
    except UnreadableVariable as error:
        raise SettingsError(f"{_unreadable(error)}: its value must be JSON.") from None
    _require_known_use_cases(settings, coming)
    _require_own_names(settings)
    return settings


def declared_use_cases(settings: Settings) -> dict[str, UseCase]:
    """The use cases that are not switched off, by name."""
    from churn_assets.usecases import USE_CASES

    return {name: case for name, case in USE_CASES.items() if settings.use_cases.get(name, True)}


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that are nested, of which those above hold."""
    merged = dict(below)
    for name, value in above.items():
        held = merged.get(name)
        if isinstance(value, Mapping) and isinstance(held, Mapping):
            merged[name] = _merged(held, value)
        else:
            merged[name] = value
    return merged


def _with_experiment(profile: dict[str, Any], named: Any) -> dict[str, Any]:
    """The settings of a profile, with those of an experiment, by default the one that it names."""
    named = named or profile.get("experiment")
    if not isinstance(named, str):
        return profile
    file = _experiment_file(named)
    if not file.is_file():
        raise SettingsError(f"experiment: there is no file {file}.")
    training = _read(file)
    gates = training.pop("gates", {})
    models: dict[str, type[BaseModel]] = {"training": TrainingSettings, "gates": GateSettings}
    for part, content in (("training", training), ("gates", gates)):
        try:
            models[part].model_validate(content)
        except ValidationError as error:
            raise SettingsError(_first_fault(error, file, models[part])) from None
        profile = {**profile, part: {**(profile.get(part) or {}), **content}}
    return {**profile, "experiment": str(file)}


def _experiment_file(named: str) -> Path:
    return project_folder() / Path(named).expanduser()


def _read(file: Path) -> dict[str, Any]:
    if not file.exists():
        return {}
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except yaml.MarkedYAMLError as error:
        where = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise SettingsError(f"{file}:{where} is not YAML: {error.problem}.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"{file}: cannot be read: {' '.join(str(error).split())}.") from None
    if not isinstance(content, dict):
        raise SettingsError(f"{file}: must hold settings as `key: value`.")
    return content


def _require_known_variables(environ: Mapping[str, str]) -> None:
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | _NOT_SETTINGS
    for name in sorted(environ):
        # Lower case is refused too: the profile's file would be chosen without it.
        if name.upper().startswith(PREFIX) and name.split("__")[0] not in known:
            raise SettingsError(f"{name}: there is no such setting.{_hint(name.upper(), known)}")


def _require_known_use_cases(settings: Settings, coming: str) -> None:
    from churn_assets.usecases import USE_CASES

    named = [f"use_cases.{name}" for name in settings.use_cases]
    named += [f"sources.{name}" for name in settings.sources]
    named += [f"contacts.{name}" for name in settings.contacts]
    for place in named:
        name = place.partition(".")[2]
        if name not in USE_CASES and name != coming:
            raise SettingsError(
                f"{place}: there is no use case '{name}'.{_hint(name, set(USE_CASES))}"
            )


def _require_own_names(settings: Settings) -> None:
    """Refuse one name in a catalog for the tables of two use cases."""
    names = settings.table_names
    owner: dict[str, str] = {}
    for case in declared_use_cases(settings) if settings.catalog else ():
        for table in _TABLES:
            name = names.registered(case, table)
            if owner.setdefault(name, case) != case:
                raise SettingsError(
                    f"catalog: {name} would be a table of {owner[name]} and one of {case}. Put "
                    "{use_case} into `catalog` or into the name under `tables`, or switch one off "
                    "under `use_cases`."
                )


def _unreadable(error: UnreadableVariable) -> str:
    """The variables of the setting that pydantic could not parse; their values may be secret."""
    field = re.search(r'field "(\w+)"', str(error))
    setting = f"{PREFIX}{field[1].upper()}" if field else PREFIX
    given = (name for name in sorted(os.environ) if name.split("__")[0] == setting)
    return " or ".join(given) or "environment"


def _first_fault(error: ValidationError, file: Path, within: type[BaseModel] = Settings) -> str:
    fault = error.errors(include_url=False)[0]
    path = [str(part) for part in fault["loc"]]
    place = _variable(path) or f"{file}: {'.'.join(path)}"
    if fault["type"] == "extra_forbidden":
        return f"{place}: there is no such setting.{_hint(path[-1], _known_beside(path, within))}"
    # What was given there may hold a password.
    private = {"storage_options", "sources", "mlflow", "lake", "spark", "serving"} & set(path)
    found = "" if private else f" (found {fault['input']!r})"
    return f"{place}: {fault['msg'].removeprefix('Value error, ')}{found}."


def _variable(path: Sequence[str]) -> str:
    """The variable that gave the setting at a path, alone or as part of its JSON; empty if none."""
    for depth in range(len(path), 0, -1):
        name = PREFIX + "__".join(path[:depth]).upper()
        if name in os.environ:
            return ": ".join(filter(None, [name, ".".join(path[depth:])]))
    return ""


def _known_beside(path: Sequence[str], within: type[BaseModel]) -> set[str]:
    """Names of the settings that there are where a path has an unknown one."""
    model: Any = within
    for part in path[:-1]:
        is_model = hasattr(model, "model_fields")
        model = model.model_fields[part].annotation if is_model else get_args(model)[-1]
        if type(None) in get_args(model):
            (model,) = (kind for kind in get_args(model) if kind is not type(None))
    return set(model.model_fields)


def _hint(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f" Did you mean {close[0]}?" if close else f" Known are {', '.join(sorted(known))}."
