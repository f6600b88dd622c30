import linopy
import pandas as pd
import xarray as xr

foods = pd.Index(["bread", "milk", "eggs"], name="food")
nutrients = pd.Index(["calories", "protein", "fat"], name="nutrient")
cost = xr.DataArray([2, 3.5, 8], coords=[foods])
amount = xr.DataArray([[90, 120, 140], [4, 8, 13], [1, 5, 10]], coords=[nutrients, foods])
need = xr.DataArray([500, 30, 20], coords=[nutrients])
model = linopy.Model()
buy = model.add_variables(lower=0, upper=10, coords=[foods], name="buy")
model.add_constraints((amount * buy).sum("food") >= need, name="nutrition")
model.add_objective((cost * buy).sum())
model.solve(solver_name="highs", io_api="direct", output_flag=False, progress=False)
print(model.status, model.objective.value)
print(buy.solution.values, model.dual["nutrition"].values)
