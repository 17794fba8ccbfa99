"""dagster-pyspark's session: what Dagster may show of its configuration, and what not."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import pytest

from churn_assets.assets.resources import resources
from churn_assets.assets.spark import Spark
from churn_assets.errors import EngineError
from churn_assets.settings import Settings

SECRETS = {
    "spark.hadoop.fs.s3a.secret.key": "hush",
    "spark.hadoop.fs.s3a.access.key": "hush",
    "spark.hadoop.fs.azure.account.oauth2.client.secret": "hush",
    "spark.ssl.keyStorePassword": "hush",
    "spark.remote": "sc://host:443/;use_ssl=true;token=hush",
    "spark.jars.repositories": "https://me:hush@mirror/maven",
    "spark.driver.extraJavaOptions": "-Djavax.net.ssl.trustStorePassword=hush",
}


@pytest.mark.parametrize("key", SECRETS)
def test_dagster_shows_no_credential_of_spark(key: str) -> None:
    shown = {"spark.executor.memory": "2g"}
    settings = Settings(engine="spark", spark={key: SECRETS[key], **shown})

    spark = resources(settings).spark

    assert "hush" not in f"{spark!r} {spark.spark_config} {settings!r}"
    assert shown.items() <= spark.spark_config.items()


def test_a_session_is_given_the_credentials_that_are_not_shown(
    spark_settings: Mapping[str, Any],
) -> None:
    given = {**spark_settings["spark"], "spark.test.password": "hush"}
    spark = Spark.of(Settings(**{**spark_settings, "spark": given}))

    session = spark.started()

    assert "spark.test.password" not in spark.spark_config
    assert session.conf.get("spark.test.password") == "hush"
    assert spark.started() is session


def test_without_the_extra_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "churn_assets.assets.spark", raising=False)
    monkeypatch.setitem(sys.modules, "dagster_pyspark", None)

    with pytest.raises(EngineError) as refused:
        resources(Settings(engine="spark"))

    assert str(refused.value) == (
        "engine: spark needs dagster_pyspark, which is not installed. Install the extra: "
        "pip install 'churn-assets[spark]'."
    )
