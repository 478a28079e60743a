"""Cleans, encodes and splits the raw abalone table: 70 % train, 15 % validation, 15 % test, seed fixed.

The target comes first in each row; no header. Numbers are imputed and standardised, the sex is one-hot encoded.
"""
import argparse

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

COLUMNS = ["sex", "length", "diameter", "height", "whole_weight", "shucked_weight",
           "viscera_weight", "shell_weight", "rings"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("input", "train", "validation", "test"):
        parser.add_argument("--" + name, required=True)
    args = parser.parse_args()

    table = pd.read_csv(args.input, header=None, names=COLUMNS)
    target = table.pop("rings").to_numpy(dtype=float).reshape(-1, 1)
    numbers = [name for name in table.columns if name != "sex"]
    encode = ColumnTransformer([
        ("numbers", Pipeline([("impute", SimpleImputer(strategy="median")),
                              ("scale", StandardScaler())]), numbers),
        ("sex", OneHotEncoder(handle_unknown="ignore"), ["sex"]),
    ], sparse_threshold=0)
    rows = np.concatenate([target, encode.fit_transform(table)], axis=1)
    rows = rows[np.random.default_rng(0).permutation(len(rows))]
    train, validation, test = np.split(rows, [int(0.7 * len(rows)), int(0.85 * len(rows))])
    for path, part in ((args.train, train), (args.validation, validation), (args.test, test)):
        np.savetxt(path, part, delimiter=",", fmt="%.10g")
        print(f"{path}: {len(part)} rows")


if __name__ == "__main__":
    main()
