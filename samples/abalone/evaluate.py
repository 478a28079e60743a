"""Measures a model on the rows of a CSV file whose first column is the target; writes a JSON report."""
import argparse
import json

import numpy as np
import xgboost as xgb
from sklearn.metrics import mean_squared_error


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("model", "test", "report"):
        parser.add_argument("--" + name, required=True)
    args = parser.parse_args()

    model = xgb.Booster()
    model.load_model(args.model)
    model.set_param({"nthread": 1})
    rows = np.loadtxt(args.test, delimiter=",")
    predicted = model.predict(xgb.DMatrix(rows[:, 1:]))
    mse = float(mean_squared_error(rows[:, 0], predicted))
    deviation = float(np.std(rows[:, 0] - predicted))
    with open(args.report, "w", encoding="utf-8") as out:
        json.dump({"regression_metrics": {"mse": {"value": mse, "standard_deviation": deviation}}}, out, indent=2)
    print(f"mse {mse:.4f}")


if __name__ == "__main__":
    main()
