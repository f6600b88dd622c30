"""What must be the same for a run to go on from a checkpoint: digests of the text, the data and the options."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from optdsl.model.model import Model


def marks_of(model: Model, method: str, options: Mapping[str, object]) -> dict[str, str]:
    """SHA-256 digests by what they are of; an option that only says how far to go leaves them as they are."""
    asked = {name: repr(value) for name, value in options.items()}
    return {
        "model": hashlib.sha256(model.source.text.encode()).hexdigest(),
        "data": digest([model.sets, model.parameters]),
        "options": digest([method, dict(sorted(asked.items()))]),
    }


def digest(value: object) -> str:
    """The digest of data of any shape: arrays by their bytes, records and collections part by part."""
    found = hashlib.sha256()
    _add(found, value)
    return found.hexdigest()


def _add(found: Any, value: object) -> None:
    found.update(type(value).__name__.encode())
    if isinstance(value, np.ndarray):
        found.update(f"{value.dtype} {value.shape}".encode())
        if value.dtype == object:
            for item in value.reshape(-1):
                _add(found, item)
        else:
            found.update(np.ascontiguousarray(value).reshape(-1).view(np.uint8))  # no copy
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for part in dataclasses.fields(value):
            if part.compare or part.init:
                _add(found, getattr(value, part.name))
    elif isinstance(value, Mapping):
        for key in value:
            _add(found, key)
            _add(found, value[key])
    elif isinstance(value, list | tuple):
        for item in value:
            _add(found, item)
    else:
        found.update(repr(value).encode())
