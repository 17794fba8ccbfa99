"""Features by key in an object store that speaks S3."""

from __future__ import annotations

from pathlib import Path

import pytest

from churn_assets.errors import SnapshotError
from churn_assets.serving.answering.snapshot import Snapshot, read_head
from churn_assets.serving.online_features.folder import current_of, read_current
from churn_assets.serving.online_features.remote import fetch_snapshot, publish
from churn_assets_tests.conftest import S3
from churn_assets_tests.support.serving.snapshots import snapshot_of

KEYS = [[f"C-{at}"] for at in range(300)]


def test_each_server_fetches_the_newest_and_the_last_two_stay_there(s3: S3, tmp_path: Path) -> None:
    uri, options = f"{s3.bucket('features')}/telco", s3.storage_options
    made, cache = tmp_path / "made", tmp_path / "cache"

    for version in (1, 2, 3):
        path = snapshot_of(made, KEYS[: 100 * version], version=version)
        publish(path, current_of(read_head(path)), uri, options)
        fetched = fetch_snapshot(uri, cache, options)
        assert fetched.read_bytes() == path.read_bytes()

    listed = s3.client.list_objects_v2(Bucket="features")["Contents"]
    assert {Path(one["Key"]).name.split("-")[0] for one in listed} == {"2", "3", "current.json"}
    current = read_current(cache)
    assert current is not None
    assert current.file == fetched.name
    assert Snapshot(fetched).get(["C-299"]) is not None


def test_a_bucket_that_is_not_there_is_told_in_one_line(s3: S3, tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match=r"s3://none/telco: .* could not be fetched: ") as told:
        fetch_snapshot("s3://none/telco", tmp_path, s3.storage_options)

    assert "\n" not in str(told.value)
    assert "test-secret" not in str(told.value)
