"""What is counted of tables and warned of; nothing of it stops a run, unless a setting says so."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any, NamedTuple, cast

import dagster as dg

from churn_assets.assets.shared import key, refusals
from churn_assets.errors import public_text, public_values
from churn_assets.settings import Settings
from churn_assets.tables import quality
from churn_assets.tables.health import damage_named
from churn_assets.tables.lake import HOLDOUT, Lake
from churn_assets.usecases.spec import UseCase

_ODD_LABELS = {
    "rejected": "break the contract",
    "older_than_the_record": "are older than what is known of the customer",
}


class Count(NamedTuple):
    """Whether a table is as it should be, in a line and in numbers."""

    passed: bool
    summary: str
    numbers: Mapping[str, Any]


def warning(
    case: UseCase, table: str, *, blocks: bool = False
) -> Callable[[Callable[..., Count]], dg.AssetChecksDefinition]:
    """Declare a check that warns, by a function's name and docstring; it blocks only if asked."""
    severity = dg.AssetCheckSeverity.ERROR if blocks else dg.AssetCheckSeverity.WARN

    def declare(function: Callable[..., Count]) -> dg.AssetChecksDefinition:
        @wraps(function)
        def check(**resources: Any) -> Iterator[dg.AssetCheckResult]:
            lake: Lake = resources["lake"]
            with refusals(), damage_named(lambda: lake.of(case)):
                count = function(**resources)
            summary = public_text(count.summary)
            yield dg.AssetCheckResult(
                passed=count.passed,
                description=summary,
                severity=severity,
                metadata=public_values(dict(count.numbers)),
            )
            if blocks and not count.passed:
                # Before Dagster ends the step by a trace of its own.
                raise dg.Failure(summary, allow_retries=False)

        declared = dg.asset_check(
            asset=key(case, table),
            name=function.__name__,
            description=inspect.getdoc(function),
            blocking=blocks,
        )
        # Dagster takes a generator as well, and does not say so.
        return declared(cast("Any", check))

    return declare


def table_checks(case: UseCase, settings: Settings) -> list[dg.AssetChecksDefinition]:
    """What is counted and warned of; copies stop a run where `copies` is set to block."""

    @warning(case, "raw")
    def expected_columns(lake: dg.ResourceParam[Lake]) -> Count:
        """The source has the contract's columns, the label and no others."""
        details = lake.of(case)["raw"].require().details
        extra, unlabelled = details["extra_columns"], details["missing_label"]
        faults = [f"the contract does not name {', '.join(extra)}"] if extra else []
        if unlabelled:
            label = case.label_contract[case.label.column].source
            faults.append(f"column '{label}' is missing, so no customer has a label")
        numbers = {"extra_columns": extra, "missing_label": unlabelled}
        return Count(not faults, "; ".join(faults) or "all there, and no others", numbers)

    @warning(case, "raw")
    def same_schema(lake: dg.ResourceParam[Lake]) -> Count:
        """Columns and types are those of the version before."""
        changes = quality.schema_changes(lake.of(case)["raw"])
        return Count(not changes, "; ".join(changes) or "no change", {"changes": changes})

    @warning(case, "rejects")
    def rejected_records(lake: dg.ResourceParam[Lake]) -> Count:
        """How many records break the contract, and which rules."""
        tables = lake.of(case)
        rejects, raw = tables["rejects"].require(), tables["raw"].require()
        share = rejects.rows / raw.rows if raw.rows else 0.0
        summary = f"{rejects.rows:,} of {raw.rows:,} records ({share:.1%})"
        numbers = {
            "rejected": rejects.rows,
            "share": share,
            "greatest_share": settings.max_reject_share,
            "rules": rejects.details.get("rules", {}),
        }
        return Count(share <= settings.max_reject_share, summary, numbers)

    @warning(case, "silver")
    def outliers(lake: dg.ResourceParam[Lake]) -> Count:
        """Values beyond Tukey's outer fences, or called odd; they are kept."""
        silver = lake.of(case)["silver"]
        counts = quality.outliers(silver.scan(), case, silver.engine)
        summary = ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)
        numbers = {"outliers": counts, "fence_interquartile_ranges": quality.FENCE}
        return Count(not summary, summary or "none", numbers)

    @warning(case, "features")
    def split_balance(lake: dg.ResourceParam[Lake]) -> Count:
        """The splits have one share of positive labels, but for chance."""
        features = lake.of(case)["features"]
        counts = quality.split_counts(features.scan(), features.engine)
        chance = quality.split_balance(counts)
        summary = quality.balance_in_words(counts, chance)
        return Count(chance >= quality.CHANCE, summary, {"p_value": chance, "splits": counts})

    blocks = settings.copies == "block"

    @warning(case, "features", blocks=blocks)
    def no_copies_across_the_split(lake: dg.ResourceParam[Lake]) -> Count:
        """No more rows of validation and test are copies of trained ones than chance gives."""
        details = lake.of(case)["features"].require().details
        passed, summary = quality.copies_across_the_split(details, blocks=blocks)
        return Count(passed, summary, {**details["copies"], "not_judged": details["not_judged"]})

    @warning(case, "features")
    def label_records(lake: dg.ResourceParam[Lake]) -> Count:
        """Each label keeps its contract, and is not older than what is known."""
        counts = lake.of(case)["features"].require().details["labels"]
        odd = [f"{counts[of]:,} {words}" for of, words in _ODD_LABELS.items() if counts.get(of)]
        summary = f"{', '.join(odd) or 'none amiss'}, of {counts['records']:,} labels"
        return Count(not odd, summary, counts)

    checks = [expected_columns, same_schema, _usual_volume(case, "raw"), rejected_records, outliers]
    checks += [no_copies_across_the_split, *_known(case), *_of_model(case)]
    if case.split_by is None:
        # By time the splits differ as the times do.
        checks.append(split_balance)
    if case.labels:
        checks += [_usual_volume(case, "labels"), label_records]
    if settings.source(case.name).holdout:
        checks.append(_usual_volume(case, HOLDOUT))
    return checks


