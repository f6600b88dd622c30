"""Functions as straight-line LLVM code of one lane, without branches and calls, so that loops over lanes vectorize.

The error is below 2 units in the last place of `double`, of tanh, sigmoid and silu below 3 (tests/engine/test_native.py
measures it against many digits); results are nan and infinite where NumPy's are.
Arguments are reduced as Cody and Waite (1980) do, in two or three parts of the constant with fused multiplication; the
logarithm is written in s = f / (2 + f) and sine and cosine carry the tail of the reduced argument, after Tang (1990)
and Ng (1992). The polynomials are interpolations at Chebyshev points of the interval, computed with 60 digits.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence

# (e^r - 1 - r) / r^2 for |r| <= log(2) / 2
_EXP = (
    0.5, 0.1666666666666667, 0.04166666666666667, 0.008333333333326084, 0.0013888888888883711, 0.0001984126987500228,
    2.480158732567746e-05, 2.755725517000089e-06, 2.755727347871858e-07, 2.5105312729622103e-08, 2.09147553258932e-09,
)  # fmt: skip
# (sin(r) - r) / r^3 and (cos(r) - 1 + r^2 / 2) / r^4 in r^2, for |r| <= pi / 4
_SIN = (
    -0.16666666666666666, 0.008333333333330936, -0.00019841269836740527, 2.7557316093196066e-06,
    -2.5051129895962807e-08, 1.5917988944318716e-10,
)  # fmt: skip
_COS = (
    0.041666666666666664, -0.0013888888888887389, 2.48015872987544e-05, -2.7557317265876615e-07,
    2.087614504910828e-09, -1.1382544623404291e-11,
)  # fmt: skip
# (2 atanh(s) / s - 2) / s^2 in s^2, for (1 + s) / (1 - s) between the roots of 1/2 and 2
_LOG = (
    0.666666666666667, 0.3999999999989827, 0.2857142862653362, 0.22222211043776857, 0.18182895750119193,
    0.1533150161114533, 0.1461916613488797,
)  # fmt: skip
# (atan(t) - t) / t^3 in t^2, for |t| <= tan(pi / 8)
_ATAN = (
    -0.3333333333333333, 0.19999999999995438, -0.14285714284649173, 0.11111111013860688, -0.0909090452147169,
    0.07692181876036845, -0.06664492945806264, 0.05857988350245762, -0.05084610357631765, 0.03920743321261196,
    -0.019147248964611764,
)  # fmt: skip

_HALF_PI = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33)
_LN2 = (0.6931471805599453, 2.3190468138462996e-17)
_LN2_SHORT = (0.6931471806019545, -4.200915072681084e-11)
"""Its first part has 32 bits, so that its products with exponents are exact."""
_ROUND = 6755399441055744.0
"""1.5 * 2^52: a number added to it is rounded to a whole one, which stands in the last bits of the sum."""
_ROUND_BITS = 0x4338000000000000
FAR = 2.0**20
"""Sines of numbers beyond it need more digits of pi: the lanes are marked, and left to NumPy."""


def constant(value: float) -> str:
    """A number as LLVM writes it: its bits."""
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


class Lines:
    """LLVM code of one lane: every method appends a line and answers with the name of its result."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.far: list[str] = []
        self.known: dict[tuple[str, str], tuple[str, str]] = {}

    def line(self, right: str) -> str:
        name = f"%v{len(self.text)}"
        self.text.append(f"  {name} = {right}")
        return name

    def f(self, kind: str, a: str, b: str) -> str:
        """An operation of two floating numbers: fadd, fsub, fmul, fdiv."""
        return self.line(f"{kind} double {a}, {b}")

    def i(self, kind: str, a: str, b: int | str) -> str:
        """An operation of two whole numbers."""
        return self.line(f"{kind} i64 {a}, {b}")

    def neg(self, a: str) -> str:
        return self.line(f"fneg double {a}")

    def fma(self, a: str, b: str, c: str) -> str:
        return self.line(f"call double @llvm.fma.f64(double {a}, double {b}, double {c})")

    def one(self, name: str, a: str) -> str:
        """An intrinsic of one number: sqrt, fabs, floor, ceil."""
        return self.line(f"call double @llvm.{name}.f64(double {a})")

    def signed(self, size: str, sign: str) -> str:
        return self.line(f"call double @llvm.copysign.f64(double {size}, double {sign})")

    def test(self, kind: str, a: str, b: str) -> str:
        """A comparison: ogt, olt, oeq, uno, ..."""
        return self.line(f"fcmp {kind} double {a}, {b}")

    def select(self, test: str, a: str, b: str) -> str:
        return self.line(f"select i1 {test}, double {a}, double {b}")

    def bits(self, a: str) -> str:
        return self.line(f"bitcast double {a} to i64")

    def number(self, bits: str) -> str:
        return self.line(f"bitcast i64 {bits} to double")

    def whole(self, a: str) -> tuple[str, str]:
        """A number rounded to a whole one: as a floating one and as i64."""
        shifted = self.f("fadd", a, constant(_ROUND))
        return self.f("fsub", shifted, constant(_ROUND)), self.i("sub", self.bits(shifted), _ROUND_BITS)

    def power_of_two(self, exponent: str) -> str:
        """2^k, -1022 <= k <= 1023."""
        return self.number(self.i("shl", self.i("add", exponent, 1023), 52))

    def polynomial(self, coefficients: Sequence[float], x: str) -> str:
        value = constant(coefficients[-1])
        for c in reversed(coefficients[:-1]):
            value = self.fma(value, x, constant(c))
        return value


