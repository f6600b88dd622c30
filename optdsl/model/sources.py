"""Sets and parameters from tables, files and values supplied from outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from optdsl.data.arrays import DenseArray, ParameterValue, SparseArray
from optdsl.data.columns import Column
from optdsl.data.forms import (
    DenseValue,
    FrameValue,
    ListValue,
    MappingValue,
    ScalarValue,
    SparseValue,
)
from optdsl.data.members import (
    Labels,
    RangeLabels,
    SetValue,
    distinct_positions,
    first_duplicate,
    label_text,
    labels_of,
)
from optdsl.data.supplied import Supplied
from optdsl.data.tables import Table, members, numeric, open_sql, open_table, read_array
from optdsl.errors import DataError, DataPlace, Diagnostic, Source, Span, closest
from optdsl.language import tree
from optdsl.model.keyed import (
    Origin,
    as_integers,
    key_positions,
    keyed_array,
    keyed_labels,
    label_array,
    labels_from,
)


@dataclass(frozen=True, eq=False)
class Wanted:
    """What a parameter declares: its axes, the set of its values (None: numbers), its default."""

    axes: tuple[SetValue, ...]
    members: SetValue | None
    default: float | None
    axis_sets: tuple[str | None, ...]  # the declared set behind each axis


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
        order = index.dense().astype(np.int64)
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


def _places(table: Table, columns: Sequence[str]):  # type: ignore[no-untyped-def]
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


# ------------------------------------------------------------------------------------------- supplied from outside


def supplied_set(name: str, value: Supplied, arity: int | None, origin: Origin) -> SetValue:
    """A set from a value supplied from outside."""
    if isinstance(value, ScalarValue):
        return SetValue(name, (labels_of([_member(value.value, name, origin)]),))
    if isinstance(value, ListValue):
        columns = tuple(labels_from(_label_column(c, origin)) for c in value.columns) or (labels_of([]),)
    elif isinstance(value, FrameValue):
        columns = tuple(labels_from(_label_column(c, origin)) for c in value.columns)
    elif isinstance(value, DenseValue):
        flat = as_integers(np.atleast_2d(value.values.T).T.astype(float).reshape(-1))
        if flat is None or value.values.ndim > 2:
            raise origin.fail(
                "member-not-integer",
                f"the members of `{name}` must be text or integers",
                "pass a list of texts or integers, or of tuples of them",
            )
        table = flat.integers.reshape(len(value.values), -1)
        columns = tuple(labels_of(table[:, k].tolist()) for k in range(table.shape[1]))
    elif isinstance(value, MappingValue):
        chosen = (value.values,) if value.by_position else value.keys
        columns = tuple(labels_from(_label_column(c, origin)) for c in chosen)
    else:
        raise origin.fail(
            "not-a-set-value",
            f"`{name}` is a set, but a matrix was given",
            f"pass a list of its members: `solve({name}=[...])`",
        )
    repeated = first_duplicate(columns) if len(columns[0]) else None
    if repeated is not None:
        member = label_text(tuple(c.at(repeated) for c in columns))
        raise origin.fail(
            "duplicate-member", f"the data for set `{name}` holds {member} twice", "a set holds each member once"
        )
    return SetValue(name, columns)


def _member(value: float | str, name: str, origin: Origin) -> int | str:
    if isinstance(value, float):
        if value != int(value):
            raise origin.fail(
                "member-not-integer",
                f"a member of `{name}` must be text or an integer, not {value:g}",
                f'round it, or make it text: `"{value:g}"`',
            )
        return int(value)
    return value


def supplied_parameter(value: Supplied, wanted: Wanted, origin: Origin) -> ParameterValue:
    """A parameter from a value supplied from outside."""
    if isinstance(value, ScalarValue):
        return _from_scalar(value, wanted, origin)
    if isinstance(value, DenseValue):
        return by_position(value.values, wanted, origin, None)
    if isinstance(value, ListValue):
        return _from_list(value, wanted, origin)
    if isinstance(value, SparseValue):
        return _from_sparse(value, wanted, origin)
    if isinstance(value, MappingValue):
        return _from_mapping(value, wanted, origin)
    return _from_frame(value, wanted, origin)


def _from_scalar(value: ScalarValue, wanted: Wanted, origin: Origin) -> ParameterValue:
    if wanted.axes:
        axes = ", ".join(axis.name for axis in wanted.axes)
        raise origin.fail(
            "single-value",
            f"`{origin.name}` is indexed over {axes}, but a single value was given",
            "pass a list, an array or a dictionary by key",
        )
    if isinstance(value.value, str) or wanted.members is not None:
        item = _member(value.value, origin.name, origin)
        return label_array((), labels_of([item]), wanted.members, origin)
    return DenseArray((), np.array(float(value.value)))


def _from_list(value: ListValue, wanted: Wanted, origin: Origin) -> ParameterValue:
    if len(value.columns) != 1:
        # a list of rows: a matrix by position
        numbers = [np.asarray(c.values, dtype=float) for c in value.columns if c.categories is None]
        if len(numbers) == len(value.columns):
            return by_position(np.column_stack(numbers), wanted, origin, None)
        raise origin.fail(
            "not-numbers",
            f"`{origin.name}` takes numbers, but the list holds tuples with text",
            "pass a dictionary by key: `{key: value}`",
        )
    column = value.columns[0]
    if column.categories is not None or wanted.members is not None:
        _check_shape((len(column),), wanted, origin, None)
        return label_array(wanted.axes, labels_from(column), wanted.members, origin)
    return by_position(np.asarray(column.values, dtype=float), wanted, origin, None)


def by_position(values: np.ndarray, wanted: Wanted, origin: Origin, file: str | None) -> ParameterValue:
    """An array whose axes are the parameter's, in order."""
    _check_shape(values.shape, wanted, origin, file)
    shaped = values.reshape([len(axis) for axis in wanted.axes])
    if shaped.dtype.kind == "f" and np.isnan(shaped).any():
        k = int(np.flatnonzero(np.isnan(shaped.reshape(-1)))[0])
        from optdsl.model.keyed import entry_name, member_at

        raise origin.fail(
            "nan-in-data",
            f"`{entry_name(origin.name, member_at(wanted.axes, k))}` is NaN",
            "NaN is not a number; fill the gap, or leave the key out and declare a default",
            place=DataPlace(file) if file else None,
        )
    if wanted.members is not None:
        labels = as_integers(shaped.reshape(-1).astype(float))
        if labels is None:
            raise origin.fail(
                "member-not-integer",
                f"the values of `{origin.name}` must be members of `{wanted.members.name}`",
                f"`{wanted.members.name}` has {wanted.members.preview()}",
            )
        return label_array(wanted.axes, labels, wanted.members, origin)
    return DenseArray(wanted.axes, np.asarray(shaped, dtype=float))


