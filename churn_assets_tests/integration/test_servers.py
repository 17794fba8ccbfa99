"""The whole path on services of other people: an MLflow server, an S3-compatible store."""

import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from churn_assets.tables.engines.engine import ConflictError
from churn_assets_tests.conftest import S3
from churn_assets_tests.support.processes import background, free_ports
from churn_assets_tests.support.project import Project, customers

READY_SECONDS = 90


@pytest.fixture(scope="module")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A tracking server with a database and artifacts of its own."""
    folder = tmp_path_factory.mktemp("mlflow-server")
    (port,) = free_ports(1)
    command = [
        *("mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
        *("--backend-store-uri", f"sqlite:///{folder / 'server.db'}", "--workers", "1"),
        *("--artifacts-destination", str(folder / "artifacts"), "--serve-artifacts"),
    ]
    address = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=2).close()
        except OSError:
            return False
        return True

    with background(command, {}, folder / "log") as server:
        server.wait_until(ready, READY_SECONDS, "answering")
        yield address


def test_the_whole_path_works_with_an_mlflow_server(
    new_project: Callable[..., Project], mlflow_server: str
) -> None:
    project = new_project(mlflow={"tracking_uri": mlflow_server})

    first = project.run(project.write())
    before = {name: state.version for name, state in project.states().items()}
    second = project.run()

    assert first.success, first.error
    assert second.success, second.error
    assert {name: state.version for name, state in project.states().items()} == before
    champion = project.registry.by_alias("champion")
    assert champion is not None
    assert set(project.rows("predictions")["model_version"]) == {champion.version}
    link = first.metadata("model")["mlflow_run"].value
    assert link.startswith(f"{mlflow_server}/#/experiments/")
    assert link.endswith(champion.run_id)


@pytest.fixture(scope="module")
def on_s3(new_project: Callable[..., Project], s3: S3) -> Project:
    """A project whose lake and source lie in buckets, after one run."""
    source = f"{s3.bucket('crm')}/customers.csv"
    s3.client.put_object(Bucket="crm", Key="customers.csv", Body=customers().write_csv())
    options = dict(s3.storage_options)
    project = new_project(
        lake=f"{s3.bucket('lake')}/churn",
        storage_options=options,
        sources={"telco_churn": {"uri": source, "storage_options": options}},
    )
    run = project.run()
    assert run.success, run.error
    return project


def test_lake_and_source_may_lie_on_s3(on_s3: Project) -> None:
    before = {name: state.version for name, state in on_s3.states().items()}

    again = on_s3.run()

    assert again.success, again.error
    assert {name: state.version for name, state in on_s3.states().items()} == before
    assert on_s3.state("predictions").uri == "s3://lake/churn/telco_churn/predictions"
    assert set(on_s3.rows("raw")["source_uri"]) == {"s3://crm/customers.csv"}
    assert not list(on_s3.folder.rglob("_delta_log"))


def test_of_two_promotions_on_s3_one_wins(on_s3: Project) -> None:
    champion = on_s3.table("champion")
    state = champion.require()
    row = champion.scan().head(1)
    champion.append(row, "one", base=state.version, transaction="promotion")

    with pytest.raises(ConflictError):
        champion.append(row, "other", base=state.version, transaction="promotion")

    assert champion.require().data_version == "one"


def test_credentials_are_kept_nowhere(on_s3: Project, s3: S3) -> None:
    secret = s3.storage_options["aws_secret_access_key"].encode()
    name = s3.storage_options["aws_access_key_id"].encode()

    objects = s3.client.list_objects_v2(Bucket="lake")["Contents"]
    contents = [
        s3.client.get_object(Bucket="lake", Key=entry["Key"])["Body"].read() for entry in objects
    ]
    contents += [path.read_bytes() for path in Path(on_s3.folder).rglob("*") if path.is_file()]

    assert len(contents) > len(objects)
    assert not any(secret in content or name in content for content in contents)


def test_parquet_and_delta_on_s3_are_sources(project: Project, s3: S3, tmp_path: Path) -> None:
    bucket = s3.bucket("typed")
    options = dict(s3.storage_options)
    frame = customers(300).with_columns(pl.col("tenure", "SeniorCitizen").cast(pl.Int64))
    frame.write_parquet(tmp_path / "customers.parquet")
    s3.client.upload_file(str(tmp_path / "customers.parquet"), "typed", "customers.parquet")
    frame.write_delta(f"{bucket}/table", storage_options=options)

    for source in ("customers.parquet", "table"):
        sources = {"telco_churn": {"uri": f"{bucket}/{source}", "storage_options": options}}
        run = project.run(tables="raw silver rejects", sources=sources)

        assert run.success, run.error
        assert project.state("silver").rows == len(frame)
        assert project.rows("raw").schema["tenure"] == pl.Int64