# ------------------------------------------------------------------------------------------------- exponentials


def _reduced(c: Lines, x: str) -> tuple[str, str, str]:
    """x = k log(2) + r: e^r - 1, k as i64 and as a floating number."""
    k, exponent = c.whole(c.f("fmul", x, constant(1 / math.log(2))))
    back = c.neg(k)
    r = c.fma(back, constant(_LN2[1]), c.fma(back, constant(_LN2[0]), x))
    return c.fma(c.f("fmul", r, r), c.polynomial(_EXP, r), r), exponent, k


def _within(c: Lines, x: str, low: float, high: float) -> str:
    """x cut to [low, high]; nan stays nan."""
    x = c.select(c.test("ogt", x, constant(high)), constant(high), x)
    return c.select(c.test("olt", x, constant(low)), constant(low), x)


def exp(c: Lines, x: str, shift: int = 0) -> str:
    """e^x * 2^shift."""
    grown, exponent, _ = _reduced(c, _within(c, x, -747.0, 711.0))
    value = c.f("fadd", grown, constant(1.0))
    exponent = c.i("add", exponent, shift) if shift else exponent
    # 2^k in two factors: it may lie beyond the range of numbers where the result does not
    half = c.i("ashr", exponent, 1)
    rest = c.i("sub", exponent, half)
    return c.f("fmul", c.f("fmul", value, c.power_of_two(half)), c.power_of_two(rest))


def expm1(c: Lines, x: str) -> str:
    grown, exponent, _ = _reduced(c, _within(c, x, -40.0, 710.0))
    half = c.power_of_two(c.i("sub", exponent, 1))
    value = c.fma(half, grown, c.f("fsub", half, constant(0.5)))
    value = c.f("fadd", value, value)
    return c.select(c.test("olt", c.one("fabs", x), constant(1e-17)), x, value)


def tanh(c: Lines, x: str) -> str:
    """e / (e + 2) with e = expm1(2 |x|), and near 0 from expm1(-2 |x|)."""
    size = c.one("fabs", x)
    twice = c.f("fadd", size, size)
    far = c.test("ogt", size, constant(1.0))
    e = expm1(c, c.select(far, twice, c.neg(twice)))
    quotient = c.f("fdiv", c.select(far, constant(2.0), c.neg(e)), c.f("fadd", e, constant(2.0)))
    return c.signed(c.select(far, c.f("fsub", constant(1.0), quotient), quotient), x)


def cosh(c: Lines, x: str) -> str:
    half = exp(c, c.one("fabs", x), -1)
    return c.f("fadd", half, c.f("fdiv", constant(0.25), half))


def sinh(c: Lines, x: str) -> str:
    size = c.one("fabs", x)
    half = exp(c, size, -1)
    far = c.f("fsub", half, c.f("fdiv", constant(0.25), half))
    e = expm1(c, size)
    near = c.f("fmul", constant(0.5), c.f("fadd", e, c.f("fdiv", e, c.f("fadd", e, constant(1.0)))))
    return c.signed(c.select(c.test("olt", size, constant(1.0)), near, far), x)


def sigmoid(c: Lines, x: str) -> str:
    small = exp(c, c.neg(c.one("fabs", x)))
    above = c.select(c.test("oge", x, constant(0.0)), constant(1.0), small)
    return c.f("fdiv", above, c.f("fadd", constant(1.0), small))


