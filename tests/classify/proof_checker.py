"""An independent checker: replays a proof, as `check` prints it in JSON, from the model's text.

It knows the textbook's rules of convex functions in a table of its own, applies each step's rule to what the steps that
it uses claim, and re-samples every claim (values, intervals, signs, curvature, equalities, equivalences) at points of
D with the naive evaluator. Nothing of `optdsl.classify` is imported.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from naive import Grid, Member, Outside, broadcast

from optdsl.language import parse, tree

from .proof_definitions import Undefined, changed, completed, definitions_of, mentions, require_definitions
from .proof_points import Data, Point, defined, joined, mixed, points_of, readable
from .proof_rules import composed, function_shape, reduction_shape

Step = Mapping[str, Any]
Lanes = dict[Member, np.ndarray]
ROUNDING = 1e-6
POINTS = 20


class Wrong(AssertionError):
    """A step that does not stand."""


@dataclass
class Tally:
    """What was checked: steps, those that the naive evaluator cannot read, models without a point found."""

    steps: int = 0
    unread: int = 0
    nowhere: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)


def check_proofs(
    text: str, verdict: Mapping[str, Any], tally: Tally | None = None, seed: int = 0, folder: Path = Path()
) -> Tally:
    """Replays the proofs of all statements of a verdict (parsed JSON). Raises Wrong."""
    tally = tally or Tally()
    affine = [
        s["name"]
        for s in verdict["statements"]
        if s["role"] == "constraint" and s["curvature"] == "affine" and not changed(s)
    ]
    data = Data.of(text, folder)
    file = parse(text, "test.opt")
    definitions = definitions_of(verdict)
    try:
        require_definitions(text, data, definitions)
        with np.errstate(all="ignore"):
            drawn = completed(text, data, definitions, points_of(file, data, affine, 4 * POINTS, seed))
            base = defined(file, data, drawn, POINTS)
    except Undefined as wrong:
        raise Wrong(str(wrong)) from None
    if base is None:
        tally.nowhere += 1
        return tally
    count = len(next(iter(next(iter(base.values())).values())))
    pairs = np.eye(count) / 2 + np.roll(np.eye(count), 1, axis=0) / 2
    with np.errstate(all="ignore"):
        where = completed(text, data, definitions, joined(base, mixed(base, pairs)))
    names = [d.name for d in definitions]
    for statement in verdict["statements"]:
        if statement["proof"]:
            Replay(text, statement, data, where, count, names).run(tally)
    return tally


class Replay:
    """One statement's proof at the points: `count` of D, then the midpoint of each with the one after it."""

    def __init__(
        self,
        text: str,
        statement: Mapping[str, Any],
        data: Data,
        where: Point,
        count: int,
        eliminated: Sequence[str] = (),
    ) -> None:
        self.statement, self.data, self.count, self.eliminated = statement, data, count, eliminated
        self.steps: dict[int, Step] = {}
        self.sources: dict[tuple[str, str], str] = {}
        for step in statement["proof"]:
            over = step.get("for", "")
            for part in (step["expr"], *step.get("arguments", ()), *step.get("after", ())):
                self.sources.setdefault((over, part), f"proof_{len(self.sources)}")
        lines = [
            f"  {name}{_domain(readable(over))}: {_relation(readable(part))}"
            for (over, part), name in self.sources.items()
        ]
        self.file = parse(text.rstrip() + "\nsubject to\n" + "\n".join(lines) + "\n", "test.opt")
        self.values = data.at(self.file, where)
        self.held = {
            c.name: c for s in self.file.statements if isinstance(s, tree.SubjectTo) for c in s.constraints if c.name
        }
        self.memo: dict[tuple[str, str], Any] = {}

    # ---------------------------------------------------------------------------------------------------- the walk

    def run(self, tally: Tally) -> None:
        with np.errstate(all="ignore"):
            for step in self.statement["proof"]:
                if step["step"] in self.steps or any(u not in self.steps for u in step["uses"]):
                    raise Wrong(f"step {step['step']} uses what was not shown before: {step['uses']}")
                try:
                    self._sampled(step)
                    RULES[step["kind"]](self, step)
                except Wrong as wrong:
                    raise Wrong(f"{self.statement['name']}, step {step['step']}: {wrong}\n{step}") from None
                except Unread as unread:
                    tally.unread += 1
                    tally.texts.append(str(unread))
                self.steps[step["step"]] = step
                tally.steps += 1
                tally.kinds[step["kind"]] = tally.kinds.get(step["kind"], 0) + 1
                self._without_the_eliminated(step)
            last = self.statement["proof"][-1]
            if last["kind"] not in LAST:
                raise Wrong(f"the proof ends with {last['kind']}")
            self._about_the_statement()

    def _without_the_eliminated(self, step: Step) -> None:
        """What is shown of shapes and sets speaks of what is left."""
        texts = [*step.get("after", ()), *step.get("arguments", ()), *step.get("needs", ())]
        texts += [] if step["kind"] in ("definition", "substitution", "eliminated") else [step["expr"]]
        found = [name for text in texts for name in mentions(text, self.eliminated)]
        if found:
            raise Wrong(f"step {step['step']} speaks of {found}, which are eliminated")

    def _about_the_statement(self) -> None:
        """The last steps speak of the statement as it is written."""
        if self.statement["role"] == "objective":
            try:
                written = np.asarray(self.values.objective(), dtype=float)
            except (AssertionError, KeyError, ZeroDivisionError, Outside):
                return
            try:
                shown = self.lanes("", self.statement["proof"][-1]["expr"])[()]
            except Unread:
                return
            _same(written, shown, "the objective is another expression")
            return
        constraint = self.held.get(self.statement["name"])
        if constraint is None or any(op in (">>", "<<") for op in constraint.relation.ops):
            return
        try:
            written = self.values.instances(constraint)
        except (AssertionError, KeyError, ZeroDivisionError, Outside):
            return
        finals = [s for s in self.statement["proof"] if s["kind"] in LAST and not self._used(s)]
        shown: list[list[np.ndarray]] = []
        try:
            for final in finals:
                relation = self._held(final.get("for", ""), final["expr"])
                shown.extend(
                    [self._value(o, env) for o in relation.relation.operands]
                    for env, _ in self.values.iterate(relation.domain, {})
                )
        except (AssertionError, KeyError, ZeroDivisionError, Outside, Unread):
            return
        _same(_sizes(written.values()), _sizes(shown), "the constraint is another one")

    def _used(self, step: Step) -> bool:
        return any(step["step"] in s["uses"] for s in self.statement["proof"])

    # ---------------------------------------------------------------------------------------------------- values

    def lanes(self, over: str, part: str) -> Lanes:
        """The values of a text at every combination of its indices."""
        key = (over, part)
        if key not in self.memo:
            constraint = self._held(over, part)
            found: Lanes = {}
            try:
                for env, member in self.values.iterate(constraint.domain, {}):
                    found[_member(over, member)] = self._value(constraint.relation.operands[0], env)
            except (AssertionError, KeyError, ZeroDivisionError, Outside):
                raise Unread(part) from None
            self.memo[key] = found
        return self.memo[key]

    def _held(self, over: str, part: str) -> Any:
        if (over, part) not in self.sources:
            raise Unread(part)
        return self.held[self.sources[over, part]]

    def _value(self, node: Any, env: Mapping[str, Any]) -> Any:
        value = self.values.value(node, env)
        if isinstance(value, Grid):
            raise Unread("an array")
        return np.broadcast_to(np.asarray(value, dtype=float), (2 * self.count,))

    def _truth(self, over: str, part: str) -> dict[Member, np.ndarray]:
        """Where a relation holds: 1, 0, or nan where rounding could decide."""
        constraint = self._held(over, part)
        found = {}
        try:
            for env, member in self.values.iterate(constraint.domain, {}):
                operands = [self._value(o, env) for o in constraint.relation.operands]
                found[_member(over, member)] = _holds(constraint.relation.ops, operands)
        except (AssertionError, KeyError, ZeroDivisionError, Outside):
            raise Unread(part) from None
        return found

    def _sampled(self, step: Step) -> None:
        """Interval, sign and curvature that a step claims, at the points."""
        claim = step["gives"].split(", ")
        if step["kind"] in UNSAMPLED:
            return
        low, high = step.get("range", (None, None))
        low = -math.inf if low is None else low
        high = math.inf if high is None else high
        for member, value in self.lanes(step.get("for", ""), step["expr"]).items():
            fine = value[np.isfinite(value)]
            slack = ROUNDING * (1 + np.abs(fine))
            if (fine < low - slack).any() or (fine > high + slack).any():
                raise Wrong(f"outside its interval at {member}: {fine.min()} to {fine.max()}")
            if ("nonnegative" in claim and (fine < -slack).any()) or ("nonpositive" in claim and (fine > slack).any()):
                raise Wrong(f"has another sign at {member}")
            self._curved(claim[0], value, member)

    def _curved(self, word: str, value: np.ndarray, member: Member, strict: bool = True) -> None:
        start, end, middle = value[: self.count], np.roll(value[: self.count], -1), value[self.count :]
        fine = np.isfinite(start) & np.isfinite(end)
        if strict and (np.isnan(middle) & fine).any():
            raise Wrong(f"undefined between points where it is defined, at {member}")
        fine &= np.isfinite(middle)
        gap = (middle - (start + end) / 2)[fine]
        slack = ROUNDING * (1 + np.abs(start) + np.abs(end))[fine]
        if word in ("convex", "affine") and (gap > slack).any():
            raise Wrong(f"not {word} at {member}: above its chord by {gap.max()}")
        if word in ("concave", "affine") and (gap < -slack).any():
            raise Wrong(f"not {word} at {member}: below its chord by {-gap.min()}")

    # ---------------------------------------------------------------------------------------------------- rules

    def _used_steps(self, step: Step) -> list[Step]:
        return [self.steps[u] for u in step["uses"]]

    def _affine(self, step: Step) -> None:
        """Sampled; nothing else is to be shown of it."""
        uses = self._used_steps(step)
        if word(step) != "affine" or any(u["kind"] != "bound" or u["expr"] != step["expr"] for u in uses):
            raise Wrong("an affine step claims only that")

    def _bound(self, step: Step) -> None:
        """An interval that constraints and natural domains give: sampled."""
        if not step.get("needs"):
            raise Wrong("nothing is named that gives the bound")

    def _sum(self, step: Step) -> None:
        parts = self._used_steps(step)
        if not parts or any(p.get("for", "") != step.get("for", "") for p in parts):
            raise Wrong("a sum needs its parts, at the same indices")
        _all_curve(word(step), [word(p) for p in parts])
        over = step.get("for", "")
        whole = self.lanes(over, step["expr"])
        added = [self.lanes(over, p["expr"]) for p in parts]
        for member, value in whole.items():
            rest = value - sum(a[member] for a in added)
            size = np.abs(value) + sum(np.abs(a[member]) for a in added)
            _constant(rest, size, f"not the sum of its parts at {member}")

    def _multiple(self, step: Step) -> None:
        whole = self.lanes(step.get("for", ""), step["expr"])
        left = set(whole)
        for part in self._used_steps(step):
            for member, value in self.lanes(part.get("for", ""), part["expr"]).items():
                if member not in whole:
                    raise Wrong("a part at other indices")
                left.discard(member)
                factor = _factor(whole[member], value)
                if factor is None:
                    raise Wrong(f"not a multiple at {member}")
                if word(step) != "convex or concave by index" and factor != 0:
                    _all_curve(word(step), [word(part) if factor > 0 else OPPOSITE.get(word(part), word(part))])
        for member in left:
            _constant(whole[member], np.abs(whole[member]), f"no part shows it at {member}")

    def _members(self, step: Step) -> None:
        """A sum (mean) over members."""
        (part,) = self._used_steps(step)
        _all_curve(word(step), [word(part)])
        whole = self.lanes(step.get("for", ""), step["expr"])
        groups: dict[Member, list[np.ndarray]] = {m: [] for m in whole}
        for member, value in self.lanes(part.get("for", ""), part["expr"]).items():
            depth = len(next(iter(whole)))
            groups[member[:depth]].append(value)
        for member, values in groups.items():
            total = sum(values) if values else np.zeros(2 * self.count)
            total = total / max(len(values), 1) if step["kind"] == "mean" else total
            _same(whole[member], total, f"not the {step['kind']} at {member}")

    def _function(self, step: Step) -> None:
        over = step.get("for", "")
        parts = self._used_steps(step)
        texts = list(step["arguments"])
        given = [self.lanes(over, t) for t in texts]
        by_text = {p["expr"]: p for p in parts if p.get("for", "") == over}
        whole = self.lanes(over, step["expr"])
        for member, value in whole.items():
            arguments = [g[member] for g in given]
            boxes, words = [], []
            numbers: list[Any] = []
            for text, argument in zip(texts, arguments, strict=True):
                numbers.append(argument)
                known = by_text.get(text)
                if known is None:
                    _constant(argument, np.abs(argument), f"`{text}` is used but not shown")
                    boxes.append((float(argument[0]), float(argument[0])))
                    words.append(None)
                    numbers[-1] = float(argument[0])
                else:
                    low, high = known.get("range", (None, None))
                    boxes.append((-math.inf if low is None else low, math.inf if high is None else high))
                    words.append(word(known))
            formula, shape = function_shape(step["function"], boxes)
            _same(value, formula(*numbers), f"`{step['function']}` has another value at {member}")
            if word(step) != "convex or concave by index":
                found = _always_taken(step["function"], boxes, words) or composed(shape, words)
                if not _as_strong(found, word(step)) and not _one_value(step, value):
                    raise Wrong(f"the rule gives {found} at {member}")

    def _reduction(self, step: Step) -> None:
        (part,) = self._used_steps(step)
        whole = self.lanes(step.get("for", ""), step["expr"])
        depth = len(next(iter(whole)))
        groups: dict[Member, list[np.ndarray]] = {m: [] for m in whole}
        for member, value in self.lanes(part.get("for", ""), part["expr"]).items():
            groups[member[:depth]].append(value)
        given = [self.lanes(step.get("for", ""), t) for t in step.get("arguments", ())]
        extra = [float(g[next(iter(whole))][0]) for g in given]
        low, high = part.get("range", (None, None))
        shape = reduction_shape(step["function"], low, high, extra)
        found = composed(shape, [word(part)])
        # of members that curve differently by index the whole was sampled only
        if not _as_strong(found, word(step)) and word(part) != "convex or concave by index":
            raise Wrong(f"the rule gives {found}")
        for member, values in groups.items():
            _same(whole[member], self.values.reduced(step["function"], values, extra), f"another value at {member}")

    def _array(self, step: Step) -> None:
        parts = self._used_steps(step)
        shape = reduction_shape(step["function"], None, None, [])
        shape = (shape[0], (shape[1][0],) * len(parts))
        found = composed(shape, [word(p) for p in parts])
        if not _as_strong(found, word(step)):
            raise Wrong(f"the rule gives {found}")

    def _branches(self, step: Step) -> None:
        whole = dict(self.lanes(step.get("for", ""), step["expr"]))
        for part in self._used_steps(step):
            if word(step) != "convex or concave by index":
                _all_curve(word(step), [word(part)])
            for member, value in self.lanes(part.get("for", ""), part["expr"]).items():
                _same(whole.pop(member), value, f"another branch at {member}")
        for member, value in whole.items():
            _constant(value, np.abs(value), f"no branch at {member}")

    def _quadratic(self, step: Step) -> None:
        certificate = step["certificate"]
        if "value" in certificate and not certificate["value"] >= -certificate["tolerance"]:
            raise Wrong("the certificate does not hold")
        sign = 1.0 if word(step) == "convex" else -1.0
        for member, value in self._along_lines(step).items():
            far, ahead, here, back = value
            size = ROUNDING * (1 + sum(np.abs(v) for v in value))
            if (np.abs(far - 3 * ahead + 3 * here - back) > size).any():
                raise Wrong(f"not of degree two at {member}")
            if (sign * (ahead + back - 2 * here) < -size).any():
                raise Wrong(f"curves the other way at {member}")

    def _shown(self, step: Step) -> None:
        """A function whose curvature was shown of its own argument: a root or the like of a quadratic, a product.

        The curvature of the whole is sampled; a quadratic must be one, and its certificate hold.
        """
        (part,) = step["arguments"]
        if "certificate" not in step:
            return
        certificate = step["certificate"]
        if not certificate["value"] >= -certificate["tolerance"]:
            raise Wrong("the certificate does not hold")
        for member, value in self._along_lines({**step, "expr": part}).items():
            far, ahead, here, back = value
            size = ROUNDING * (1 + sum(np.abs(v) for v in value))
            if (np.abs(far - 3 * ahead + 3 * here - back) > size).any():
                raise Wrong(f"not of degree two at {member}")
            if (ahead + back - 2 * here < -size).any():
                raise Wrong(f"curves the other way at {member}")
            if step["function"] == "quadratic_norm" and (here < -size).any():
                raise Wrong(f"no sum of squares at {member}")

    def _along_lines(self, step: Step) -> dict[Member, list[np.ndarray]]:
        """The values at x + 2 d, x + d, x, x - d for many random directions d."""
        random = np.random.default_rng(5)
        tries = 200
        names = dict(self.values.point.items())
        start = {n: {k: random.normal(size=tries) for k in e} for n, e in names.items()}
        ahead = {n: {k: random.normal(size=tries) for k in e} for n, e in names.items()}
        for entries in (*start.values(), *ahead.values()):
            for key in entries:  # symmetric entries are given both ways
                turned = key[len(key) // 2 :] + key[: len(key) // 2]
                if turned in entries and self._is_symmetric(names, entries, key, turned):
                    entries[turned] = entries[key]
        where = {
            n: {k: np.concatenate([start[n][k] + t * ahead[n][k] for t in (2, 1, 0, -1)]) for k in e}
            for n, e in names.items()
        }
        values = self.data.at(self.file, where)
        constraint = self._held(step.get("for", ""), step["expr"])
        found = {}
        try:
            for env, member in values.iterate(constraint.domain, {}):
                value = values.value(constraint.relation.operands[0], env)
                full = np.broadcast_to(np.asarray(value, dtype=float), (4 * tries,))
                found[member] = list(full.reshape(4, tries))
        except (AssertionError, KeyError, ZeroDivisionError, Outside):
            raise Unread(step["expr"]) from None
        return found

    @staticmethod
    def _is_symmetric(names: Mapping[str, Any], entries: Any, key: Member, turned: Member) -> bool:
        own = next((e for e in names.values() if e.keys() == entries.keys()), None)
        return own is not None and bool(np.array_equal(own[key], own[turned]))

    # ---------------------------------------------------------------------------- logarithms and level sets

    def _on_log_scale(self, over: str, part: str) -> Lanes:
        """The logarithm of a text at positive points, then at the geometric mean of each and the one after it."""
        positive = {
            n: {k: np.maximum(v[: self.count], 1e-3) for k, v in e.items()} for n, e in self.values.point.items()
        }
        where = {
            n: {k: np.concatenate([v, np.sqrt(v * np.roll(v, -1))]) for k, v in e.items()} for n, e in positive.items()
        }
        values, constraint, found = self.data.at(self.file, where), self._held(over, part), {}
        try:
            for env, member in values.iterate(constraint.domain, {}):
                value = np.asarray(values.value(constraint.relation.operands[0], env), dtype=float)
                found[_member(over, member)] = np.log(np.broadcast_to(value, (2 * self.count,)))
        except (AssertionError, KeyError, ZeroDivisionError, Outside):
            raise Unread(part) from None
        return found

    def _log_log(self, step: Step) -> None:
        """The logarithm as a function of logarithms has the curvature that is claimed, and so have its parts."""
        claimed = step["gives"].removeprefix("log-log ")
        for member, value in self._on_log_scale(step.get("for", ""), step["expr"]).items():
            self._curved(claimed, np.where(np.isfinite(value), value, np.nan), member, strict=False)
        words = [s["gives"].removeprefix("log-log ") for s in self._used_steps(step)]
        match step["function"]:
            case "monomial":
                fine = claimed == "affine" and not words
            case "sum" | "members":
                fine = claimed == "convex" and bool(words) and set(words) <= {"affine", "convex"}
            case "difference":
                fine = claimed == "concave"
            case "product":
                fine = bool(words) and set(words) <= {"affine", claimed}
            case "power":
                fine = set(words) <= {"affine", claimed, OPPOSITE.get(claimed, claimed)}
            case _:
                fine = True
        if not fine:
            raise Wrong(f"parts that are {words} do not give {claimed}")
        if step["function"] == "sum":
            over = step.get("for", "")
            parts = [self.lanes(over, s["expr"]) for s in self._used_steps(step)]
            for member, value in self.lanes(over, step["expr"]).items():
                _constant(value - sum(p[member] for p in parts), np.abs(value), f"not the sum of its parts at {member}")

    def _log_relation(self, step: Step) -> None:
        """Both sides as they stand in `after`: the smaller one log-log convex, the greater one concave."""
        self._equivalence(step)
        over = step.get("for", "")
        shown = {s["expr"]: s["gives"].removeprefix("log-log ") for s in self._used_steps(step)}
        for relation in step["after"]:
            constraint = self._held(over, relation)
            equal = constraint.relation.ops[0] in ("=", "==")
            needs = ("affine", "affine") if equal else ("convex", "concave")
            sides = relation.split(" = " if equal else " <= ")
            for side, need in zip(sides, needs, strict=True):
                if side in shown and not _as_strong(shown[side], need):
                    raise Wrong(f"`{side}` is {shown[side]}, not {need}")

    def _levels(self, step: Step) -> None:
        """Along a segment the value is at most (at least) that of the worse end."""
        for member, value in self.lanes(step.get("for", ""), step["expr"]).items():
            start, end, middle = value[: self.count], np.roll(value[: self.count], -1), value[self.count :]
            fine = np.isfinite(start) & np.isfinite(end) & np.isfinite(middle)
            slack = ROUNDING * (1 + np.abs(start) + np.abs(end))
            above, below = middle > np.maximum(start, end) + slack, middle < np.minimum(start, end) - slack
            word_ = step["gives"]
            if (word_ == "quasiconvex" and (above & fine).any()) or (word_ == "quasiconcave" and (below & fine).any()):
                raise Wrong(f"not {word_} at {member}")

    def _only_sampled(self, step: Step) -> None:
        """What bounds leave is not told in the step: the whole was sampled on segments, as every step is."""

    def _constant_by_bounds(self, step: Step) -> None:
        """The bounds leave one value at each index."""
        for member, value in self.lanes(step.get("for", ""), step["expr"]).items():
            if not _is_constant(value, value):
                raise Wrong(f"more than one value at {member}")

    def _claimed(self, step: Step) -> None:
        if not step["uses"] and any(v.std() > ROUNDING for v in self.lanes(step.get("for", ""), step["expr"]).values()):
            raise Wrong("nothing is used")

    def _rewriting(self, step: Step) -> None:
        over = step.get("for", "")
        (after,) = step["after"]
        new = self.lanes(over, after)
        for member, value in self.lanes(over, step["expr"]).items():
            fine = np.isfinite(value)
            _same(value[fine], new[member][fine], f"the rewriting changes the value at {member}")

    def _rewritten(self, step: Step) -> None:
        self._rewriting(step)
        shape = self._used_steps(step)[-1]
        if all(_is_constant(v, v) for v in self.lanes(step.get("for", ""), step["after"][0]).values()):
            return  # a number curves in every way
        if shape["expr"] != step["after"][0] or not _as_strong(word(shape), word(step)):
            raise Wrong("the last step that is used shows something else")

    def _equivalence(self, step: Step) -> None:
        over = step.get("for", "")
        before = self._truth(over, step["expr"])
        after = [self._truth(over, a) for a in step.get("after", ())]
        for member, holds in before.items():
            both = [a[member] for a in after] or [np.ones(2 * self.count)]
            _agree(holds, _every(both), f"not the same set at {member}")

    def _eliminated(self, step: Step) -> None:
        """The equality holds by what is used; so do the bounds, exactly where the relations that are used do."""
        over, used = step.get("for", ""), self._used_steps(step)
        if any(not holds.all() for holds in self._truth(over, step["expr"]).values()):  # nan: rounding could decide
            raise Wrong("the equality does not hold where the variable has its value")
        defining = [s for s in used if s["kind"] == "definition"]
        if len(defining) != 1:
            raise Wrong("one definition is needed")
        relations = [s for s in used if s["kind"] in LAST]
        bounds = self.data.bounds[re.split(r"\W", defining[0]["expr"], maxsplit=1)[0]]
        shown = [self._truth(s.get("for", ""), s["expr"]) for s in relations]
        held = self._held(over, step["expr"])
        entry = self._held(over, defining[0]["expr"]).relation.operands[0]
        values = self.lanes(over, defining[0]["after"][0])
        for env, member in self.values.iterate(held.domain, {}):
            indices = entry.indices if isinstance(entry, tree.Subscript) else ()
            low, high = bounds[tuple(part for index in indices for part in self.values.labels(index, env))]
            value = values[_member(over, member)]
            inside = _every([_holds(["<=", "<="], [np.full_like(value, low), value, np.full_like(value, high)])])
            known = _every([s[_member(over, member)] for s in shown]) if shown else np.ones(2 * self.count)
            _agree(known, inside, f"other bounds at {member}")

    def _conclusion(self, step: Step) -> None:
        self._equivalence(step)
        shown = {s["expr"] for s in self._used_steps(step) if s["kind"] == "relation" and "convex set" in s["gives"]}
        if not set(step.get("after", ())) <= shown:
            raise Wrong(f"not shown: {set(step['after']) - shown}")

    def _relation(self, step: Step) -> None:
        """Where a function of the right curvature is bounded on the right side."""
        over = step.get("for", "")
        constraint = self._held(over, step["expr"])
        ops = constraint.relation.ops
        shapes = self._used_steps(step)
        for env, member in self.values.iterate(constraint.domain, {}):
            try:
                operands = [self._value(o, env) for o in constraint.relation.operands]
            except (AssertionError, KeyError, ZeroDivisionError, Outside):
                raise Unread(step["expr"]) from None
            for left, op, right in zip(operands, ops, operands[1:], strict=False):
                gap = left - right if op != ">=" else right - left
                if not shapes:
                    _constant(gap, np.abs(gap), "nothing shows how it curves")
                    continue
                (shape,) = shapes
                value = self.lanes(over, shape["expr"])[_member(over, member)]
                as_shown, turned = word(shape), OPPOSITE.get(word(shape), word(shape))
                found = [as_shown] if _is_constant(gap - value, value) else []  # both, where the value is a constant
                found += [turned] if _is_constant(gap + value, value) else []
                if not found:
                    raise Wrong(f"another body at {member}")
                needed = "affine" if op in ("=", "==") else "convex"
                if not any(_as_strong(curvature, needed) for curvature in found) and not _never_binds(gap):
                    raise Wrong(f"needs {needed}, has {' or '.join(found)}")

    def _matrix(self, step: Step) -> None:
        if any(word(s) != "affine" for s in self._used_steps(step)):
            raise Wrong("a matrix inequality needs affine entries")

    def _objective(self, step: Step) -> None:
        (shape,) = self._used_steps(step) or [None]
        if shape is None:
            value = self.lanes("", step["expr"])[()]
            _constant(value, np.abs(value), "nothing shows how the objective curves")
            return
        _same(self.lanes("", shape["expr"])[()], self.lanes("", step["expr"])[()], "another expression is shown")
        minimized = any(isinstance(s, tree.Objective) and s.sense == "minimize" for s in self.file.statements)
        if not _as_strong(word(shape), "convex" if minimized else "concave"):
            raise Wrong("it curves the other way")


class Unread(Exception):
    """The naive evaluator cannot read a text."""


RULES: dict[str, Callable[[Replay, Step], None]] = {
    "affine": Replay._affine, "bound": Replay._bound, "sum": Replay._sum, "multiple": Replay._multiple,
    "mean": Replay._members, "members": Replay._members, "function": Replay._function, "reduction": Replay._reduction,
    "array": Replay._array, "branches": Replay._branches, "quadratic": Replay._quadratic,
    "shown": Replay._shown, "rewriting": Replay._rewriting, "rewritten": Replay._rewritten,
    "equivalence": Replay._equivalence,
    "definition": Replay._rewriting, "substitution": Replay._rewriting, "eliminated": Replay._eliminated,
    "conclusion": Replay._conclusion, "relation": Replay._relation, "matrix": Replay._matrix,
    "objective": Replay._objective, "logarithmic": Replay._log_log, "logarithmic relation": Replay._log_relation,
    "logarithmic objective": Replay._claimed, "levels": Replay._levels, "levels objective": Replay._claimed,
    "levels relation": Replay._claimed, "constant": Replay._constant_by_bounds,
    "collected": Replay._only_sampled,
}  # fmt: skip
LAST = (
    "objective", "relation", "conclusion", "matrix", "logarithmic objective", "logarithmic relation",
    "levels objective", "levels relation", "eliminated",
)  # fmt: skip
UNSAMPLED = (*LAST, "equivalence", "rewriting", "logarithmic", "levels", "definition", "substitution")
OPPOSITE = {"convex": "concave", "concave": "convex"}


# ---------------------------------------------------------------------------------------------------------- helpers


def word(step: Step) -> str:
    """The curvature that a step claims."""
    return str(step["gives"]).split(", ")[0]


def _domain(over: str) -> str:
    if not over:
        return ""
    return f"[zz_ in 1..1 {over}]" if over.startswith("if ") else f"[{over}]"


def _member(over: str, member: Member) -> Member:
    return member[1:] if over.startswith("if ") else member


def _always_taken(function: str, boxes: Sequence[tuple[float, float]], words: Sequence[str | None]) -> str | None:
    """The curvature of the part that is the largest (smallest) whatever happens; None where none is."""
    if function not in ("max", "min"):
        return None
    ends = [(low, high) if function == "max" else (-high, -low) for low, high in boxes]
    for k, (low, _) in enumerate(ends):
        if all(low >= high for j, (_, high) in enumerate(ends) if j != k):
            return words[k] or "affine"
    return None


def _one_value(step: Step, value: np.ndarray) -> bool:
    """Whether the bounds that are shown leave one value, and it is taken: a number curves in every way."""
    low, high = step.get("range", (None, None))
    return (
        low is not None and high is not None and high - low <= ROUNDING * (1 + abs(low)) and _is_constant(value, value)
    )


def _relation(part: str) -> str:
    depth = 0
    for k, character in enumerate(part):
        depth += (character in "([{") - (character in ")]}")
        if depth == 0 and part[k : k + 2] in ("<=", ">=", ">>", "<<"):
            return part
        if depth == 0 and character == "=":
            return part
    return f"{part} = 0"


def _as_strong(found: str, claimed: str) -> bool:
    return found == claimed or found == "affine"


def _all_curve(claimed: str, parts: Sequence[str]) -> None:
    wrong = [p for p in parts if not _as_strong(p, claimed)]
    if wrong:
        raise Wrong(f"claims {claimed}, but a part is {wrong[0]}")


def _same(one: Any, two: Any, message: str) -> None:
    one, two = np.broadcast_arrays(np.asarray(one, dtype=float), np.asarray(two, dtype=float))
    fine = np.isfinite(one) & np.isfinite(two)
    if (np.isfinite(one) != np.isfinite(two)).any() and (np.isnan(one) != np.isnan(two)).any():
        raise Wrong(message + " (undefined)")
    if (np.abs(one - two)[fine] > ROUNDING * (1 + np.abs(one))[fine]).any():
        raise Wrong(message)


def _constant(values: np.ndarray, size: np.ndarray, message: str) -> None:
    fine = np.isfinite(values)
    if fine.any() and np.ptp(values[fine]) > ROUNDING * (1 + np.max(size[fine])):
        raise Wrong(message)


def _is_constant(values: np.ndarray, parts: np.ndarray) -> bool:
    fine = np.isfinite(values)
    return not fine.any() or bool(np.ptp(values[fine]) <= ROUNDING * (1 + np.abs(parts[fine]).max()))


def _never_binds(gap: np.ndarray) -> bool:
    """Whether a side is infinite."""
    return bool(np.isneginf(gap).all())


def _factor(whole: np.ndarray, part: np.ndarray) -> float | None:
    fine = np.isfinite(whole) & np.isfinite(part) & (np.abs(part) > 1e-9)
    if not fine.any():
        return 0.0
    ratio = whole[fine] / part[fine]
    middle = float(np.median(ratio))
    if (np.abs(whole[fine] - middle * part[fine]) > ROUNDING * (1 + np.abs(whole[fine]))).any():
        return None
    return middle


def _holds(ops: Sequence[str], operands: Sequence[Any]) -> Any:
    """1 where all relations hold, 0 where one fails, nan where rounding could decide or a side is undefined."""

    def of_numbers(*values: Any) -> np.ndarray:
        found: np.ndarray = np.asarray(1.0)
        for left, op, right in zip(values, ops, values[1:], strict=False):
            gap = np.asarray(right - left if op != ">=" else left - right, dtype=float)
            finite = [np.where(np.isfinite(v), np.abs(v), 0.0) for v in (left, right)]
            near = np.abs(gap) <= 1e-7 * (1 + finite[0] + finite[1])
            holds = np.where(gap == 0, 1.0, np.where(near, np.nan, (gap > 0) & (op not in ("=", "=="))))
            found = found * np.where(np.isnan(gap), np.nan, holds)
        return found

    return broadcast(of_numbers, *operands)


def _sizes(relations: Iterable[Sequence[Any]]) -> np.ndarray:
    """By how much neighboring operands differ, whatever their order."""
    gaps = [np.abs(np.asarray(b - a, dtype=float)) for r in relations for a, b in pairwise(r)]
    return np.sort(np.array(np.broadcast_arrays(*gaps)), axis=0) if gaps else np.zeros(0)


def _every(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Whether all hold: 0 where one surely fails."""
    whole = np.broadcast_arrays(*parts)
    fails = np.any([w == 0 for w in whole], axis=0)
    unsure = np.any([np.isnan(w) for w in whole], axis=0)
    return np.where(fails, 0.0, np.where(unsure, np.nan, 1.0))


def _agree(one: np.ndarray, two: np.ndarray, message: str) -> None:
    one, two = np.broadcast_arrays(one, two)
    sure = ~np.isnan(one) & ~np.isnan(two)
    if (one[sure] != two[sure]).any():
        raise Wrong(message)