def _usual_volume(case: UseCase, table: str) -> dg.AssetChecksDefinition:
    @warning(case, table)
    def usual_volume(lake: dg.ResourceParam[Lake]) -> Count:
        """About as many records, values and customers come from the source as before."""
        details = lake.of(case)[table].require().details
        if "rows_before" not in details:
            return Count(True, "nothing to compare with was there before", {})
        before, gone = details["rows_before"], details["customers_gone"]
        accepted = details.get("accepted", {})
        changes = {**details["unusual"], **accepted}
        summary = "; ".join(changes.values()) or f"{before[-1]:,} records before, {gone:,} gone"
        numbers = {"rows_before": before, "customers_gone": gone, "accepted": accepted}
        return Count(not changes, summary, numbers)

    return usual_volume


def _of_model(case: UseCase) -> list[dg.AssetChecksDefinition]:
    """What is odd of a model, or of what was compiled of it for servers."""

    @warning(case, "model")
    def no_telling_input(lake: dg.ResourceParam[Lake]) -> Count:
        """No input alone explains most of a score that is too good to be true."""
        from churn_assets.learning.fitting.single_inputs import KEY, suspicion

        details = lake.of(case)["model"].require().details
        return Count(*suspicion(details), details.get(KEY, {}))

    @warning(case, "model")
    def bundle_equal(lake: dg.ResourceParam[Lake]) -> Count:
        """What is compiled for servers answers as the Pipeline does, which else serves, slower."""
        found = lake.of(case)["model"].require().details.get("bundle")
        if found is None:
            return Count(True, "nothing is compiled yet; a server does it at first use", {})
        summary = f"as the Pipeline on {found['rows']:,} rows, by {found['score']:.1g} at most"
        if found["path"] == "pipeline":
            summary = f"served by the Pipeline: {found['why']}"
        return Count(found["equal"], summary, found)

    return [no_telling_input, bundle_equal]


def _known(case: UseCase) -> list[dg.AssetChecksDefinition]:
    """What features must hold for a model and for the value of a contact."""

    @warning(case, "features")
    def null_inputs(lake: dg.ResourceParam[Lake]) -> Count:
        """Each model input is known of somebody in train; else it has no part in the model."""
        features = lake.of(case)["features"]
        where = quality.null_inputs(features.scan(), case, features.engine)
        summary = ", ".join(f"{name} is null {place}" for name, place in where.items())
        said = f"{summary}: no part in the model" if summary else "none"
        return Count(not where, said, {"null": where})

    @warning(case, "features")
    def known_amounts(lake: dg.ResourceParam[Lake]) -> Count:
        """Each amount of the business case is known; nobody is contacted for an unknown one."""
        features = lake.of(case)["features"]
        counts = quality.unknown_amounts(features.scan(), case, features.engine)
        summary = ", ".join(f"{name} of {count:,}" for name, count in counts.items() if count)
        said = f"not known: {summary} customers, who are not contacted" if summary else "all known"
        return Count(not summary, said, {"unknown": counts})

    has_amounts = case.business is not None and case.business.columns
    return [null_inputs, *([known_amounts] if has_amounts else [])]
