"""The cases of the speed table: what is measured, with which tools, and what is asked of optdsl."""

from __future__ import annotations

from dataclasses import dataclass

OPTDSL = ("optdsl_indexed", "optdsl_array")
CONIC = ("cvxpy_expert", "cvxpy_sharp", "optdsl_text")
ENGINE = ("casadi_ipopt", "optdsl_engine")
LARGE = ("casadi_ipopt", "pyoptinterface_ipopt", "optdsl_engine")
TIERS = ("casadi_ipopt", "pyoptinterface_ipopt", "optdsl_numpy", "optdsl_compiled")
PEERS = ("cvxpy_vectorized", "cvxpy_coo", "linopy_labelled")


@dataclass(frozen=True)
class Case:
    """`work` is a function of `benchmarks.measure`, or `process`: then the commands of `PROCESSES` are timed whole.

    `problem` is one of `benchmarks.conic.PROBLEMS` where the work is `conic`, of `benchmarks.nonlinear.NUMBER` where it
    is `nonlinear` or `derivatives`, and names another text where it is `classify`. within: how far the optima of the
    tools may be apart, relative to their size.
    """

    name: str
    title: str
    work: str
    tools: tuple[str, ...]
    sizes: tuple[int, ...]
    repeat: int = 5
    problem: str = ""
    within: float = 1e-6


CASES = (
    Case(
        "build",
        "Transportation LP: from text and arrays in memory until HiGHS holds the model",
        "build",
        ("highspy_arrays", *PEERS, *OPTDSL),
        (10_000, 100_000, 1_000_000),
        9,
    ),
    Case(
        "parquet",
        "The same from Parquet files with text keys, rows in random order",
        "parquet",
        (*PEERS, *OPTDSL),
        (10_000, 100_000, 1_000_000),
    ),
    Case(
        "elaborate",
        "Parse and elaborate a five-statement model by rows of data; beside it, its declarations alone",
        "elaborate",
        ("optdsl_declarations", "optdsl_statements"),
        (100, 1_000_000),
    ),
    Case("process", "A tiny LP (3 variables, 3 constraints), the whole process", "process", (), (3,), 9),
    Case(
        "resolve",
        "Re-solve with a new right-hand side, 100 times: seconds per solve after the first",
        "resolve",
        ("highspy_arrays", "cvxpy_vectorized", "linopy_labelled", "optdsl_indexed"),
        (100_000,),
        3,
    ),
    Case(
        "classify",
        "From text and arrays to the verdict: affine, quadratic, exp and log, norm, division by data; by lanes in all",
        "classify",
        ("optdsl_classify",),
        (1_000_000, 5_000_000),
    ),
    Case(
        "classify_on_domain",
        "The same where the signs that proofs need come from affine constraints; by lanes in all",
        "classify",
        ("optdsl_classify",),
        (1_000_000,),
        5,
        "on_domain",
    ),
    Case("portfolio", "Portfolio of n assets with n / 50 factors, a QP", "conic", CONIC, (5_000,), 5, "portfolio"),
    Case("lasso", "Lasso with n features and 2 n rows, a QP", "conic", CONIC, (1_000,), 3, "lasso"),
    Case("logistic", "Logistic regression, l1, n features and 25 n rows", "conic", CONIC, (200,), 3, "logistic"),
    Case("max_cut", "Bound on the heaviest cut of a graph with n nodes, an SDP", "conic", CONIC, (100,), 3, "max_cut"),
    Case("distances", "n second-order cones of size 3", "conic", CONIC, (100_000,), 5, "distances"),
    Case(
        "luksan_vlcek",
        "Luksan-Vlcek 5.1 with n variables, from text to answer",
        "nonlinear",
        LARGE,
        (1_000, 10_000, 100_000),
        5,
        "luksan_vlcek",
    ),
    Case(
        "growth",
        "Luksan-Vlcek 5.1: growth",
        "nonlinear",
        ("optdsl_engine",),
        (1_000, 10_000, 100_000, 1_000_000),
        1,
        "luksan_vlcek",
    ),
    Case(
        "derivatives",
        "One Hessian and one Jacobian of Luksan-Vlcek 5.1",
        "derivatives",
        TIERS,
        (100_000,),
        5,
        "luksan_vlcek",
    ),
    Case("rocket", "Goddard rocket over n steps", "nonlinear", LARGE, (4_000,), 3, "rocket"),
    # there are many local minima, so close to each other
    Case("electrons", "n electrons on a sphere", "nonlinear", LARGE, (200,), 1, "electrons", 1e-5),
    Case(
        "ten",
        "Ten problems of Hock and Schittkowski in a warm process, from text to answer",
        "ten",
        ("scipy_slsqp", *ENGINE),
        (10,),
        3,
    ),
)

RESOLVES = 100

# {python} is the running interpreter.
PROCESSES = {
    "highspy_script": ("{python}", "benchmarks/tiny/diet_highspy.py"),
    "cvxpy_script": ("{python}", "benchmarks/tiny/diet_cvxpy.py"),
    "linopy_script": ("{python}", "benchmarks/tiny/diet_linopy.py"),
    "optdsl_solve": ("{python}", "-m", "optdsl", "solve", "benchmarks/tiny/diet.opt"),
}
