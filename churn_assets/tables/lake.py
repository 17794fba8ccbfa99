"""The lake: where each use case's tables lie, and what is committed to them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn_assets.errors import ChurnError, TableError, public_uri
from churn_assets.tables.engines.engine import Commit, ConflictError, Engine
from churn_assets.tables.faults.damage import damaged, keep_digests, log_fault, require_files
from churn_assets.tables.faults.refusals import UNFIT, reason
from churn_assets.tables.versions import LAYOUT, commit_note

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from churn_assets.types import Frame
    from churn_assets.usecases.spec import UseCase


SOURCE_URI, INGESTED_AT = "source_uri", "ingested_at"
"""Columns that raw has beside those of its source."""
LINE_FAULT = "line_fault"
"""One more, where lines of a text file have fewer fields than its header: which line and how many;
null in the other records."""
Layer = Callable[["UseCase"], tuple[str, ...]]
"""Names the tables that a layer of the package adds for a use case."""
HOLDOUT = "holdout"
"""The table of records that are never trained on, where the settings have one."""
RECORD_TABLES = ("raw", "labels", HOLDOUT, "silver", "rejects", "features")
"""The tables from a use case's source to its features, in the order in which they are made."""


def record_tables(use_case: UseCase) -> tuple[str, ...]:
    """The tables from a use case's source to its features, in the order in which they are made."""
    return ("raw", *(["labels"] if use_case.labels else []), "silver", "rejects", "features")


def require_known_layout(tables: Mapping[str, Table]) -> None:
    """Refuse a lake that a newer version has written to, before anything in it is replaced.

    Raises
    ------
    TableError
        Naming the table.
    """
    for table in tables.values():
        table.state()


