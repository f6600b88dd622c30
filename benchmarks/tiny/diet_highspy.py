import highspy

cost = [2, 3.5, 8]
amount = [[90, 120, 140], [4, 8, 13], [1, 5, 10]]
need = [500, 30, 20]
highs = highspy.Highs()
highs.setOptionValue("output_flag", False)
buy = [highs.addVariable(lb=0, ub=10, obj=price) for price in cost]
for row, least in zip(amount, need, strict=True):
    highs.addConstr(sum(a * x for a, x in zip(row, buy, strict=True)) >= least)
highs.run()
print(highs.getModelStatus(), highs.getInfo().objective_function_value)
print(highs.getSolution().col_value, highs.getSolution().row_dual)
