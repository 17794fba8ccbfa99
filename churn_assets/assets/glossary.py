"""What each column of each table holds, in words."""

from churn_assets.pages.words import CONTACT, DECISION
from churn_assets.usecases.spec import UseCase, delta_name

_RECORD = {
    "source_uri": "the file, address or query that the record came from, without credentials",
    "ingested_at": "when the record was read, in UTC",
    "line_fault": "of a line with fewer fields than the header, which it was and how many",
}
_METRICS = {
    "accuracy": "share of right decisions",
    "f1": "F1 of the decisions",
    "precision": "share of churners among those taken for churners",
    "recall": "share of the churners who were taken for churners",
    "roc_auc": "area under the ROC curve",
    "pr_auc": "area under the precision-recall curve (average precision)",
    "log_loss": "log loss of the scores",
    "brier": "Brier score of the scores",
}
_ROWS = {"oof": "out of fold, on train and validation", "test": "on test rows"}
_SPLIT = "train, validation or test: who is trained on, and who is only judged by"
_PREDICTIONS = {
    "churn_probability": "calibrated probability of churn, in [0, 1]",
    "decision": f"whether {DECISION}",
    "threshold": "the Champion's",
    "risk_band": "the use case's band that the probability falls in",
    "expected_value": "net value of a contact against doing nothing; null: not known",
    "contact": f"whether {CONTACT}",
    "rank": "place by expected value, from 1; null where that is",
    "reason_1": "the strongest reason for the score, in words",
    "reason_2": "the second strongest reason",
    "reason_3": "the third strongest reason",
    "model_version": "version of the Champion that scored",
    "features_version": "Delta version of features that was scored",
    "scored_at": "when, in UTC",
    "split": _SPLIT,
}
_WORDS: dict[str, dict[str, str]] = {
    "raw": _RECORD,
    "labels": _RECORD,
    "holdout": _RECORD,
    "rejects": {**_RECORD, "reasons": "every rule of the contract that the record breaks"},
    "features": {
        "label": "whether the outcome is the positive one; null where it is not known yet",
        "split": _SPLIT,
        "to_score": "whether the customer is scored by this row, and not by another one",
    },
    "model": {
        "model_name": "name of the registered model",
        "version": "version in the registry",
        "run_id": "the MLflow run of the training",
        "model_digest": "sha256 of all files of the registered model; null from before it was kept",
        "recipe": "the candidate that was chosen",
        "semantic_version": "major for other inputs, minor for another recipe, patch for a refit",
        "threshold": "the score from which the decision is churn",
        "threshold_rule": "what the threshold is best by",
        "split": "how rows are split, so that nobody is judged on rows that were trained on",
        "features_version": "Delta version of features that was trained on",
        "features_data_version": "data version of those features",
        "labelled_rows": "how many rows with a known outcome there were",
        "candidates": "loss of each candidate out of fold, as JSON",
        "comparison": "loss, its standard error and complexity of each candidate, as JSON",
        "complexity": "by how many numbers the model decides: leaves of trees, coefficients",
        "parameters": "parameters of the chosen candidate, as JSON",
        "calibration": "how far scores were off the rates, and whether that was mended, as JSON",
        "trials": "how many configurations were tried",
        "trained_at": "when, in UTC",
        **{
            f"{rows}_{metric}": f"{what}, {where}"
            for rows, where in _ROWS.items()
            for metric, what in _METRICS.items()
        },
    },
    "champion": {
        "promotion": "number of the promotion or rollback, from 1",
        "action": "promotion or rollback",
        "model_name": "name of the registered model",
        "version": "version in the registry that is Champion from then on",
        "run_id": "the MLflow run that trained it",
        "threshold": "the score from which its decision is churn",
        "previous_version": "who was Champion before; null at the first promotion",
        "decided_by": "who decided: a person, where one is named, and the run",
        "decided_at": "when, in UTC",
        "gates": "the verdict of each gate with its numbers, as JSON",
        "model_digest": "sha256 that the model's files must have to be loaded; null from before",
        "bundle_digest": "sha256 that the compiled model's files must have; null from before",
    },
    "predictions": _PREDICTIONS,
    "scores": _PREDICTIONS,
    "traffic": {
        "change": "number of the change, from 1",
        "kind": "what holds from then on: champion, shadow, canary, ab, ramp or returned",
        "version": "version that takes part, or was taken back; null where the Champion is alone",
        "run_id": "the MLflow run that trained it",
        "share": "of the customers that it answers, in [0, 1]; of a ramp what it begins with",
        "steps": "shares of a ramp, one after another; null of other changes",
        "step_seconds": "how long each of them lasts, in seconds",
        "salt": "of the hash of the key that splits the customers",
        "decided_by": "who decided: a person, a run, the rollout or the guard",
        "decided_at": "when, in UTC",
        "why": "the reason, in words",
        "evidence": "the guard's figures, as JSON; null where it did not decide",
    },
    "requests": {
        "request_id": "of the call, as the answer has it",
        "row": "place of the customer in the call, from 0",
        "requested_at": "when the call came, in UTC",
        "form": "how the customer was given: key, record or inputs",
        "route": "what of the server was called",
        "inputs": "the model inputs as they were decoded, as JSON; null where there were none",
        "churn_probability": "the answer, in [0, 1]; null where it was refused",
        "decision": f"whether {DECISION}",
        "threshold": "of the model that answered",
        "risk_band": "the use case's band that the probability falls in",
        "model_version": "version of the model that answered",
        "semantic_version": "semantic version of that model",
        "variant": "by which part of the traffic it was answered",
        "share": "that part of the traffic, in [0, 1]",
        "shadow": "whether it was only logged, beside the answer of another model",
        "features_version": "Delta version of the features that the key was looked up in",
        "latency_ms": "from the call to the log, in milliseconds",
        "status": "HTTP status of the answer",
        "refusal": "why it was refused; null where it was answered",
    },
    "online_features": {
        "split": _SPLIT,
        "contact": f"whether {CONTACT}, by the last predictions",
        "rank": "place by expected value in the last predictions, from 1",
    },
}


def describe(case: UseCase, table: str, column: str) -> str:
    """What a column of a use case's table holds, in a short phrase."""
    words = _WORDS.get(table, {}).get(column)
    if words is not None:
        if column == "expected_value" and case.business is not None:
            return f"{words}, in {case.business.currency}"
        return words
    if table in ("raw", "labels", "holdout", "rejects") and column not in _named(case):
        return "as it came; the contract does not name it"
    return case.describe(column)


def _named(case: UseCase) -> set[str]:
    """The columns of a source that a contract names, as raw has them."""
    contracts = (case.contract, case.label_contract)
    return {delta_name(column.source) for contract in contracts for column in contract.columns}