def _check_shape(shape: tuple[int, ...], wanted: Wanted, origin: Origin, file: str | None) -> None:
    expected = tuple(len(axis) for axis in wanted.axes)
    if shape == expected or (not expected and shape in ((), (1,))):
        return
    if not expected:
        raise origin.fail(
            "wrong-shape",
            f"`{origin.name}` is a single value, but the data has the shape {shape_text(shape)}",
            f"give one value, or an index: `param {origin.name}[SET]`",
            place=DataPlace(file) if file else None,
        )
    axes = ", ".join(f"{axis.name} ({len(axis)})" for axis in wanted.axes)
    raise origin.fail(
        "wrong-shape",
        f"`{origin.name}` has the axes {axes}, but the data has the shape {shape_text(shape)}"
        if len(expected) != 1 or len(shape) != 1
        else f"`{origin.name}` needs {expected[0]} value{'' if expected[0] == 1 else 's'}, one for each member of "
        f"{wanted.axes[0].name}, but {shape[0]} {'was' if shape[0] == 1 else 'were'} given",
        "values by position need one entry per member, in the order of the sets",
        place=DataPlace(file) if file else None,
    )


def shape_text(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) if shape else "of a single value"


def _from_sparse(value: SparseValue, wanted: Wanted, origin: Origin) -> ParameterValue:
    _check_shape(value.shape, wanted, origin, None)
    keys = value.rows * value.shape[1] + value.columns
    order = np.argsort(keys, kind="stable")
    keys, values = keys[order], value.values[order]
    if len(keys) and (keys[1:] == keys[:-1]).any():
        keys, start = np.unique(keys, return_index=True)
        values = np.add.reduceat(values, start)
    default = wanted.default if wanted.default is not None else 0.0
    return SparseArray(wanted.axes, keys, np.asarray(values, dtype=float), float(default))


