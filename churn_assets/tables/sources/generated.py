"""Records that a use case makes up."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from churn_assets.errors import SourceError
from churn_assets.tables.engines.engine import Engine
from churn_assets.tables.sources.columns import Expected, columns_of
from churn_assets.tables.sources.kind import Records, hash_of, records_of
from churn_assets.tables.sources.raw_types import as_raw, raw_types
from churn_assets.tables.sources.source import Source
from churn_assets.tables.versions import code_version
from churn_assets.usecases.spec import Generate


@dataclass(frozen=True)
class GeneratedRecords:
    """Made-up records, the same for each seed.

    Parameters
    ----------
    source, expected : Source, Expected
        How many there are and their seed, and what they must give.
    generate : callable
        What makes them up.
    """

    source: Source
    expected: Expected
    generate: Generate

    @classmethod
    def of(cls, source: Source, expected: Expected) -> GeneratedRecords:
        """The records that a use case makes up.

        Raises
        ------
        SourceError
            Where it makes up none.
        """
        if expected.generate is None:
            raise SourceError(
                f"{expected.settings}.uri is empty, and {expected.name} cannot make up records. "
                "Set it to a file, folder or address."
            )
        return cls(source, expected, expected.generate)

    def fingerprint(self) -> str:
        """Hash of the code that makes them up, of their number and of their seed."""
        source = self.source
        code = code_version(self.generate, rows=source.rows, seed=source.seed)
        return hash_of("generated", self.expected.name, sorted(source.rename.items()), code)

    def records(self, engine: Engine) -> Records:
        """The records, as a frame of an engine."""
        source, expected = self.source, self.expected
        uri = f"generated:{expected.name}?rows={source.rows}&seed={source.seed}"
        try:
            schema = next(self.generate(source.rows, source.seed)).schema
        except ValueError as error:
            raise SourceError(f"{uri}: {error} Set {expected.settings}.rows.") from None
        columns = columns_of(uri, schema.names, source.rename, expected)
        types = raw_types(schema, columns, uri)
        frame = engine.read_batches(schema, partial(self.generate, source.rows, source.seed))
        return records_of(as_raw(frame, types, engine), columns, uri, uri, files=0)

    def explain(self, error: Exception) -> SourceError | None:
        """Nothing is read that could be at fault."""
        return error if isinstance(error, SourceError) else None
