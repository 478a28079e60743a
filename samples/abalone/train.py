"""Fits gradient-boosted regression trees on the rows of a CSV file whose first column is the target."""
import argparse

import numpy as np
import xgboost as xgb


def read(path):
    rows = np.loadtxt(path, delimiter=",")
    return xgb.DMatrix(rows[:, 1:], label=rows[:, 0])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("train", "validation", "model"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--max-depth", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=50)
    args = parser.parse_args()

    train, validation = read(args.train), read(args.validation)
    # One thread and a fixed seed: the same input gives the same bytes.
    settings = {"objective": "reg:squarederror", "max_depth": args.max_depth, "eta": 0.2, "gamma": 4,
                "min_child_weight": 6, "subsample": 0.7, "nthread": 1, "seed": 0}
    model = xgb.train(settings, train, args.rounds, evals=[(validation, "validation")], verbose_eval=10)
    model.save_model(args.model)


if __name__ == "__main__":
    main()
