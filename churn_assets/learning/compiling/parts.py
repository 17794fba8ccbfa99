"""From a fitted model to the parts of a bundle: what each estimator has learnt, as plain data."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from churn_assets.learning.compiling import format
from churn_assets.learning.compiling.forests import of_forest, of_histogram_boosting
from churn_assets.learning.compiling.shapley import files_of
from churn_assets.learning.explaining.tree_shap import tables_of

if TYPE_CHECKING:
    from churn_assets.learning.compiling.format import Part

LIGHTGBM_FILE, XGBOOST_FILE = ".txt", ".ubj"
"""How files of trees end."""
_MOST_SHARES = 500_000
"""Numbers in the tables of a model, 4 MB; beyond, the library finds contributions by itself."""


class NotCompilableError(Exception):
    """A fitted model has something that no part stands for; its message says what."""


class Parts:
    """Takes a fitted model apart.

    Attributes
    ----------
    files : dict of str to bytes
        What the parts name, by name.
    edges : dict of str to set of float
        By number, the values that the model takes a turn at.
    encoders : list of Encoder
        Those of all members.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.edges: dict[str, set[float]] = {}
        self.encoders: list[format.Encoder] = []

    def of(self, model: Any) -> Part:
        """The part that a fitted model is.

        Parameters
        ----------
        model : Pipeline, Blend or Recalibrated
            Fitted.

        Raises
        ------
        NotCompilableError
            Where nothing stands for it.
        """
        from churn_assets.learning.ensembles import Blend, Recalibrated

        if type(model) is Recalibrated:
            return format.Recalibrated(
                self.of(model.base), float(model.slope), float(model.intercept)
            )
        if type(model) is Blend:
            return format.Blend(tuple(map(self.of, model.pipelines_)))
        steps = [step for _, step in getattr(model, "steps", [("", model)])]
        names = tuple(type(step).__name__ for step in steps)
        take = _BY_STEPS.get(names[1:])
        if take is None or names[0] not in ("TableEncoder", "LinearEncoder"):
            raise NotCompilableError(f"{' with '.join(names)} is evaluated by scikit-learn alone")
        return take(self, steps, _encoder(steps[0]))

    def _linear(self, steps: list[Any], encoder: format.Encoder) -> Part:
        _, impute, scale, model = steps
        self.encoders.append(encoder)
        if encoder.bends is not None:
            for name, limits in encoder.bends.ranges.items():
                self._edges(name).update(limits, encoder.bends.knots[name])
        medians, means, scales, coefficients = (
            tuple(np.asarray(array, dtype=np.float64).ravel().tolist())
            for array in (impute.statistics_, scale.mean_, scale.scale_, model.coef_[0])
        )
        return format.Linear(
            encoder, medians, means, scales, coefficients, float(model.intercept_[0])
        )

    def _lightgbm(self, steps: list[Any], encoder: format.Encoder) -> Part:
        booster = steps[-1].booster_
        tables = tables_of(booster)
        size = sum(len(one) for table in tables or () for one in table.shares.values())
        text = booster.model_to_string()
        if tables is None or size > _MOST_SHARES:
            return self._trees(encoder, text, reasons="library")
        part = self._trees(encoder, text, reasons="tables")
        self.files |= files_of(tables, part.file)
        return part

    def _forest(self, steps: list[Any], encoder: format.Encoder) -> Part:
        return self._trees(encoder, of_forest(steps[-1], len(encoder.sources)), single=True)

    def _histogram(self, steps: list[Any], encoder: format.Encoder) -> Part:
        text = of_histogram_boosting(steps[-1], len(encoder.sources))
        return self._trees(encoder, text, gives="log-odds")

    def _trees(self, encoder: format.Encoder, text: str, **how: Any) -> format.Trees:
        self.encoders.append(encoder)
        name = f"trees-{len(self.encoders)}{LIGHTGBM_FILE}"
        self.files[name] = text.encode()
        for columns, thresholds in re.findall(
            r"^split_feature=(.*)\n(?:.*\n)*?threshold=(.*)$", text, re.MULTILINE
        ):
            for column, threshold in zip(columns.split(), thresholds.split(), strict=True):
                self._edge(encoder, int(column), float(threshold))
        given = {"single": False, "gives": "probability", "reasons": "walk", **how}
        return format.Trees(encoder, name, **given)

    def _xgboost(self, steps: list[Any], encoder: format.Encoder) -> Part:
        booster = steps[-1].get_booster()
        self.encoders.append(encoder)
        name = f"trees-{len(self.encoders)}{XGBOOST_FILE}"
        self.files[name] = bytes(booster.save_raw("ubj"))
        described = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]
        for tree in described.get("model", {}).get("trees", ()):
            for column, threshold, child in zip(
                tree["split_indices"], tree["split_conditions"], tree["left_children"], strict=True
            ):
                if child >= 0:
                    self._edge(encoder, column, threshold)
        return format.XGBoost(encoder, name)

    def _edge(self, encoder: format.Encoder, column: int, threshold: float) -> None:
        if column < len(encoder.numbers):
            self._edges(encoder.numbers[column]).add(threshold)

    def _edges(self, name: str) -> set[float]:
        return self.edges.setdefault(name, set())


_BY_STEPS = {
    ("SimpleImputer", "StandardScaler", "LogisticRegression"): Parts._linear,
    ("LGBMClassifier",): Parts._lightgbm,
    ("RandomForestClassifier",): Parts._forest,
    ("HistGradientBoostingClassifier",): Parts._histogram,
    ("XGBClassifier",): Parts._xgboost,
}
"""How a Pipeline is taken apart, by the names of its steps behind the encoder."""


def _encoder(fitted: Any) -> format.Encoder:
    """What a fitted encoder has learnt."""
    bends = None
    if hasattr(fitted, "knots_"):
        bends = format.Bends(
            {name: (float(low), float(high)) for name, (low, high) in fitted.ranges_.items()},
            tuple(map(str, fitted.logs_)),
            {name: tuple(map(float, knots)) for name, knots in fitted.knots_.items()},
        )
    numbers = fitted.numeric if fitted.numbers_ is None else fitted.numbers_
    encoder = format.Encoder(
        tuple(map(str, numbers)),
        {name: tuple(map(str, fitted.categories_[name])) for name in fitted.categorical},
        tuple(map(str, fitted.rare_)),
        {
            name: format.Rates(
                tuple(map(str, fitted.levels_[name])), tuple(np.asarray(odds).tolist())
            )
            for name, odds in fitted.odds_.items()
        },
        bends,
    )
    if encoder.sources != list(fitted.sources_):
        raise NotCompilableError("its encoder has columns that no part of a bundle has")
    return encoder
