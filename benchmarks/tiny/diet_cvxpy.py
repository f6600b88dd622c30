import cvxpy as cp
import numpy as np

cost = np.array([2, 3.5, 8])
amount = np.array([[90, 120, 140], [4, 8, 13], [1, 5, 10]])
need = np.array([500, 30, 20])
buy = cp.Variable(3, nonneg=True)
nutrition = amount @ buy >= need
problem = cp.Problem(cp.Minimize(cost @ buy), [nutrition, buy <= 10])
problem.solve(solver=cp.HIGHS)
print(problem.status, problem.value)
print(buy.value, nutrition.dual_value)
