"""The model card of a Challenger: its facts, gathered and kept with its MLflow run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from churn_assets.errors import public_text, public_uri
from churn_assets.learning.card.intervals import f1_margin, score_intervals
from churn_assets.learning.card.page import (
    Card,
    Effect,
    Group,
    Part,
    Policy,
    Stage,
    Worth,
    card_page,
)
from churn_assets.learning.card.text import card_text
from churn_assets.learning.card.value_plots import value_pictures
from churn_assets.learning.explaining.causes import Customers, causes, customers
from churn_assets.learning.explaining.contributions import contributions, importance
from churn_assets.learning.explaining.dependence import partial_dependence
from churn_assets.learning.fitting.challenger import latest_challenger
from churn_assets.learning.fitting.single_inputs import suspicion
from churn_assets.learning.fitting.tracking import flat
from churn_assets.learning.judging.looks import looks_at
from churn_assets.learning.metrics import f1
from churn_assets.learning.plots import score_pictures
from churn_assets.learning.value import POLICIES, best_contacts, policies
from churn_assets.pages.html import plain
from churn_assets.tables.copies import untied
from churn_assets.usecases.questions import open_questions
from churn_assets.usecases.spec import Amount, BusinessCase, PerCustomer

if TYPE_CHECKING:
    import pandas as pd

    from churn_assets.learning.judging.court import Judgement
    from churn_assets.learning.judging.evidence import Contender, Evidence
    from churn_assets.learning.judging.verdict import Verdict
    from churn_assets.learning.registry import Registry
    from churn_assets.learning.value import Amounts
    from churn_assets.learning.workplace import Workplace
    from churn_assets.tables.lake import Table
    from churn_assets.types import Bools, Floats
    from churn_assets.usecases.spec import UseCase


EXPLAINED_ROWS = 500
EFFECT_ROWS, EFFECT_VALUES, EFFECTS, INPUTS = 100, 12, 6, 12
"""Customers and values that an effect is found by; how many effects and inputs are shown."""
GROUPS, GROUP_ROWS = 12, 10
"""Of one column, the largest; of so few customers that one may be recognised, none."""
_FEWEST = 5
"""Rows of either outcome; of fewer no score is shown."""


def keep_card(
    place: Workplace, judgement: Judgement, gate_pictures: Mapping[str, bytes | None]
) -> str:
    """Make the card of the Challenger that was judged, and keep it with its MLflow run.

    Parameters
    ----------
    place : Workplace
        Whose Challenger it is, and where.
    judgement : Judgement
        The verdicts of the gates, with the evidence.
    gate_pictures : mapping of str to bytes or None
        The picture of each gate as SVG.

    Returns
    -------
    str
        The card as Markdown; it is kept as well.

    Raises
    ------
    ValueError
        Where the judgement has no evidence.
    RegistryError
        Where MLflow cannot be reached.
    """
    if judgement.evidence is None:
        raise ValueError("a judgement without evidence has no card")
    card = gather_card(place, judgement.verdicts, judgement.evidence, gate_pictures)
    text = card_text(card)
    place.registry.keep_card(judgement.evidence.challenger.run_id, card_page(card), text)
    return text


def gather_card(
    place: Workplace,
    verdicts: Sequence[Verdict],
    evidence: Evidence,
    gate_pictures: Mapping[str, bytes | None],
) -> Card:
    """What is on the card of the Challenger; the parameters are those of `keep_card`."""
    use_case, tables, registry = place.use_case, place.tables, place.registry
    challenger, champion = evidence.challenger, evidence.champion
    tags = challenger.tags
    trained = latest_challenger(tables["model"], registry)
    is_latest = trained is not None and trained.row["version"] == challenger.version
    row = trained.row if trained and is_latest else {}
    with registry.refusals():
        logged = registry.client.get_run(challenger.run_id).data.params
    is_measurable = measurable(evidence)
    parts = _parts(use_case, tables["features"], tags)
    groups = list(_groups(evidence, verdicts, use_case)) if is_measurable else []
    card = Card(
        name=registry.model_name,
        version=challenger.version,
        semantic_version=tags.get("semantic_version", ""),
        description=public_text(challenger.description),
        trained_at=row.get("trained_at"),
        made_at=datetime.now(UTC),
        verdicts=[replace(verdict, reason=public_text(verdict.reason)) for verdict in verdicts],
        gate_pictures={
            gate: svg
            for gate, svg in gate_pictures.items()
            if not (is_measurable and gate in _OF_SCORES)
        },
        scores=score_intervals(evidence.labels, challenger, champion) if is_measurable else (),
        test_rows=len(evidence.labels),
        known_rows=evidence.known,
        looks=looks_at(registry, evidence),
        champion=champion.version if champion else None,
        pictures=_pictures(evidence, gate_pictures) if is_measurable else {},
        groups=groups,
        worth=_worth(use_case, evidence) if is_measurable else None,
        recipe=_recipe(challenger, row, logged),
        candidates=_losses(row),
        complexities=_complexities(row),
        chosen=tags.get("recipe", ""),
        parameters=_parameters(row),
        stages=_stages(tables, tags, f"{registry.model_name} {challenger.version}"),
        parts=parts,
        lineage=_lineage(challenger),
        limits=[
            *_suspicions(use_case, trained.committed.details if trained and is_latest else {}),
            *_limits(use_case, evidence, groups, parts, row),
        ],
        reproduce=_reproduce(use_case, registry, challenger),
    )
    if not len(evidence.labels):
        return card
    rows = _some_rows(use_case, tables["features"])
    inputs = rows[list(use_case.inputs)]
    model = registry.load(challenger.version, challenger.model_digest)
    strengths = importance(causes(use_case).of(contributions(model, inputs)))
    strongest = list(strengths)[:INPUTS]
    return replace(
        card,
        importance={use_case.called(name): strengths[name] for name in strongest},
        effects=list(
            _effects(
                use_case,
                model,
                inputs,
                strongest[:EFFECTS],
                customers(use_case, tables, tables["features"].require(), rows),
            )
        ),
    )


_OF_SCORES = {
    "better_than_chance": "roc_curve",
    "non_inferiority": "roc_curve",
    "calibration": "calibration",
}
"""Gates whose pictures show the scores as those do, and more."""


def _pictures(evidence: Evidence, gate_pictures: Mapping[str, bytes | None]) -> dict[str, bytes]:
    """The pictures of the scores; each once, as the gate that decides by it has it."""
    challenger = evidence.challenger
    pictures = score_pictures(evidence.labels, challenger.scores, challenger.threshold)
    of_gates = {
        name: svg
        for gate, name in _OF_SCORES.items()
        if (svg := gate_pictures.get(gate)) is not None
    }
    return {plain(name): of_gates.get(name, svg) for name, svg in pictures.items()}


def measurable(evidence: Evidence) -> bool:
    """Whether the test rows hold enough of both outcomes, and the scores are probabilities."""
    return _both_outcomes(evidence.labels) and evidence.challenger.gives_probabilities


def _both_outcomes(labels: Bools) -> bool:
    return min(int(labels.sum()), int((~labels).sum())) >= _FEWEST


def _groups(evidence: Evidence, verdicts: Sequence[Verdict], use_case: UseCase) -> Iterator[Group]:
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
        most = min(GROUPS, int((counts >= GROUP_ROWS).sum()))
        for name in sorted(names[np.argsort(-counts, kind="stable")][:most].tolist()):
            rows = groups == name
            group = Group(
                use_case.called(column),
                str(name),
                int(rows.sum()),
                float(labels[rows].mean()),
                float(scores[rows].mean()),
            )
            if _both_outcomes(labels[rows]) and f"{column} {name}" not in small:
                decided = scores[rows] >= threshold
                value, margin = f1(labels[rows], decided), f1_margin(labels[rows], decided)
                group = replace(
                    group, f1=value, low=max(value - margin, 0.0), high=min(value + margin, 1.0)
                )
            yield group


_POLICIES = {
    "nobody": "Nobody",
    "everybody": "Everybody",
    "threshold": "By decision: score at least the threshold",
    "break-even": "By contact: whom the model says it pays to",
    "perfect": "Whom it pays to, known beforehand",
}


def _worth(use_case: UseCase, evidence: Evidence) -> Worth | None:
    case, stake = use_case.business, evidence.stake
    if case is None or stake is None:
        return None
    known = stake.known
    labels, scores = evidence.labels[known], evidence.challenger.scores[known]
    if not _both_outcomes(labels):
        return None
    threshold, stake = evidence.challenger.threshold, stake.of(known)
    values = policies(labels, scores, threshold, stake)
    contacted = {
        "nobody": 0.0,
        "everybody": 1.0,
        "threshold": float((scores >= threshold).mean()),
        "break-even": float(best_contacts(scores, stake).mean()),
        "perfect": float(best_contacts(labels.astype(float), stake).mean()),
    }
    pictures = value_pictures(labels, scores, threshold, stake, case.currency)
    return Worth(
        currency=case.currency,
        policies=[Policy(_POLICIES[name], contacted[name], values[name]) for name in POLICIES],
        advised=_POLICIES["break-even"],
        assumptions=_assumptions(use_case, case, stake),
        pictures={plain(name): svg for name, svg in pictures.items()},
        left_out=int((~known).sum()),
    )


def _assumptions(use_case: UseCase, case: BusinessCase, stake: Amounts) -> dict[str, str]:
    def words(amount: Amount, values: Floats) -> str:
        if not isinstance(amount, PerCustomer):
            return f"{amount:,g} {case.currency}"
        times = "" if amount.times == 1 else f"{amount.times:g} times "
        mean = float(values.mean()) if len(values) else 0.0
        return f"{times}{use_case.called(amount.column)}; on average {mean:,.0f} {case.currency}"

    return {
        "Kept with a saved customer": words(case.customer_value, stake.customer_value),
        "Cost of an accepted offer": words(case.offer_cost, stake.offer_cost),
        "Cost of a contact": words(case.contact_cost, stake.contact_cost),
        "Churners that the offer keeps": f"{case.save_rate:.0%}",
        "Others that take it": f"{case.accept_rate:.0%}",
    }


def _effects(
    use_case: UseCase,
    model: Any,
    inputs: pd.DataFrame,
    names: Iterable[str],
    in_silver: Customers | None = None,
) -> Iterator[Effect]:
    for name in names:
        effect = partial_dependence(
            model, inputs, name, most=EFFECT_VALUES, rows=EFFECT_ROWS, customers=in_silver
        )
        is_flag = set(effect.values) <= {0, 1}
        values = ["yes" if value else "no" for value in effect.values] if is_flag else effect.values
        # Nobody has a value of it: there is nothing to draw.
        if values:
            yield Effect(use_case.called(name), values, effect.scores.tolist())


def _some_rows(use_case: UseCase, features: Table) -> pd.DataFrame:
    """Key and model inputs of some test rows."""
    import narwhals.stable.v2 as nw

    test = features.scan(features.require().version).filter(
        (nw.col("split") == "test") & ~nw.col("label").is_null()
    )
    columns = test.select(*dict.fromkeys([*use_case.row_keys, *use_case.inputs]))
    some = columns.sort(*use_case.row_keys).head(EXPLAINED_ROWS)
    return features.engine.collect(some).to_pandas(strings_to_categorical=False)


_CHOICES = {
    "best": "the one of least loss out of fold",
    "simplest": "the simplest within one standard error of the least loss",
}


def _recipe(
    challenger: Contender, row: Mapping[str, Any], logged: Mapping[str, str]
) -> dict[str, str]:
    tags = challenger.tags
    rule = tags.get("threshold_rule", "")
    facts = {
        "Model": plain(tags.get("recipe", "")),
        "Chosen as": _CHOICES.get(logged.get("choice", ""), ""),
        "Complexity": f"{row['complexity']:,}" if row.get("complexity") else "",
        "Threshold": f"{challenger.threshold:.4f}" + (f", {rule}" if rule else ""),
        "Calibration": tags.get("calibration", ""),
        "Configurations tried": str(row.get("trials", "")),
        "Fitted on": f"{int(logged['train_rows']):,} customers" if "train_rows" in logged else "",
        "Seed": logged.get("seed", ""),
    }
    return {name: value for name, value in facts.items() if value}


def _parameters(row: Mapping[str, Any]) -> dict[str, str]:
    configured = flat(json.loads(row.get("parameters") or "{}"))
    return {name.replace("__", ": "): str(value) for name, value in configured.items()}


def _losses(row: Mapping[str, Any]) -> dict[str, float]:
    losses: dict[str, float] = json.loads(row.get("candidates") or "{}")
    return losses


def _complexities(row: Mapping[str, Any]) -> dict[str, int]:
    comparison = json.loads(row.get("comparison") or "{}")
    return {name: facts["complexity"] for name, facts in comparison.items()}


def _stages(tables: Mapping[str, Table], tags: Mapping[str, str], model: str) -> list[Stage]:
    """From the source to the model, as far as the tables still are at the versions it read."""
    last = Stage(model, note="this model")
    stages: list[Stage] = []
    version = tags.get("features_version", "")
    for name, read in (("features", "silver"), ("silver", "raw"), ("raw", "")):
        state = tables[name].state()
        if state is None or str(state.version) != version:
            first = [Stage(name, int(version))] if version.isdigit() else []
            return [*first, *stages, last]
        stages.insert(0, Stage(name, state.version, f"{state.rows:,} rows"))
        version = str(state.reads.get(read, ""))
        if name == "raw" and "source_uri" in state.details:
            stages.insert(0, Stage("source", note=public_uri(str(state.details["source_uri"]))))
    return [*stages, last]


def _parts(use_case: UseCase, features: Table, tags: Mapping[str, str]) -> list[Part]:
    """The customers with a known label on each side of the split, if they still are as read."""
    import narwhals.stable.v2 as nw

    version = features.require().version
    if str(version) != tags.get("features_version"):
        return []
    known = features.scan(version).filter(~nw.col("label").is_null())
    known = untied(known, use_case, features.require().details)
    each = known.group_by("split").agg(
        nw.len().cast(nw.Int64).alias("rows"),
        nw.col("label").cast(nw.Int64).mean().alias("rate"),
    )
    by_split = {row["split"]: row for row in features.engine.collect(each).to_pylist()}
    return [
        Part(name, by_split[name]["rows"], by_split[name]["rate"])
        for name in ("train", "validation", "test")
        if name in by_split
    ]


def _lineage(challenger: Contender) -> dict[str, str]:
    tags = challenger.tags
    facts = {
        "Split": tags.get("split", ""),
        "Data version of features": tags.get("features_data_version", ""),
        "Code version": tags.get("code_version", ""),
        "MLflow run": challenger.run_id,
    }
    return {name: value for name, value in facts.items() if value}


def _suspicions(use_case: UseCase, details: Mapping[str, Any]) -> Iterator[str]:
    """What may be wrong with what it learnt from."""
    is_plausible, words = suspicion(details)
    if not is_plausible:
        yield f"{words}."
    asked = open_questions(use_case)
    if asked:
        yield (
            f"Questions that are open in the use case's file: {len(asked)}. What was assumed there "
            "may be wrong, and a column that is asked about had no part in the fit."
        )


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
    if evidence.set_aside:
        yield (
            f"{evidence.set_aside:,} test rows were not judged on: they are copies of rows that it "
            "was trained on, or belong to their groups."
        )
    if evidence.incomparable:
        yield f"Nothing was compared: {public_text(evidence.incomparable)}."
    elif evidence.champion is None:
        yield "It is the first: there was no Champion to compare it with."
    yield "The explanation tells what the model does, not why a customer leaves."


def _reproduce(use_case: UseCase, registry: Registry, challenger: Contender) -> str:
    return (
        f"churn train --use-case {use_case.name} --retrain     # from the source as it is now\n\n"
        "# this very model, with its requirements stored beside it\n"
        "import mlflow\n"
        f'mlflow.sklearn.load_model("models:/{registry.model_name}/{challenger.version}")'
    )
