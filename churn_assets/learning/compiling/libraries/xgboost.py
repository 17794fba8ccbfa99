"""XGBoost's C library, called without its Python package."""

from __future__ import annotations

import ctypes
import json
import weakref
from array import array
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from churn_assets.errors import BundleError
from churn_assets.learning.compiling.libraries.found import library_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from churn_assets.types import Floats

_PROBABILITY, _CONTRIBUTIONS = 0, 2


def _config(asked: int, **more: Any) -> bytes:
    given = {"type": asked, "training": False, "iteration_begin": 0, "iteration_end": 0}
    return json.dumps({**given, "strict_shape": False, **more}).encode()


_IN_PLACE = _config(_PROBABILITY, missing=float("nan"), cache_id=0)
_SHARES = _config(_CONTRIBUTIONS)
_MATRIX = json.dumps({"missing": float("nan"), "nthread": 1}).encode()


class Booster:
    """Trees that were read from XGBoost's own format.

    Parameters
    ----------
    content : bytes
        The model, as binary JSON.

    References
    ----------
    XGBoost's C API, `XGBoosterPredictFromDense`.
    """

    def __init__(self, content: bytes) -> None:
        self._library = _library()
        self._handle = ctypes.c_void_p()
        # Predictions in place may be asked for by several threads, those from a matrix may not.
        self._lock = Lock()
        self._check(
            self._library.XGBoosterCreate(None, ctypes.c_uint64(0), ctypes.byref(self._handle))
        )
        weakref.finalize(self, self._library.XGBoosterFree, self._handle)
        self._check(
            self._library.XGBoosterLoadModelFromBuffer(
                self._handle, ctypes.c_char_p(content), ctypes.c_uint64(len(content))
            )
        )
        self._check(self._library.XGBoosterSetParam(self._handle, b"nthread", b"1"))

    def one(self, buffer: array[float], columns: int) -> One:
        """What predicts the row of so many columns that a buffer of doubles holds."""
        return One(self, buffer, columns)

    def many(self, rows: Floats) -> Floats:
        """The probability of each row, of shape (n_rows,)."""
        return self._in_place(_interface(rows)).astype(np.float64)

    def shares(self, rows: Floats) -> Floats:
        """What each column of each row adds, and last the base: (n_rows, n_columns + 1)."""
        matrix = ctypes.c_void_p()
        with self._lock:
            self._check(
                self._library.XGDMatrixCreateFromDense(
                    _interface(rows), _MATRIX, ctypes.byref(matrix)
                )
            )
            try:
                found = self._found(
                    self._library.XGBoosterPredictFromDMatrix, self._handle, matrix, _SHARES
                )
            finally:
                self._library.XGDMatrixFree(matrix)
        return found.reshape(len(rows), -1).astype(np.float64)

    def _in_place(self, interface: bytes) -> NDArray[np.float32]:
        return self._found(
            self._library.XGBoosterPredictFromDense, self._handle, interface, _IN_PLACE, None
        )

    def _found(self, call: Any, *given: Any) -> NDArray[np.float32]:
        """A copy of what the library keeps for its thread."""
        shape, dimensions = ctypes.POINTER(ctypes.c_uint64)(), ctypes.c_uint64()
        result = ctypes.POINTER(ctypes.c_float)()
        pointers = map(ctypes.byref, (shape, dimensions, result))
        self._check(call(*given, *pointers))
        size = int(np.prod(shape[: dimensions.value]))
        return np.ctypeslib.as_array(result, (size,)).copy()

    def _check(self, status: int) -> None:
        if status != 0:
            message = self._library.XGBGetLastError().decode(errors="replace").splitlines()[0]
            raise BundleError(f"XGBoost cannot evaluate the bundle's trees: {message}.")


class One:
    """Predicts the row that its buffer holds."""

    def __init__(self, booster: Booster, buffer: array[float], columns: int) -> None:
        self.buffer = buffer
        # It is the array's own memory.
        row = np.frombuffer(buffer)[None, :columns]
        self._booster = booster
        self._shape, self._dimensions = ctypes.POINTER(ctypes.c_uint64)(), ctypes.c_uint64()
        self._result = ctypes.POINTER(ctypes.c_float)()
        self._given = (
            booster._handle,
            ctypes.c_char_p(_interface(row)),
            ctypes.c_char_p(_IN_PLACE),
            None,
            ctypes.byref(self._shape),
            ctypes.byref(self._dimensions),
            ctypes.byref(self._result),
        )
        self._call = booster._library.XGBoosterPredictFromDense

    def number(self) -> float:
        """The probability."""
        self._booster._check(self._call(*self._given))
        return float(self._result[0])


def _interface(rows: Floats) -> bytes:
    """How an array lies in memory, as JSON."""
    described = rows.__array_interface__
    return json.dumps(
        {name: described[name] for name in ("data", "strides", "typestr", "shape", "version")}
    ).encode()


@cache
def _library() -> Any:
    library = ctypes.CDLL(library_of("xgboost", "libxgboost"))
    library.XGBGetLastError.restype = ctypes.c_char_p
    return library