def softplus(c: Lines, x: str) -> str:
    tail = log1p(c, exp(c, c.neg(c.one("fabs", x))))
    return c.f("fadd", c.select(c.test("olt", x, constant(0.0)), constant(0.0), x), tail)


def silu(c: Lines, x: str) -> str:
    value = c.f("fmul", x, sigmoid(c, x))
    return c.select(c.test("oeq", x, constant(-math.inf)), constant(0.0), value)


# --------------------------------------------------------------------------------------------------- logarithms


def _logarithm(c: Lines, x: str, extra: str | None, shift: str | None) -> str:
    """log(x) + extra of a normal number x > 0, less `shift` log(2)."""
    bits = c.bits(x)
    exponent = c.i("ashr", c.i("sub", bits, 0x3FE6A09E667F3BCD), 52)
    m = c.number(c.i("sub", bits, c.i("shl", exponent, 52)))
    k = c.f("fsub", c.number(c.i("add", exponent, _ROUND_BITS)), constant(_ROUND))
    if shift is not None:
        k = c.f("fsub", k, shift)
    f = c.f("fsub", m, constant(1.0))
    s = c.f("fdiv", f, c.f("fadd", f, constant(2.0)))
    z = c.f("fmul", s, s)
    half = c.f("fmul", constant(0.5), c.f("fmul", f, f))
    inner = c.f("fadd", half, c.f("fmul", z, c.polynomial(_LOG, z)))
    low = c.fma(k, constant(_LN2_SHORT[1]), c.f("fmul", s, inner))
    if extra is not None:
        low = c.f("fadd", low, extra)
    return c.fma(k, constant(_LN2_SHORT[0]), c.f("fsub", f, c.f("fsub", half, low)))


def log(c: Lines, x: str) -> str:
    tiny = c.test("olt", x, constant(2.0**-1022))
    scaled = c.select(tiny, c.f("fmul", x, constant(2.0**54)), x)
    value = _logarithm(c, scaled, None, c.select(tiny, constant(54.0), constant(0.0)))
    value = c.select(c.test("ole", x, constant(0.0)), constant(-math.inf), value)
    value = c.select(c.test("olt", x, constant(0.0)), constant(math.nan), value)
    # infinity and nan are their own logarithms
    return c.select(c.test("ult", x, constant(math.inf)), c.select(c.test("uno", x, x), x, value), x)


def log1p(c: Lines, x: str) -> str:
    u = c.f("fadd", constant(1.0), x)
    lost = c.f("fsub", x, c.f("fsub", u, constant(1.0)))  # what 1 + x lost to rounding, where x is small
    value = _logarithm(c, u, c.f("fdiv", lost, u), None)
    value = c.select(c.test("olt", c.one("fabs", x), constant(1e-17)), x, value)
    value = c.select(c.test("oeq", u, constant(0.0)), constant(-math.inf), value)
    value = c.select(c.test("olt", u, constant(0.0)), constant(math.nan), value)
    return c.select(c.test("ult", x, constant(math.inf)), c.select(c.test("uno", x, x), x, value), x)


def xlogx(c: Lines, x: str) -> str:
    value = c.f("fmul", x, log(c, x))
    return c.select(c.test("oeq", x, constant(0.0)), constant(0.0), value)


# ------------------------------------------------------------------------------------------------- trigonometry


def _circle(c: Lines, x: str) -> tuple[str, str]:
    """Sine and cosine. Of one argument both are computed once."""
    found = c.known.get(("circle", x))
    if found is None:
        found = c.known["circle", x] = _sine_and_cosine(c, x)
    return found


