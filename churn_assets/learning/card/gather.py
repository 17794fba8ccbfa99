"""The model card of a Challenger: what is known of it, gathered and kept with its MLflow run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from churn_assets.errors import public_uri
from churn_assets.learning.card import value_plots
from churn_assets.learning.card.page import (
    Card,
    Effect,
    Group,
    Part,
    Policy,
    Score,
    Stage,
    Worth,
    card,
)
from churn_assets.learning.explaining.contributions import (
    contributions,
    importance,
    partial_dependence,
)
from churn_assets.learning.fitting.challenger import flat, latest_challenger
from churn_assets.learning.metrics import (
    Z_95_ONE_SIDED,
    best_constant_f1,
    f1,
    f1_resamples,
    metrics,
    roc_auc_lower,
)
from churn_assets.learning.registry import CARD
from churn_assets.learning.value import POLICIES, best_contacts, policies
from churn_assets.usecases.spec import Amount, BusinessCase, PerCustomer

if TYPE_CHECKING:
    import pandas as pd

    from churn_assets.learning.judging.court import Judgement
    from churn_assets.learning.judging.evidence import Contender, Evidence
    from churn_assets.learning.judging.verdict import Verdict
    from churn_assets.learning.registry import Registry
    from churn_assets.learning.value import Amounts
    from churn_assets.tables.lake import Table
    from churn_assets.types import Bools, Floats
    from churn_assets.usecases.spec import UseCase


Z_95 = 1.959963984540054
RESAMPLES, FEWEST_RESAMPLES, RESAMPLED_ROWS = 500, 30, 10_000_000
"""So many resamples, or as few as that, so that no more rows are drawn in all."""
EXPLAINED_ROWS = 500
EFFECT_ROWS, EFFECT_VALUES, EFFECTS, INPUTS = 100, 12, 6, 12
"""Customers and values that an effect is found by; how many effects and inputs are shown."""
GROUPS, GROUP_ROWS = 12, 10
"""Of one column, the largest; of so few customers that one may be recognised, none."""
_FEWEST = 5
"""Rows of either outcome, without which no score is told."""


def keep_card(
    use_case: UseCase,
    tables: Mapping[str, Table],
    registry: Registry,
    judgement: Judgement,
    drawn: Mapping[str, bytes | None],
) -> str:
    """Make the card of the Challenger that was judged, and keep it with its MLflow run.

    Parameters
    ----------
    use_case, tables, registry
        Whose Challenger it is, and where.
    judgement : Judgement
        What the gates said, with the evidence.
    drawn : mapping of str to bytes or None
        The picture of each gate as PNG.

    Returns
    -------
    str
        Path of the card among the run's artifacts.

    Raises
    ------
    ValueError
        Where the judgement has no evidence.
    RegistryError
        Where MLflow cannot be reached.
    """
    if judgement.evidence is None:
        raise ValueError("a judgement without evidence has no card")
    told = gathered(use_case, tables, registry, judgement.verdicts, judgement.evidence, drawn)
    client = registry.client
    with registry.refusals():
        client.log_text(judgement.evidence.challenger.run_id, card(told), CARD)
    return CARD


def gathered(
    use_case: UseCase,
    tables: Mapping[str, Table],
    registry: Registry,
    verdicts: list[Verdict],
    evidence: Evidence,
    drawn: Mapping[str, bytes | None],
) -> Card:
    """What a card tells of the Challenger; the parameters are those of `keep_card`."""
    challenger, champion = evidence.challenger, evidence.champion
    tags = challenger.tags
    trained = latest_challenger(tables["model"], registry)
    same = trained is not None and trained.row["version"] == challenger.version
    row = trained.row if trained and same else {}
    pictures = trained.pictures if trained and same else {}
    with registry.refusals():
        logged = registry.client.get_run(challenger.run_id).data.params
    sound = measurable(evidence)
    parts = _parts(tables["features"], tags)
    groups = list(_groups(evidence, verdicts, use_case)) if sound else []
    found = Card(
        name=registry.model_name,
        version=challenger.version,
        semantic_version=tags.get("semantic_version", ""),
        description=public_uri(challenger.description),
        trained_at=row.get("trained_at"),
        made_at=datetime.now(UTC),
        verdicts=[replace(verdict, reason=public_uri(verdict.reason)) for verdict in verdicts],
        drawn=drawn,
        scores=measured(evidence.labels, challenger, champion) if sound else (),
        test_rows=len(evidence.labels),
        known_rows=evidence.known,
        champion=champion.version if champion else None,
        pictures={_plain(name): png for name, png in pictures.items()},
        groups=groups,
        worth=_worth(use_case, evidence) if sound else None,
        recipe=_recipe(challenger, row, logged),
        candidates=_losses(row),
        chosen=tags.get("recipe", ""),
        parameters=_parameters(row),
        stages=_stages(tables, tags, f"{registry.model_name} {challenger.version}"),
        parts=parts,
        lineage=_lineage(challenger),
        limits=list(_limits(use_case, evidence, groups, parts, row)),
        reproduce=_reproduce(use_case, registry, challenger),
    )
    if not len(evidence.labels):
        return found
    inputs = _some_inputs(use_case, tables["features"])
    model = registry.load(challenger.version)
    strengths = importance(contributions(model, inputs))
    shown = list(strengths)[:INPUTS]
    return replace(
        found,
        importance={use_case.called(name): strengths[name] for name in shown},
        effects=[_effect(use_case, model, inputs, name) for name in shown[:EFFECTS]],
    )


def measurable(evidence: Evidence) -> bool:
    """Whether the test rows hold enough of both outcomes, and the scores are probabilities."""
    return _both_outcomes(evidence.labels) and _probable(evidence.challenger)


def _both_outcomes(labels: Bools) -> bool:
    return min(int(labels.sum()), int((~labels).sum())) >= _FEWEST


def _probable(contender: Contender) -> bool:
    return bool(((contender.scores >= 0) & (contender.scores <= 1)).all())


def measured(labels: Bools, challenger: Contender, champion: Contender | None) -> list[Score]:
    """The metrics on test rows with their 95 % intervals, beside what guessing reaches.

    Parameters
    ----------
    labels : array of shape (n_test,)
        Whether each customer churned; some of either outcome.
    challenger, champion : Contender
        Their scores.
    """
    rate = float(labels.mean())
    entropy = -rate * np.log(rate) - (1 - rate) * np.log(1 - rate)
    found = metrics(labels, challenger.scores, challenger.threshold)
    theirs: Mapping[str, float] = {}
    if champion is not None and _probable(champion):
        theirs = metrics(labels, champion.scores, champion.threshold)
    reach = reaches(labels, challenger.scores, challenger.threshold)
    told = (
        ("roc_auc", "ROC AUC", 0.5, 1.0),
        ("f1", f"F1 at {challenger.threshold:.3f}", best_constant_f1(labels), 1.0),
        ("log_loss", "Log loss", float(entropy), 0.0),
        ("brier", "Brier score", rate * (1 - rate), 0.0),
        ("pr_auc", "PR AUC", rate, 1.0),
    )
    return [
        Score(
            name=said,
            value=found[name],
            low=max(found[name] - reach[name], 0.0),
            high=found[name] + reach[name] if perfect == 0 else min(found[name] + reach[name], 1.0),
            guess=guess,
            perfect=perfect,
            champion=theirs.get(name),
        )
        for name, said, guess, perfect in told
    ]


def reaches(labels: Bools, scores: Floats, threshold: float, seed: int = 0) -> dict[str, float]:
    """How far the 95 % interval of each metric reaches to either side.

    ROC AUC has DeLong's, means over rows that of the normal law, the others 1.96 standard
    deviations of a bootstrap of the rows.

    Parameters
    ----------
    labels : array of shape (n_rows,)
        Whether each customer churned; some of either outcome.
    scores : array of shape (n_rows,)
        Probability of churn.
    threshold : float
        Least score that is decided as churn.
    seed : int
        Of the bootstrap.
    """
    rows = len(labels)
    auc, lower = roc_auc_lower(labels, scores)
    likely = np.clip(np.where(labels, scores, 1 - scores), np.finfo(float).eps, 1)
    return {
        "roc_auc": (auc - lower) * Z_95 / Z_95_ONE_SIDED,
        "pr_auc": _pr_auc_reach(labels, scores, seed),
        "f1": _f1_reach(labels, scores >= threshold, seed),
        "log_loss": float(Z_95 * np.log(likely).std(ddof=1) / np.sqrt(rows)),
        "brier": float(Z_95 * ((scores - labels) ** 2).std(ddof=1) / np.sqrt(rows)),
    }


def _f1_reach(labels: Bools, decided: Bools, seed: int = 0) -> float:
    return float(Z_95 * f1_resamples(labels, decided, RESAMPLES, seed).std(ddof=1))


def _pr_auc_reach(labels: Bools, scores: Floats, seed: int = 0) -> float:
    rows = len(labels)
    order = np.argsort(-scores, kind="stable")
    churned = labels[order]
    # Rows of one score are ranked together.
    ends = np.append(np.flatnonzero(np.diff(scores[order])), rows - 1)
    rng = np.random.default_rng(seed)

    def drawn() -> float:
        times = np.bincount(rng.integers(rows, size=rows), minlength=rows)
        found, taken = np.cumsum(times * churned)[ends], np.cumsum(times)[ends]
        gained = np.diff(found, prepend=0)
        return float((gained * found / np.maximum(taken, 1)).sum() / max(found[-1], 1))

    resamples = int(np.clip(RESAMPLED_ROWS // rows, FEWEST_RESAMPLES, RESAMPLES))
    return float(Z_95 * np.std([drawn() for _ in range(resamples)], ddof=1))


def _groups(evidence: Evidence, verdicts: list[Verdict], use_case: UseCase) -> Iterator[Group]:
    small = {
        name
        for verdict in verdicts
        if verdict.gate == "slices"
        for name in verdict.numbers.get("not_judged", ())
    }
    labels, scores = evidence.labels, evidence.challenger.scores
    threshold = evidence.challenger.threshold
    for column, groups in evidence.slices.items():
        names, counts = np.unique(groups, return_counts=True)
        shown = min(GROUPS, int((counts >= GROUP_ROWS).sum()))
        for name in sorted(names[np.argsort(-counts, kind="stable")][:shown].tolist()):
            rows = groups == name
            told = Group(
                use_case.called(column),
                str(name),
                int(rows.sum()),
                float(labels[rows].mean()),
                float(scores[rows].mean()),
            )
            if _both_outcomes(labels[rows]) and f"{column} {name}" not in small:
                decided = scores[rows] >= threshold
                value, reach = f1(labels[rows], decided), _f1_reach(labels[rows], decided)
                told = replace(
                    told, f1=value, low=max(value - reach, 0.0), high=min(value + reach, 1.0)
                )
            yield told


_CONTACTED = {
    "nobody": "Nobody",
    "everybody": "Everybody",
    "threshold": "Score at least the threshold",
    "break-even": "Whom the model says it pays to",
    "perfect": "Whom it pays to, known beforehand",
}


def _worth(use_case: UseCase, evidence: Evidence) -> Worth | None:
    case, stake = use_case.business, evidence.stake
    if case is None or stake is None:
        return None
    labels, challenger = evidence.labels, evidence.challenger
    values = policies(labels, challenger.scores, challenger.threshold, stake)
    contacted = {
        "nobody": 0.0,
        "everybody": 1.0,
        "threshold": float((challenger.scores >= challenger.threshold).mean()),
        "break-even": float(best_contacts(challenger.scores, stake).mean()),
        "perfect": float(best_contacts(labels.astype(float), stake).mean()),
    }
    drawn = value_plots.pictures(
        labels, challenger.scores, challenger.threshold, stake, case.currency
    )
    return Worth(
        currency=case.currency,
        policies=[Policy(_CONTACTED[name], contacted[name], values[name]) for name in POLICIES],
        advised=_CONTACTED["break-even"],
        assumptions=_assumptions(use_case, case, stake),
        pictures={_plain(name): png for name, png in drawn.items()},
    )


def _assumptions(use_case: UseCase, case: BusinessCase, stake: Amounts) -> dict[str, str]:
    def amount(given: Amount, values: Floats) -> str:
        if not isinstance(given, PerCustomer):
            return f"{given:,g} {case.currency}"
        times = "" if given.times == 1 else f"{given.times:g} times "
        mean = float(values.mean()) if len(values) else 0.0
        return f"{times}{use_case.called(given.column)}; on average {mean:,.0f} {case.currency}"

    return {
        "Kept with a saved customer": amount(case.customer_value, stake.customer_value),
        "Cost of an accepted offer": amount(case.offer_cost, stake.offer_cost),
        "Cost of a contact": amount(case.contact_cost, stake.contact_cost),
        "Churners that the offer keeps": f"{case.save_rate:.0%}",
        "Others that take it": f"{case.accept_rate:.0%}",
    }


def _effect(use_case: UseCase, model: Any, inputs: pd.DataFrame, name: str) -> Effect:
    found = partial_dependence(model, inputs, name, most=EFFECT_VALUES, rows=EFFECT_ROWS)
    yes_no = set(found.values) <= {0, 1}
    values = ["yes" if value else "no" for value in found.values] if yes_no else found.values
    return Effect(use_case.called(name), values, found.scores.tolist())


def _some_inputs(use_case: UseCase, features: Table) -> pd.DataFrame:
    """Model inputs of some test rows."""
    import narwhals.stable.v2 as nw

    test = features.scan(features.require().version).filter(
        (nw.col("split") == "test") & ~nw.col("label").is_null()
    )
    some = test.select(*use_case.keys, *use_case.inputs).sort(*use_case.keys).head(EXPLAINED_ROWS)
    frame = features.engine.collect(some).to_pandas(strings_to_categorical=False)
    return frame[list(use_case.inputs)]


def _recipe(
    challenger: Contender, row: Mapping[str, Any], logged: Mapping[str, str]
) -> dict[str, str]:
    tags = challenger.tags
    rule = tags.get("threshold_rule", "")
    told = {
        "Model": _plain(tags.get("recipe", "")),
        "Threshold": f"{challenger.threshold:.4f}" + (f", {rule}" if rule else ""),
        "Calibration": tags.get("calibration", ""),
        "Configurations tried": str(row.get("trials", "")),
        "Fitted on": f"{int(logged['train_rows']):,} customers" if "train_rows" in logged else "",
        "Seed": logged.get("seed", ""),
    }
    return {name: value for name, value in told.items() if value}


def _parameters(row: Mapping[str, Any]) -> dict[str, str]:
    configured = flat(json.loads(row.get("parameters") or "{}"))
    return {name.replace("__", ": "): str(value) for name, value in configured.items()}


def _losses(row: Mapping[str, Any]) -> dict[str, float]:
    losses: dict[str, float] = json.loads(row.get("candidates") or "{}")
    return losses


def _stages(tables: Mapping[str, Table], tags: Mapping[str, str], model: str) -> list[Stage]:
    """From the source to the model, as far as the tables still are at the versions it read."""
    last = Stage(model, told="this model")
    stages: list[Stage] = []
    version = tags.get("features_version", "")
    for name, read in (("features", "silver"), ("silver", "raw"), ("raw", "")):
        state = tables[name].state()
        if state is None or str(state.version) != version:
            known = [Stage(name, int(version))] if version.isdigit() else []
            return [*known, *stages, last]
        stages.insert(0, Stage(name, state.version, f"{state.rows:,} rows"))
        version = str(state.reads.get(read, ""))
        if name == "raw" and "source_uri" in state.details:
            stages.insert(0, Stage("source", told=public_uri(str(state.details["source_uri"]))))
    return [*stages, last]


def _parts(features: Table, tags: Mapping[str, str]) -> list[Part]:
    """The customers with a known label on each side of the split, if they still are as read."""
    import narwhals.stable.v2 as nw

    version = features.require().version
    if str(version) != tags.get("features_version"):
        return []
    known = features.scan(version).filter(~nw.col("label").is_null())
    each = known.group_by("split").agg(
        nw.len().cast(nw.Int64).alias("rows"),
        nw.col("label").cast(nw.Int64).mean().alias("rate"),
    )
    found = {row["split"]: row for row in features.engine.collect(each).to_pylist()}
    return [
        Part(name, found[name]["rows"], found[name]["rate"])
        for name in ("train", "validation", "test")
        if name in found
    ]


def _lineage(challenger: Contender) -> dict[str, str]:
    tags = challenger.tags
    told = {
        "Split": tags.get("split", ""),
        "Data version of features": tags.get("features_data_version", ""),
        "Code version": tags.get("code_version", ""),
        "MLflow run": challenger.run_id,
    }
    return {name: value for name, value in told.items() if value}


def _limits(
    use_case: UseCase,
    evidence: Evidence,
    groups: list[Group],
    parts: list[Part],
    row: Mapping[str, Any],
) -> Iterator[str]:
    yield (
        "It learned from past customers. Where prices, offers or competitors change, its scores "
        "age; watch them and train again."
    )
    yield (
        "A score says who is likely to leave, not who stays because of an offer: it tells no "
        "cause and no uplift."
    )
    yield (
        "It is made to choose whom to offer something, not to refuse a service, to set a price, "
        "or to judge a person."
    )
    yield (
        "The intervals tell the chance of these test rows, not of another training or of a "
        "changed market."
    )
    small = [f"{group.column}: {group.name}" for group in groups if group.f1 is None]
    if small:
        yield f"Too few test rows, churners or stayers to judge: {', '.join(small)}."
    if not use_case.slices:
        yield "The use case names no groups of customers, so none was judged apart."
    known = sum(part.rows for part in parts)
    if row.get("labelled_rows", known) < known:
        yield f"It was made from a sample: {row['labelled_rows']:,} of {known:,} customers."
    if evidence.known > len(evidence.labels):
        judged = len(evidence.labels)
        yield f"It was judged by a sample: {judged:,} of {evidence.known:,} test rows."
    if evidence.champion is None:
        yield "It is the first: there was no Champion to compare it with."
    yield "The explanation tells what the model does, not why a customer leaves."


def _reproduce(use_case: UseCase, registry: Registry, challenger: Contender) -> str:
    return (
        f"churn train --use-case {use_case.name} --retrain     # from the source as it is now\n\n"
        "# this very model, with its requirements stored beside it\n"
        "import mlflow\n"
        f'mlflow.sklearn.load_model("models:/{registry.model_name}/{challenger.version}")'
    )


def _plain(name: str) -> str:
    return name.replace("_", " ")