def _from_mapping(value: MappingValue, wanted: Wanted, origin: Origin) -> ParameterValue:
    needed = sum(axis.arity for axis in wanted.axes)
    keys = [labels_from(k) for k in value.keys]
    if value.by_position and len(wanted.axes) == 1 and len(value.values) == len(wanted.axes[0]):
        axis = wanted.axes[0]
        if axis.arity > 1 or (axis.positions(keys) < 0).any():
            return _from_list(ListValue((value.values,)), wanted, origin)
    if len(keys) != needed:
        raise origin.fail(
            "wrong-key-length",
            f"`{origin.name}` has {needed} index position{'' if needed == 1 else 's'}, "
            f"but the keys of its data have {len(keys)}",
            "give one label per index position: a tuple for several",
        )
    if wanted.members is not None or value.values.categories is not None:
        return keyed_labels(wanted.axes, keys, labels_from(value.values), wanted.members, origin)
    return keyed_array(wanted.axes, keys, np.asarray(value.values.values, dtype=float), wanted.default, origin)


def _from_frame(value: FrameValue, wanted: Wanted, origin: Origin) -> ParameterValue:
    needed = sum(axis.arity for axis in wanted.axes)
    columns = [*value.index, *value.columns] if len(value.columns) != needed + 1 else list(value.columns)
    if len(columns) == needed + 1:
        *keys, values = columns
        mapping = MappingValue(tuple(_label_column(k, origin) for k in keys), values)
        return _from_mapping(mapping, wanted, origin)
    numbers = [c for c in value.columns if c.categories is None]
    if len(wanted.axes) == 2 and len(numbers) == len(value.columns):
        return _from_wide_frame(value, wanted, origin)
    raise origin.fail(
        "wrong-columns",
        f"`{origin.name}` needs {needed} key column{'' if needed == 1 else 's'} and a value column, "
        f"but the data has {len(value.columns)} column{'' if len(value.columns) == 1 else 's'}",
        "select the columns in the order of the axes, the value last",
    )


def _from_wide_frame(value: FrameValue, wanted: Wanted, origin: Origin) -> ParameterValue:
    """Rows for the first axis (by index where there is one), columns for the second by name."""
    front, last = wanted.axes
    matrix = np.column_stack([np.asarray(c.values, dtype=float) for c in value.columns])
    order = last.positions([labels_of([_column_label(c.name, last) for c in value.columns])])
    if len(order) != len(last) or (order < 0).any():
        return by_position(matrix, wanted, origin, None)
    if value.index:
        rows = key_positions((front,), [labels_from(_label_column(c, origin)) for c in value.index], origin)
    else:
        rows = np.arange(len(matrix))
    if len(rows) != len(front):
        _check_shape(matrix.shape, wanted, origin, None)
    result = np.full((len(front), len(last)), np.nan)
    result[rows[:, None], order[None, :]] = matrix
    return by_position(result, wanted, origin, None)


def _column_label(name: str, axis: SetValue) -> int | str:
    if not isinstance(axis.labels, RangeLabels) and axis.labels.integers is None:
        return name
    return int(name) if name.lstrip("-").isdigit() else name


def _label_column(column: Column, origin: Origin) -> Column:
    from optdsl.data.forms import as_labels

    with located(origin.span, origin.source):
        return as_labels(origin.name, column)