def changed_types(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Which columns of two schemas are of another type now, and which."""
    return [
        f"'{name}' is {now[name]} and was {before[name]}"
        for name in now
        if name in before and now[name] != before[name]
    ]


@dataclass(frozen=True)
class Committed:
    """One version of a table.

    Parameters
    ----------
    table, uri : str
        Its name and where it lies.
    version : int
        Delta version; it rises with every commit.
    data_version : str
        Version of what the rows hold: what is made from them is current as long as it is equal.
    made_from : str
        Version of the code and the inputs that the rows were last made from.
    rows, size_bytes : int
        How many rows the table holds, in how many bytes of data files.
    columns : mapping of str to str
        Delta type of each column.
    reads : mapping of str to int
        Delta version of each table that was read for it.
    committed_at : datetime
        When, in UTC.
    written_by : str
        The engine that committed it, as it calls itself.
    details : mapping
        What else the writer kept with the commit.
    changed : bool
        False where the rows are those that the table held before.
    """

    table: str
    uri: str
    version: int
    data_version: str
    made_from: str
    rows: int
    size_bytes: int
    columns: Mapping[str, str]
    reads: Mapping[str, int]
    committed_at: datetime
    written_by: str
    details: Mapping[str, Any] = field(default_factory=dict)
    changed: bool = False


@dataclass(frozen=True)
class Table:
    """One Delta table of one use case.

    Parameters
    ----------
    name, uri : str
        What it is called and where it lies.
    engine : Engine
        What reads and writes it.
    storage_options : mapping of str to str, optional
        Keys of the object store.
    is_made_anew : bool
        Whether what it holds is damaged: never current, and not compared with what replaces it.
    registered_as : str
        Name by which a catalog knows it; empty where none does.
    by_default : str
        Where it lies unless the settings give it another name.
    """

    name: str
    uri: str = field(repr=False)
    engine: Engine
    storage_options: Mapping[str, str] | None = field(default=None, repr=False)
    is_made_anew: bool = False
    registered_as: str = ""
    by_default: str = field(default="", repr=False)

    def state(self, version: int | None = None) -> Committed | None:
        """The newest version, or an older one; None where there is no table yet.

        Raises
        ------
        DamageError
            Where a file of it is missing or cut short.
        """
        with self._refusals("read"):
            return self._at(version)

    def require(self) -> Committed:
        """The newest version.

        Raises
        ------
        TableError
            Where there is no table yet.
        """
        state = self.state()
        if state is None:
            raise TableError(f"{self.uri}: there is no table yet; run `churn run` first.")
        return state

    def scan(self, version: int | None = None) -> Frame:
        """All rows, at a version or at the newest."""
        with self._refusals("read"):
            return self.engine.read_delta(self.uri, version, storage_options=self.storage_options)

    def register(self) -> None:
        """Let the catalog know it by its name, unless it does.

        Raises
        ------
        EngineError
            Where the catalog has another table of that name, or refuses it.
        """
        if self.registered_as:
            with self._refusals("registered"):
                self.engine.register(self.uri, self.registered_as)

    def current(self, made_from: str) -> Committed | None:
        """The newest version, if it was made from this code and these inputs."""
        state = self.state()
        is_current = state is not None and state.made_from == made_from
        return state if is_current and not self.is_made_anew else None

    def version_on(self, day: date) -> int | None:
        """The version that held at the end of a day, in UTC; None where there was none yet."""
        end = datetime.combine(day + timedelta(days=1), time.min, UTC)
        with self._refusals("read"):
            return next((number for number, when in self._commits() if when < end), None)

    def first_day(self) -> date:
        """The day of the oldest version that is known of, in UTC."""
        with self._refusals("read"):
            *_, (_, first) = self._commits()
            return first.date()

    def note(self, version: int) -> Mapping[str, Any]:
        """What was kept with the commit of a version; nothing where the log no longer tells."""
        with self._refusals("read"):
            table = self.opened()
            assert table is not None
            # A table that is opened at a version tells another one's commit.
            back = table.version() - version
            commits = table.history(back + 1)
        if not 0 <= back < len(commits):
            return {}
        return dict(json.loads(commits[back].get("userMetadata") or "{}"))

    def _commits(self) -> Iterator[tuple[int, datetime]]:
        """Number and moment of each version, the newest first."""
        table = self.opened()
        assert table is not None
        for commit in table.history():
            yield commit["version"], datetime.fromtimestamp(commit["timestamp"] / 1000, UTC)

    def replace(
        self,
        frame: Frame,
        made_from: str,
        reads: Mapping[str, int] | None = None,
        *,
        data_version: str = "",
        moments: Sequence[str] = (),
        **details: Any,
    ) -> Committed:
        """Replace all rows in one commit.

        Rows that come out as they were keep their data version, so that nothing is made anew from
        them; the files that held them before are put back by a second commit.

        Parameters
        ----------
        frame : frame
            The rows.
        made_from : str
            Version of the code and the inputs.
        reads : mapping of str to int, optional
            Delta version of each table that was read.
        data_version : str, optional
            Of the rows, where they differ from those before; `made_from` by default.
        moments : sequence of str
            Columns that say when a row was made, by which rows do not differ.
        **details
            What else to keep with the commit.

        Raises
        ------
        TableError
            Where it cannot be written; the last version stands.
        """
        with self._refusals("written"):
            before = self._at()
        if self.is_made_anew and before and before.made_from == made_from:
            # The same code makes the same rows of the same inputs.
            data_version = before.data_version
        note = commit_note(data_version or made_from, made_from, reads, details)
        try:
            committed = self._commit("overwrite", frame, note)
            if before is None or self.is_made_anew or not self._is_same(before, committed, moments):
                return committed
            return self._put_back(before, {**note, "data_version": before.data_version})
        except ConflictError as error:
            # Another run, or a request of this one that the store answered twice, made it so.
            current = self.current(made_from)
            if current:
                return current
            raise TableError(
                f"{self.uri}: another run replaced the table {self.name} at the same time. "
                "That version stands; run again."
            ) from error

    def append(
        self,
        frame: Frame,
        made_from: str,
        reads: Mapping[str, int] | None = None,
        *,
        data_version: str = "",
        base: int | None = None,
        transaction: str | None = None,
        **details: Any,
    ) -> Committed:
        """Add rows in one commit; with `base`, only if no other commit has come since it.

        Raises
        ------
        ConflictError
            Where another writer was first.
        TableError
            Where it cannot be written; the last version stands.
        """
        note = commit_note(data_version or made_from, made_from, reads, details)
        return self._commit("append", frame, note, base=base, transaction=transaction)

    def _commit(
        self,
        mode: Any,
        frame: Frame,
        note: Mapping[str, Any],
        base: int | None = None,
        transaction: str | None = None,
    ) -> Committed:
        metadata = {"userMetadata": json.dumps(note, default=str)}
        with self._refusals("written"):
            if "://" not in self.uri:
                Path(self.uri).mkdir(parents=True, exist_ok=True)
            self.engine.write_delta(
                self.uri,
                frame,
                Commit(mode, metadata, base, transaction),
                storage_options=self.storage_options,
            )
            table = self.opened()
            assert table is not None
            keep_digests(self.uri, table.version())
            return self._committed(table, changed=True)

    def _is_same(self, before: Committed, now: Committed, moments: Sequence[str]) -> bool:
        """Whether two versions hold the same rows, in whatever order, but for moments."""
        if (before.rows, before.columns) != (now.rows, now.columns):
            return False
        columns = [name for name in now.columns if name not in moments]
        with self._refusals("read"):
            one, other = (
                self.engine.digest(self.scan(version).select(columns))
                for version in (before.version, now.version)
            )
        return one == other

    def restore(self, before: Committed) -> Committed:
        """Let the table be what it was at a version, in one commit.

        Of the newest version too, so that the commit follows those that may have been lost.

        Raises
        ------
        TableError
            Where it cannot be written; the last version stands.
        """
        note = commit_note(before.data_version, before.made_from, before.reads, before.details)
        newest = self.opened()
        try:
            if newest is not None and newest.version() == before.version:
                return self._commit("append", self.scan(before.version).head(0), note)
            return self._put_back(before, note)
        except ConflictError as error:
            raise TableError(
                f"{self.uri}: another run committed to the table {self.name} at the same time. "
                "That version stands."
            ) from error

    def _put_back(self, before: Committed, note: Mapping[str, Any]) -> Committed:
        """Let the table be what it was at a version, with another note."""
        from deltalake import CommitProperties

        properties = CommitProperties(
            custom_metadata={"userMetadata": json.dumps(note, default=str)}, max_commit_retries=0
        )
        with self._refusals("written"):
            table = self.opened()
            assert table is not None
            table.restore(before.version, commit_properties=properties)
            table.update_incremental()
            return self._committed(table)

    def _at(self, version: int | None = None) -> Committed | None:
        newest = self.opened()
        if newest is None:
            self._require_not_renamed()
            return None
        if version is None:
            return self._committed(newest)
        table = self.opened(version)
        assert table is not None
        # Of an older version delta-rs tells the newest commits, under other numbers.
        return self._committed(table, newest.history(newest.version() - version + 1)[-1])

    def _require_not_renamed(self) -> None:
        """Refuse to begin anew where the table is there, by the name that it had before."""
        if self.by_default in ("", self.uri):
            return
        if replace(self, uri=self.by_default).opened() is not None:
            before, now = public_uri(self.by_default), public_uri(self.uri)
            raise TableError(
                f"{before} holds the table {self.name}, and by `tables.{self.name}` it lies in "
                f"{now}. Move the folder there, or remove it to start over."
            )

    def opened(self, version: int | None = None) -> DeltaTable | None:
        """The Delta table at its newest version, or at an older one; None where there is none."""
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        options = None if self.storage_options is None else dict(self.storage_options)
        if "://" not in self.uri and not Path(self.uri, "_delta_log").is_dir():
            return None
        try:
            return DeltaTable(self.uri, version, storage_options=options)
        except TableNotFoundError:
            return None

    def _committed(
        self,
        table: DeltaTable,
        commit: Mapping[str, Any] | None = None,
        *,
        changed: bool = False,
    ) -> Committed:
        import pyarrow as pa
        import pyarrow.compute as pc

        last = table.history(1)[0] if commit is None else commit
        # `pa.table` would import pandas to ask whether this is of its own.
        actions = table.get_add_actions(flatten=True)
        files = pa.RecordBatchReader.from_stream(actions).read_all()
        note = json.loads(last.get("userMetadata") or "{}")
        if note.get("layout", 1) > LAYOUT:
            raise TableError(
                f"{self.uri}: a newer version of Churn Assets wrote this table. Upgrade to it, or "
                "set CHURN_ROOT to another folder; nothing was changed."
            )
        if not self.is_made_anew:
            require_files(self.name, self.uri, _sizes(files))
        return Committed(
            table=self.name,
            uri=public_uri(self.uri),
            version=table.version(),
            data_version=note.get("data_version", ""),
            made_from=note.get("made_from", note.get("data_version", "")),
            rows=pc.sum(files["num_records"]).as_py() or 0,
            size_bytes=pc.sum(files["size_bytes"]).as_py() or 0,
            columns={f.name: _delta_type(f.type) for f in table.schema().fields},
            reads=note.get("reads", {}),
            committed_at=datetime.fromtimestamp(last["timestamp"] / 1000, UTC),
            written_by=last.get("engineInfo") or "",
            details=note.get("details", {}),
            changed=changed,
        )

    @contextmanager
    def _refusals(self, what: str) -> Iterator[None]:
        """Say in one line what keeps the table from being read or written."""
        from deltalake.exceptions import DeltaError

        unfit = None if "://" in self.uri else UNFIT.search(Path(self.uri).as_posix())
        if unfit:
            raise TableError(
                f"{self.uri}: the path of a Delta table cannot hold {unfit[0]!r}. "
                "Set CHURN_ROOT or CHURN_LAKE to another place."
            )
        try:
            yield
        except (ChurnError, ConflictError):
            raise
        except (OSError, DeltaError) as error:
            fault = log_fault(self.uri)
            if fault:
                raise damaged(self.name, fault) from error
            why = reason(str(error).replace(self.uri, ""))
            raise TableError(
                f"{self.uri}: the table {self.name} could not be {what}: {why} "
                "Its last version stands."
            ) from error


@dataclass(frozen=True)
class TableNames:
    """What tables are called in the lake and in a catalog; either may hold ``{use_case}``.

    Parameters
    ----------
    given : mapping of str to str
        Other names than this package's, by these.
    catalog : str
        Schema that they are registered in, with its catalog where it has one; none if empty.
    """

    given: Mapping[str, str] = field(default_factory=dict)
    catalog: str = ""

    def called(self, use_case: str, table: str) -> str:
        """Name of a table's folder.

        >>> TableNames({"features": "mlops_churn_training"}).called("telco_churn", "features")
        'mlops_churn_training'
        """
        return self.given.get(table, table).format(use_case=use_case)

    def registered(self, use_case: str, table: str) -> str:
        """Name of a table in the catalog; empty without one.

        >>> TableNames(catalog="main.{use_case}").registered("telco_churn", "features")
        'main.telco_churn.features'
        """
        if not self.catalog:
            return ""
        return f"{self.catalog.format(use_case=use_case)}.{self.called(use_case, table)}"


@dataclass(frozen=True)
class Lake:
    """Where the tables of all use cases lie: `<root>/<use case>/<name of the table>`.

    Parameters
    ----------
    root : str
        Folder or URI.
    engine : Engine
        What reads and writes them.
    storage_options : mapping of str to str, optional
        Keys of the object store.
    layers : tuple of callable
        Each names the tables that a layer of the package adds for a use case.
    names : TableNames
        What they are called, where that is not how this package calls them.
    """

    root: str = field(repr=False)
    engine: Engine
    storage_options: Mapping[str, str] | None = field(default=None, repr=False)
    layers: tuple[Layer, ...] = field(default=(record_tables,), repr=False)
    names: TableNames = TableNames()

    def of(self, use_case: UseCase) -> Mapping[str, Table]:
        """The tables of one use case, by what this package calls them."""
        folder = f"{self.root.rstrip('/')}/{use_case.name}"
        return {
            name: Table(
                name,
                f"{folder}/{self.names.called(use_case.name, name)}",
                self.engine,
                self.storage_options,
                registered_as=self.names.registered(use_case.name, name),
                by_default=f"{folder}/{name}",
            )
            for layer in self.layers
            for name in layer(use_case)
        }


def _sizes(files: Any) -> dict[str, int]:
    return dict(zip(files["path"].to_pylist(), files["size_bytes"].to_pylist(), strict=True))


def _delta_type(delta: Any) -> str:
    return str(getattr(delta, "type", delta))
