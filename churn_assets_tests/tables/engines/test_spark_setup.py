"""What a Spark session starts with, and what is said where it cannot start."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from churn_assets.tables.engines.spark_setup import DELTA_ARTIFACTS, DELTA_VERSION, configuration
from churn_assets_tests.support.processes import churn, free_ports
from churn_assets_tests.support.spark_cluster import environ_of, on_spark

JARS = [f"{artifact}-{DELTA_VERSION}.jar" for artifact in DELTA_ARTIFACTS]


@pytest.fixture
def jars(spark_settings: Mapping[str, Any]) -> str:
    """The folder of Delta's jars."""
    return str(spark_settings["spark_jars"])


def refusal(root: Path, spark: Mapping[str, str], **environ: str) -> str:
    """The one line of a run that is refused before it writes anything."""
    with pytest.MonkeyPatch.context() as outside:
        for name in ("JAVA_HOME", "SPARK_REMOTE"):
            outside.delenv(name, raising=False)
        run = churn("run", environ={**environ_of(root, spark), **environ})

    assert run.returncode == 1, run.stdout
    (line,) = run.stderr.splitlines()
    assert not list(root.glob("lake/*/*/*"))
    return line


@pytest.mark.parametrize(("key", "scheme"), [("spark.master", "spark"), ("spark.remote", "sc")])
def test_an_address_where_no_spark_answers_is_refused(
    key: str, scheme: str, tmp_path: Path, jars: str
) -> None:
    (port,) = free_ports(1)
    address = f"{scheme}://127.0.0.1:{port}"

    line = refusal(tmp_path, {key: address}, CHURN_SPARK_JARS=jars)

    assert f"{address}: no Spark answers there." in line
    assert f"correct {key} under `spark` in the settings." in line


def test_without_java_the_one_to_install_is_named(tmp_path: Path, jars: str) -> None:
    line = refusal(tmp_path, {}, CHURN_SPARK_JARS=jars, PATH=str(tmp_path))

    assert "Spark needs Java, and there is none on the PATH. Install a JDK of version 17" in line
    assert "or set CHURN_ENGINE to polars." in line


@pytest.mark.parametrize(
    ("java", "found"),
    [
        ("echo 'openjdk version \"11.0.2\" 2019-01-15' >&2", "is Java 11."),
        ("echo 'java version \"1.8.0_392\"' >&2", "is Java 8."),
        ("echo hello", "does not say which version it is."),
        (None, "cannot be run."),
    ],
)
def test_a_java_that_spark_does_not_run_on_is_refused(
    java: str | None, found: str, tmp_path: Path, jars: str
) -> None:
    program = tmp_path / "jdk" / "bin" / "java"
    program.parent.mkdir(parents=True)
    if java is not None:
        program.write_text(f"#!/bin/sh\n{java}\n")
        program.chmod(0o755)

    line = refusal(tmp_path / "root", {}, CHURN_SPARK_JARS=jars, JAVA_HOME=str(program.parents[1]))

    assert f"{program} {found} Install a JDK of version 17 or newer" in line


def test_a_folder_that_lacks_a_jar_of_delta_is_refused(tmp_path: Path, jars: str) -> None:
    folder = tmp_path / "jars"
    folder.mkdir()
    for name in JARS[1:]:
        (folder / name).symlink_to(Path(jars, name))

    line = refusal(tmp_path / "root", {}, CHURN_SPARK_JARS=str(folder))

    assert f"{folder}: Delta's jars are not all there. Download them: put {JARS[0]}" in line
    assert "into a folder and set CHURN_SPARK_JARS to it." in line


def test_jars_that_cannot_be_resolved_are_named_with_what_to_do(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    settings = tmp_path / "ivysettings.xml"
    settings.write_text(
        f"""<ivysettings>
          <settings defaultResolver="nowhere"/>
          <resolvers>
            <ibiblio name="nowhere" m2compatible="true" root="http://127.0.0.1:{port}/"/>
          </resolvers>
        </ivysettings>"""
    )
    root = tmp_path / "root"

    line = refusal(root, {"spark.jars.ivySettings": str(settings)})

    assert f"io.delta:{JARS[0].split('-4')[0]}" in line
    assert "could not be resolved from Maven (" in line
    assert "Check the network, name a mirror in spark: {spark.jars.repositories: ...}" in line
    assert "set CHURN_SPARK_JARS to it." in line
    assert not (root / "jars").exists()


def test_a_session_starts_on_the_jars_that_were_resolved_for_it(tmp_path: Path, jars: str) -> None:
    root, settings = tmp_path / "root", tmp_path / "ivysettings.xml"
    settings.write_text(
        f"""<ivysettings>
          <settings defaultResolver="here"/>
          <resolvers>
            <filesystem name="here">
              <ivy pattern="{tmp_path}/[module].xml"/>
              <artifact pattern="{jars}/[artifact]-[revision].jar"/>
            </filesystem>
          </resolvers>
        </ivysettings>"""
    )
    needed = "".join(
        f'<dependency org="io.delta" name="{name}" rev="{DELTA_VERSION}"/>'
        for name in DELTA_ARTIFACTS[1:]
    )
    Path(tmp_path, f"{DELTA_ARTIFACTS[0]}.xml").write_text(
        f"""<ivy-module version="2.0">
          <info organisation="io.delta" module="{DELTA_ARTIFACTS[0]}" revision="{DELTA_VERSION}"/>
          <dependencies>{needed}</dependencies>
        </ivy-module>"""
    )
    environ = environ_of(
        root, {"spark.master": "local[2]", "spark.jars.ivySettings": str(settings)}
    )

    started = on_spark("round_trip", str(tmp_path / "table"), environ=environ)

    assert started.returncode == 0, started.stderr
    assert started.stdout.splitlines()[-1] == "[{'who': 'first'}]"
    assert sorted(jar.name for jar in (root / "jars").iterdir()) == sorted(JARS)


def test_a_session_of_this_machine_takes_what_is_given_before_any_default(tmp_path: Path) -> None:
    given = {"spark.driver.memory": "1g", "spark.jars": "mine.jar", "spark.sql.ansi.enabled": "no"}

    whole = configuration(given, tmp_path)

    assert whole["spark.master"] == "local[*]"
    assert whole["spark.driver.memory"] == "1g"
    assert whole["spark.sql.ansi.enabled"] == "no"
    assert whole["spark.jars"].split(",") == ["mine.jar", *(f"{tmp_path}/{jar}" for jar in JARS)]
    assert whole["spark.driver.host"] == "127.0.0.1"


def test_a_session_on_a_cluster_keeps_sparks_own_place_and_size_of_the_driver(
    tmp_path: Path,
) -> None:
    whole = configuration({"spark.master": "spark://host:7077"}, tmp_path)

    assert whole["spark.master"] == "spark://host:7077"
    assert whole["spark.sql.extensions"] == "io.delta.sql.DeltaSparkSessionExtension"
    assert not {"spark.driver.host", "spark.driver.memory", "spark.ui.enabled"} & set(whole)


def test_a_connect_server_is_sent_only_what_a_session_may_set(tmp_path: Path) -> None:
    whole = configuration({"spark.remote": "sc://host"}, tmp_path)

    assert whole["spark.remote"] == "sc://host"
    assert whole["spark.sql.session.timeZone"] == "UTC"
    assert not {"spark.master", "spark.jars", "spark.sql.extensions", "spark.app.name"} & set(whole)


def test_a_connect_server_named_by_sparks_own_variable_is_heeded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_REMOTE", "sc://host")

    assert "spark.master" not in configuration({}, tmp_path)
