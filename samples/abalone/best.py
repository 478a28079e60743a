"""Of several evaluation reports named report-DEPTH.json, writes the depth with the smallest error."""
import argparse
import json
import re


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", required=True)
    parser.add_argument("reports", nargs="+")
    args = parser.parse_args()

    table = {}
    for path in args.reports:
        with open(path, encoding="utf-8") as report:
            depth = int(re.search(r"report-(\d+)\.json$", path).group(1))
            table[depth] = json.load(report)["regression_metrics"]["mse"]["value"]
    best = min(table, key=table.get)
    with open(args.output, "w", encoding="utf-8") as out:
        json.dump({"max_depth": best, "mse": table[best], "all": table}, out, indent=2, sort_keys=True)
    for depth in sorted(table):
        print(f"max_depth {depth}: mse {table[depth]:.4f}{' *' if depth == best else ''}")


if __name__ == "__main__":
    main()
