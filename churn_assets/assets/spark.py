"""dagster-pyspark's session, started when something is first computed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import dagster as dg
from dagster_pyspark import LazyPySparkResource
from dagster_pyspark.resources import spark_session_from_config

from churn_assets.settings import Settings
from churn_assets.tables.engines import spark_setup

# What Spark itself redacts in its own UI, by spark.redaction.regex; and credentials in addresses.
_SECRET = re.compile(r"secret|password|token|access[.]?key|://[^/\s]*@", re.IGNORECASE)


@dataclass
class Hidden:
    """What the UI must not show of Spark, and the session once it is started.

    Parameters
    ----------
    given : mapping of str to str
        Spark's configuration as the settings have it.
    secrets : mapping of str to str
        What of the whole of it may hold a credential.
    jars : Path
        Folder of Delta's jars.
    resolves : bool
        Whether they are resolved where they are not there.
    """

    given: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    jars: Path = Path()
    resolves: bool = False
    session: Any = None


class Spark(LazyPySparkResource):
    """The session of this process, with Java and Delta's jars seen to before it starts.

    Dagster's UI shows `spark_config`, so what holds credentials is kept beside it.
    """

    hidden: dg.ResourceDependency[Hidden]

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The session that the settings ask for."""
        given, jars = settings.spark_options, settings.spark_jars_folder
        whole = spark_setup.configuration(given, jars)
        secrets = {key: value for key, value in whole.items() if _SECRET.search(f"{key}={value}")}
        return cls(
            spark_config={k: v for k, v in whole.items() if k not in secrets},
            hidden=Hidden(given, secrets, jars, settings.spark_jars is None),
        )

    def started(self) -> Any:
        """The session; started if this process has none.

        Raises
        ------
        EngineError
            Where it cannot be started, saying what to install or to set.
        """
        hidden = self.hidden
        if hidden.session is None:
            with spark_setup.starting(hidden.given, hidden.jars, resolve=hidden.resolves):
                config = {**self.spark_config, **hidden.secrets}
                hidden.session = spark_session_from_config(config)  # type: ignore[no-untyped-call]
        return hidden.session