def _sine_and_cosine(c: Lines, x: str) -> tuple[str, str]:
    size = c.one("fabs", x)
    c.far.append(c.test("oge", size, constant(FAR)))
    k, quarter = c.whole(c.f("fmul", x, constant(2 / math.pi)))
    back = c.neg(k)
    # the first product is taken off exactly; what the second difference loses is kept
    r = c.fma(back, constant(_HALF_PI[0]), x)
    t = c.f("fmul", k, constant(_HALF_PI[1]))
    t_lost = c.fma(k, constant(_HALF_PI[1]), c.neg(t))
    w = c.f("fsub", r, t)
    moved = c.f("fsub", w, r)
    w_lost = c.f("fsub", c.f("fsub", r, c.f("fsub", w, moved)), c.f("fadd", t, moved))
    tail = c.fma(back, constant(_HALF_PI[2]), c.f("fsub", w_lost, t_lost))
    high = c.f("fadd", w, tail)
    low = c.f("fadd", c.f("fsub", w, high), tail)
    z = c.f("fmul", high, high)
    half = c.f("fmul", constant(0.5), z)
    rest = c.f("fsub", constant(1.0), half)
    cubic = c.f("fmul", c.f("fmul", high, z), c.polynomial(_SIN, z))
    sine = c.f("fadd", high, c.fma(low, rest, cubic))
    quartic = c.fma(c.f("fmul", z, z), c.polynomial(_COS, z), c.neg(c.f("fmul", high, low)))
    lost = c.f("fsub", c.f("fsub", constant(1.0), rest), half)
    cosine = c.f("fadd", rest, c.f("fadd", lost, quartic))
    odd = c.line(f"trunc i64 {quarter} to i1")
    signs = []
    for turn in (quarter, c.i("add", quarter, 1)):
        signs.append(c.i("shl", c.i("and", turn, 2), 62))
    values = []
    for (a, b), sign in zip(((cosine, sine), (sine, cosine)), signs, strict=True):
        chosen = c.bits(c.select(odd, a, b))
        values.append(c.number(c.i("xor", chosen, sign)))
    return values[0], values[1]


def sin(c: Lines, x: str) -> str:
    return _circle(c, x)[0]


def cos(c: Lines, x: str) -> str:
    return _circle(c, x)[1]


def tan(c: Lines, x: str) -> str:
    return c.f("fdiv", *_circle(c, x))


def atan(c: Lines, x: str) -> str:
    """By atan(a) = pi / 4 + atan((a - 1) / (a + 1)) and atan(a) = pi / 2 - atan(1 / a)."""
    a = c.one("fabs", x)
    middle = c.test("ogt", a, constant(math.tan(math.pi / 8)))
    outer = c.test("ogt", a, constant(math.tan(3 * math.pi / 8)))

    def by_part(inside: str, between: str, outside: str) -> str:
        return c.select(outer, outside, c.select(middle, between, inside))

    above = by_part(a, c.f("fsub", a, constant(1.0)), constant(-1.0))
    below = by_part(constant(1.0), c.f("fadd", a, constant(1.0)), a)
    t = c.f("fdiv", above, below)
    z = c.f("fmul", t, t)
    low = by_part(constant(0.0), constant(3.061616997868383e-17), constant(_HALF_PI[1]))
    tail = c.fma(c.f("fmul", t, z), c.polynomial(_ATAN, z), low)
    base = by_part(constant(0.0), constant(math.pi / 4), constant(math.pi / 2))
    return c.signed(c.f("fadd", base, c.f("fadd", t, tail)), x)


# ------------------------------------------------------------------------------------------------ kinks and jumps


def larger(c: Lines, a: str, b: str) -> str:
    """The maximum; nan where either is."""
    return c.select(c.test("uno", b, b), b, c.select(c.test("ugt", a, b), a, b))


def smaller(c: Lines, a: str, b: str) -> str:
    """The minimum; nan where either is."""
    return c.select(c.test("uno", b, b), b, c.select(c.test("ult", a, b), a, b))


def sign(c: Lines, x: str) -> str:
    return c.select(c.test("une", x, constant(0.0)), _unit(c, x), constant(0.0))


def _unit(c: Lines, x: str) -> str:
    return c.select(c.test("uno", x, x), x, c.signed(constant(1.0), x))


FORMS: Mapping[str, Callable[..., str]] = {
    "exp": exp, "expm1": expm1, "tanh": tanh, "cosh": cosh, "sinh": sinh, "sigmoid": sigmoid, "softplus": softplus,
    "silu": silu, "log": log, "log1p": log1p, "xlogx": xlogx, "sin": sin, "cos": cos, "tan": tan, "atan": atan,
    "entr": lambda c, x: c.neg(xlogx(c, x)),
    "sqrt": lambda c, x: c.one("sqrt", x), "abs": lambda c, x: c.one("fabs", x),
    "floor": lambda c, x: c.one("floor", x), "ceil": lambda c, x: c.one("ceil", x), "sign": sign,
    "max": larger, "min": smaller, "pos": lambda c, x: larger(c, x, constant(0.0)),
    "relu": lambda c, x: larger(c, x, constant(0.0)),
}  # fmt: skip
"""By the name of a row of the table of atoms; functions that are not here are left to NumPy."""
