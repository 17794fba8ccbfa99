"""dagster-pyspark's session, started when something is first computed."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from dagster_pyspark import LazyPySparkResource
from dagster_pyspark.resources import spark_session_from_config
from pydantic import PrivateAttr

from churn_assets.settings import Settings
from churn_assets.tables.engines import spark_setup

# What Spark itself redacts in its own UI, by spark.redaction.regex; and credentials in addresses.
_SECRET = re.compile(r"secret|password|token|access[.]?key|://[^/\s]*@", re.IGNORECASE)


class Spark(LazyPySparkResource):
    """The session of this process, with Java and Delta's jars seen to before it starts.

    Dagster's UI shows `spark_config`, so what holds credentials is kept beside it.
    """

    _given: Mapping[str, str] = PrivateAttr(default_factory=dict)
    _secrets: Mapping[str, str] = PrivateAttr(default_factory=dict)
    _jars: Path = PrivateAttr(default=Path())
    _resolves: bool = PrivateAttr(default=False)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The session that the settings ask for."""
        given, jars = settings.spark_options, settings.spark_jars_folder
        whole = spark_setup.configuration(given, jars)
        secrets = {key: value for key, value in whole.items() if _SECRET.search(f"{key}={value}")}
        spark = cls(spark_config={k: v for k, v in whole.items() if k not in secrets})
        spark._given, spark._secrets = given, secrets
        spark._jars, spark._resolves = jars, settings.spark_jars is None
        return spark

    def started(self) -> Any:
        """The session; started if this process has none.

        Raises
        ------
        EngineError
            Where it cannot be started, saying what to install or to set.
        """
        if self._spark_session is None:
            with spark_setup.starting(self._given, self._jars, resolve=self._resolves):
                config = {**self.spark_config, **self._secrets}
                self._spark_session = spark_session_from_config(config)  # type: ignore[no-untyped-call]
        return self.spark_session
