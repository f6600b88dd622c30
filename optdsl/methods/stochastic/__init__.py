"""Methods that look at some members of a sum at a time (`optdsl.nlp.FiniteSum`), and the loop around them.

A method is an estimator of the gradient (plain, svrg, saga) and an update that uses it (sgd, adam, ...), combined by
value: `table.method_of`. `train.train` is the one loop around all of them; `run` holds what goes in and what comes out.
"""
