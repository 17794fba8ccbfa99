"""Names of the types that the whole package speaks of."""

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw
    import numpy as np
    from numpy.typing import NDArray

Frame: TypeAlias = "nw.LazyFrame[Any]"
"""Rows of a table, not yet computed, on whichever engine."""
Floats: TypeAlias = "NDArray[np.float64]"
Bools: TypeAlias = "NDArray[np.bool_]"
Indices: TypeAlias = "NDArray[np.intp]"
