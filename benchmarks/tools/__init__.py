"""The same problem in each tool, as its own documentation would have an analyst write it.

Each module offers some of
    build(instance) -> highspy.Highs            until HiGHS holds the model; it is not solved
    build_parquet(folder) -> highspy.Highs      the same from the Parquet files of `instance.write_parquet`
    resolve(instance, scenarios) -> objectives  build once, then solve once per demand
    compiled(problem, data)                     one of `benchmarks.conic.PROBLEMS` until the solver's arrays are there
    solved(problem, data) -> objective          the same from the start to the answer
"""
