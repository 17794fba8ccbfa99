"""The stored Pipeline behind a bundle's interface, for models that nothing else evaluates.

It brings pandas and scikit-learn, and is imported for such a bundle alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from churn_assets.errors import BundleError
from churn_assets.learning.compiling.encoded import Row, Table
from churn_assets.learning.compiling.format import Kind, Stored
from churn_assets.learning.explaining.contributions import contributions
from churn_assets.learning.storing.files import StoredModel, UntrustedTypeError

if TYPE_CHECKING:
    from churn_assets.types import Floats


class StoredPipeline:
    """Evaluates `Stored` by scikit-learn, slowly.

    Parameters
    ----------
    part : Stored
        Where the Pipeline's files are among the bundle's.
    files : mapping of str to bytes
        The bundle's.
    inputs : mapping of str to kind
        The inputs, in their order.

    Raises
    ------
    BundleError
        Where it holds types that nobody named, so that reading it could run any code.
    """

    def __init__(
        self, part: Stored, files: Mapping[str, bytes], inputs: Mapping[str, Kind]
    ) -> None:
        start = f"{part.folder}/"
        own = {
            name.removeprefix(start): content
            for name, content in files.items()
            if name.startswith(start)
        }
        self._inputs = inputs
        try:
            self._pipeline = StoredModel(own).pipeline(part.packages)
        except UntrustedTypeError as odd:
            raise BundleError(
                f"the bundle's Pipeline holds {odd}, which no candidate of the settings named, so "
                "reading it could run any code. Register the model through `churn run`."
            ) from None

    def probability(self, row: Row) -> float:
        """As `Model` has it."""
        return float(self.probabilities(Table.of_one(row, self._inputs))[0])

    def probabilities(self, table: Table) -> Floats:
        """As `Model` has it."""
        found: Floats = self._pipeline.predict_proba(self._frame(table))[:, 1].astype(float)
        return found

    def explained(self, row: Row) -> tuple[float, Floats]:
        """As `Model` has it."""
        table = Table.of_one(row, self._inputs)
        return float(self.probabilities(table)[0]), self.contributions_of(table)[0]

    def contributions_of(self, table: Table) -> Floats:
        """As `Model` has it."""
        return contributions(self._pipeline, self._frame(table)).values

    def _frame(self, table: Table) -> pd.DataFrame:
        """The inputs as a batch job gives them."""
        columns = {
            name: table.numbers[name]
            if kind == "number"
            else pd.Categorical(pd.array(table.texts[name], dtype=object))
            for name, kind in self._inputs.items()
        }
        return pd.DataFrame(columns)
