"""The assets from the source to features."""

from collections.abc import Iterator
from dataclasses import replace

import dagster as dg
from pydantic import Field

from churn_assets.assets.table import Lineage, table
from churn_assets.settings import Settings
from churn_assets.tables.as_of import as_known_on, labels_as_known_on
from churn_assets.tables.featurise import features_code, featurise
from churn_assets.tables.ingest import ingest, ingest_holdout, ingest_labels, raw_code
from churn_assets.tables.lake import HOLDOUT, Committed, Lake
from churn_assets.tables.refine import refine, silver_code
from churn_assets.tables.sources.source import Source
from churn_assets.usecases.spec import UseCase, delta_name

READ_AGAIN = dg.RetryPolicy(max_retries=2, delay=2)
REJECTS = "A record that broke the contract, as it came, with every reason."


class SourceConfig(dg.Config):
    """How a table of a source's records is read."""

    input: str = Field(
        default="",
        description="Path or URI of the records, for this run; by default what the settings say.",
    )
    accept: bool = Field(
        default=False,
        description="Take the source as it is, once, though far less comes than the table holds.",
    )

    def of(self, source: Source) -> Source:
        """The source, with the address that this run is given."""
        return source.model_copy(update={"uri": self.input}) if self.input else source


def table_assets(case: UseCase, settings: Settings) -> list[dg.AssetsDefinition]:
    """raw, silver with rejects, and features of a use case; and labels, if they come apart."""
    source, day = settings.source(case.name), settings.as_of
    held_out = source.holdout is not None
    fresh_minutes, most_rejects = settings.freshness.raw_minutes, settings.max_reject_share

    def today(lake: Lake) -> Lake:
        return replace(lake, root=settings.present.lake_uri)

    @table(case, settings, code=raw_code(), fresh_minutes=fresh_minutes, retry_policy=READ_AGAIN)
    def raw(config: SourceConfig, lake: dg.ResourceParam[Lake]) -> Committed:
        """A source record as it came, with its file and when it was read."""
        if day is not None:
            return as_known_on(case, day, today(lake).of(case), lake.of(case))
        return ingest(case, config.of(source), lake.of(case), accept=config.accept)

    @table(case, settings, code=raw_code(), fresh_minutes=fresh_minutes, retry_policy=READ_AGAIN)
    def labels(config: SourceConfig, lake: dg.ResourceParam[Lake]) -> Committed:
        """An outcome as it came, with its file and when it was read."""
        if day is not None:
            return labels_as_known_on(case, day, today(lake).of(case), lake.of(case))
        outcomes = source
        if config.input:
            outcomes = source.model_copy(update={"labels": config.of(source.labels or source)})
        return ingest_labels(case, outcomes, lake.of(case), accept=config.accept)

    @table(case, settings, code=raw_code(), fresh_minutes=fresh_minutes, retry_policy=READ_AGAIN)
    def holdout(config: SourceConfig, lake: dg.ResourceParam[Lake]) -> Committed:
        """A record with its outcome that is never trained on, as it came."""
        assert source.holdout is not None
        tables = lake.of(case)
        return ingest_holdout(case, config.of(source.holdout), tables, accept=config.accept)

    @table(
        case,
        settings,
        code=silver_code(case),
        deps=["raw"],
        beside={"rejects": REJECTS},
        lineage=_from_source(case),
    )
    def silver(lake: dg.ResourceParam[Lake]) -> Iterator[Committed]:
        """A valid, typed, renamed and cleaned record."""
        return refine(case, lake.of(case), most_rejects)

    @table(
        case,
        settings,
        code=features_code(case),
        deps=["silver", *(["labels"] if case.labels else []), *([HOLDOUT] if held_out else [])],
        lineage=_from_silver(case),
    )
    def features(lake: dg.ResourceParam[Lake]) -> Committed:
        """Model inputs, label (null: not known yet) and split of each customer."""
        return featurise(case, lake.of(case), most_rejects)

    beside = [*([labels] if case.labels else []), *([holdout] if held_out else [])]
    return [raw, *beside, silver, features]


def _from_source(case: UseCase) -> Lineage:
    return {column.name: [("raw", delta_name(column.source))] for column in case.contract.columns}


def _from_silver(case: UseCase) -> Lineage:
    silver = {column.name for column in case.contract.columns}
    kept = (*case.keys, *case.inputs, *case.beside, *case.days)
    labels = "silver" if case.labels is None else "labels"
    hashed = dict.fromkeys((*case.group, *case.keys))
    split = hashed if case.split_by is None else (case.split_by,)
    label = case.label_contract[case.label.column]
    return {
        **{name: [("silver", name)] for name in kept if name in silver},
        "label": [(labels, label.name if labels == "silver" else delta_name(label.source))],
        "split": [("silver", name) for name in split if name in silver],
    }
