"""Sets and parameters from tables, files and values supplied from outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from optdsl.data.arrays import DenseArray, ParameterValue
from optdsl.data.columns import Column
from optdsl.data.forms import (
    FrameValue,
    ScalarValue,
)
from optdsl.data.members import (
    Labels,
    RangeLabels,
    SetValue,
    distinct_positions,
    labels_of,
)
from optdsl.data.supplied import Supplied
from optdsl.data.tables import Table, members, numeric, open_sql, open_table, read_array
from optdsl.errors import DataError, DataPlace, Diagnostic, Source, Span, closest
from optdsl.language import tree
from optdsl.model.keyed import (
    Origin,
    keyed_array,
    keyed_labels,
    labels_from,
)
from optdsl.model.wanted import Wanted, by_position


@dataclass(eq=False)
class Tables:
    """The tables of a text, opened when first used."""

    source: Source
    folder: Path
    declared: Mapping[str, tree.TableDecl]
    paths: Mapping[str, str]
    supplied: Mapping[str, Supplied]
    row_sets: dict[str, str] = field(default_factory=dict)  # set name -> table whose rows it is
    _open: dict[str, Table] = field(default_factory=dict)

    def get(self, name: str, span: Span) -> Table:
        """The table of this name; an unknown one is an error."""
        if name in self._open:
            return self._open[name]
        declaration = self.declared.get(name)
        if declaration is None:
            guess = closest(name, list(self.declared))
            raise self._fault(
                "unknown-table",
                span,
                f"there is no table `{name}`",
                f"did you mean `{guess}`?" if guess else f'declare it: `table {name} from "file.csv"`',
            )
        with located(declaration.path_span or declaration.name_span, self.source):
            table = self._read(name, declaration)
        self._open[name] = table
        return table

    def _read(self, name: str, declaration: tree.TableDecl) -> Table:
        value = self.supplied.get(name)
        if isinstance(value, FrameValue):
            return value.table(name)
        if isinstance(value, ScalarValue) and isinstance(value.value, str):
            return open_table(value.value, folder=Path(), name=name)
        if value is not None:
            raise DataError(
                Diagnostic(
                    "not-a-table",
                    f"the data for table `{name}` has no named columns",
                    None,
                    "pass a pandas, Polars or Arrow table, or a file",
                )
            )
        path = self.paths.get(name)
        if path is not None:
            return open_table(path, folder=Path(), name=name)
        if declaration.query is not None:
            return open_sql(declaration.query, declaration.path, folder=self.folder, name=name)
        assert declaration.path is not None
        return open_table(declaration.path, folder=self.folder, name=name)

    def _fault(self, code: str, span: Span, message: str, hint: str | None = None) -> DataError:
        return DataError(Diagnostic(code, message, span, hint, self.source))

    # ------------------------------------------------------------------------------------------------------ sets

    def set_from(self, declaration: tree.SetDecl, origin: Origin) -> SetValue:
        """The members of a set `from` a table."""
        data = declaration.source
        if isinstance(data, tree.FromColumns):
            table = self.get(data.table, data.table_span)
            names = table.matching(data.pattern)
            if not names:
                raise self._fault(
                    "no-columns-match",
                    data.span,
                    f'no column of table `{data.table}` matches "{data.pattern}"',
                    f"its columns are {', '.join(table.columns[:12])}{' ...' if len(table.columns) > 12 else ''}",
                )
            return SetValue(declaration.name, (labels_of(names),))
        if isinstance(data, tree.FromFile):
            raise origin.fail(
                "set-from-file",
                "a set is read from a table, not from a file directly",
                f'`table t from "{data.path}"`, then `set {declaration.name} from t(column)`',
            )
        assert isinstance(data, tree.FromTable)
        table = self.get(data.table, data.table_span)
        if data.columns is None:
            self.row_sets[declaration.name] = data.table
            return SetValue(declaration.name, (RangeLabels(1, 1, table.rows),))
        columns = self._columns(table, data)
        return set_from_columns(declaration.name, [self._members(table, c, data) for c in columns], distinct=True)

    def _columns(self, table: Table, data: tree.FromTable) -> list[Column]:
        found = []
        for name, span in zip(data.columns or (), data.column_spans, strict=True):
            with located(span, self.source):
                found.append(table.column(name))
        return found

    def _members(self, table: Table, column: Column, data: tree.FromTable) -> Labels:
        with located(data.span, self.source):
            return labels_from(members(column, table))

    def _numbers(self, table: Table, column: Column, data: tree.FromTable) -> np.ndarray:
        with located(data.span, self.source):
            return numeric(column, table)

    # ------------------------------------------------------------------------------------------------- parameters

    def parameter_from(self, declaration: tree.ParamDecl, wanted: Wanted, origin: Origin) -> ParameterValue:
        """The values of a parameter `from` a table or a file."""
        data = declaration.source
        if isinstance(data, tree.FromFile):
            with located(data.span, self.source):
                values = read_array(data.path, folder=self.folder)
            return by_position(values, wanted, origin, data.path)
        assert isinstance(data, tree.FromTable)
        table = self.get(data.table, data.table_span)
        return self.table_parameter(table, data, wanted, origin, data.table)

    def table_parameter(
        self, table: Table, data: tree.FromTable, wanted: Wanted, origin: Origin, name: str | None
    ) -> ParameterValue:
        """The values of a parameter from named columns: keys, then the value; or one column per last member."""
        columns = self._columns(table, data)
        rows = [name is not None and self.row_sets.get(s or "") == name for s in wanted.axis_sets]
        needed = sum(axis.arity for axis, own in zip(wanted.axes, rows, strict=True) if not own)
        if len(columns) == needed + 1:
            keys = self._keys(table, columns[:-1], wanted, rows, data)
            return self._long(table, columns, keys, wanted, origin, data)
        last = wanted.axes[-1] if wanted.axes else None
        if last is not None and not rows[-1] and last.arity == 1 and len(columns) == needed - 1:
            return self._wide(table, columns, wanted, rows, origin, data)
        raise self._wrong_columns(origin.name, wanted, rows, data, needed)

    def _wrong_columns(
        self, name: str, wanted: Wanted, rows: Sequence[bool], data: tree.FromTable, needed: int
    ) -> DataError:
        parts = [axis.name for axis, own in zip(wanted.axes, rows, strict=True) if not own]
        keys = f"{needed} key column{'s' if needed != 1 else ''}" + (f" (for {', '.join(parts)})" if parts else "")
        given = len(data.columns or ())
        if data.table not in self.declared:
            return self._fault(
                "wrong-columns",
                data.span,
                f"the data for `{name}` has {given} column{'s' if given != 1 else ''}, but `{name}` needs {keys} "
                "and a value column",
                "give it these columns in the order of the axes, the value last; or read the file as a `table`",
            )
        return self._fault(
            "wrong-columns",
            data.span,
            f"{given} column{'s were' if given != 1 else ' was'} named, but `{name}` needs {keys} and a value column",
            f"write `from {data.table}({', '.join([*[p.lower() for p in parts], 'value'])})` with the table's names",
        )

    def _keys(
        self, table: Table, columns: Sequence[Column], wanted: Wanted, rows: Sequence[bool], data: tree.FromTable
    ) -> list[Labels]:
        keys: list[Labels] = []
        rest = list(columns)
        for axis, own in zip(wanted.axes, rows, strict=True):
            if own:
                keys.append(axis.labels)
            else:
                keys.extend(self._members(table, rest.pop(0), data) for _ in range(axis.arity))
        return keys

    def _long(
        self,
        table: Table,
        columns: Sequence[Column],
        keys: list[Labels],
        wanted: Wanted,
        origin: Origin,
        data: tree.FromTable,
    ) -> ParameterValue:
        value = columns[-1]
        names = [c.name for c in columns]
        origin = Origin(origin.name, origin.span, origin.source, _places(table, names))
        if not wanted.axes and table.rows != 1:
            raise origin.fail(
                "not-one-row",
                f"`{origin.name}` is a single value, but table `{table.name}` has {table.rows} rows",
                "add an index, or select one row with SQL",
                span=data.span,
            )
        if wanted.members is not None:
            return keyed_labels(wanted.axes, keys, self._members(table, value, data), wanted.members, origin)
        if value.kind == "text" and len(value) and wanted.default is None and not _looks_numeric(value):
            return keyed_labels(wanted.axes, keys, self._members(table, value, data), None, origin)
        return keyed_array(wanted.axes, keys, self._numbers(table, value, data), wanted.default, origin)

    def _wide(
        self,
        table: Table,
        columns: Sequence[Column],
        wanted: Wanted,
        rows: Sequence[bool],
        origin: Origin,
        data: tree.FromTable,
    ) -> ParameterValue:
        last = wanted.axes[-1]
        names = [str(label) for (label,) in last.members()]
        for name in names:
            if name not in table.columns:
                guess = closest(name, list(table.columns))
                raise origin.fail(
                    "missing-column",
                    f'table `{table.name}` has no column "{name}", a member of `{last.name}`',
                    f'did you mean "{guess}"?' if guess else f"its columns are {', '.join(table.columns[:12])}",
                    span=data.span,
                )
        front = Wanted(wanted.axes[:-1], None, wanted.default, wanted.axis_sets[:-1])
        keys = self._keys(table, columns, front, rows[:-1], data)
        columns_ = [self._numbers(table, table.column(name), data) for name in names]
        values = np.column_stack(columns_) if columns_ else np.zeros((table.rows, 0))
        where = Origin(origin.name, origin.span, origin.source, _places(table, [c.name for c in columns]))
        if not front.axes:
            if table.rows != 1:
                raise origin.fail(
                    "not-one-row",
                    f"table `{table.name}` has {table.rows} rows, but one is needed here",
                    f"name a key column: `from {table.name}(key)`",
                    span=data.span,
                )
            return DenseArray(wanted.axes, values.reshape(len(last)))
        missing = -1.0 if wanted.default is not None else None
        index = keyed_array(front.axes, keys, np.arange(table.rows, dtype=float), missing, where)
        order = index.dense().astype(np.int64)  # type: ignore[union-attr]
        full = values[order]
        if wanted.default is not None:
            full = np.where((order < 0)[..., None], wanted.default, full)
        return DenseArray(wanted.axes, full)


def _looks_numeric(column: Column) -> bool:
    """Whether some cell of a text column is a number: then the text cells are mistakes, not labels."""
    from optdsl.data.columns import NUMBER

    texts = column.categories if column.categories is not None else ()
    return any(isinstance(text, str) and NUMBER.fullmatch(text.strip()) for text in texts)


@contextmanager
def located(span: Span, source: Source) -> Iterator[None]:
    """Give mistakes in data that have no place in the text this one."""
    try:
        yield
    except DataError as error:
        raise DataError(*(_located(d, span, source) for d in error.diagnostics)) from None


def _located(diagnostic: Diagnostic, span: Span, source: Source) -> Diagnostic:
    if diagnostic.span is not None:
        return diagnostic
    return Diagnostic(
        diagnostic.code,
        diagnostic.message,
        span,
        diagnostic.hint,
        source,
        diagnostic.place,
        diagnostic.notes,
    )


def _places(table: Table, columns: Sequence[str]):
    def place(row: int, column: int | None) -> DataPlace | None:
        if row < 0:
            return DataPlace(table.file)
        return table.place(row, columns[column] if column is not None and column < len(columns) else None)

    return place


def set_from_columns(name: str, columns: Sequence[Labels], *, distinct: bool) -> SetValue:
    """A set of the tuples in some columns; with `distinct` repeated rows count once."""
    value = SetValue(name, tuple(columns))
    if not distinct:
        return value
    keep = distinct_positions(columns)
    return value if len(keep) == len(value) else value.take(keep)


