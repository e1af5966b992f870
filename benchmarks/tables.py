"""Results as rows of text, for the terminal and for the documentation. No torch."""

from collections.abc import Iterator, Mapping
from typing import Any

Row = tuple[str, ...]
RATIO_HEADER = ("workload", "ratio", "median (range)", "target", "reached")
FIGURE_HEADER = (
    "workload", "loop", "in", "examples/s", "tokens/s", "of product rate", "peak memory"
)  # fmt: skip
_FIGURES = {"speed": "speed", "memory": "peak memory", "share": "rate"}


def ratio_rows(results: Mapping[str, Any]) -> list[Row]:
    """A row for each ratio of two contenders."""
    return [row for workload in results["workloads"] for row in _ratios(workload)]


def figure_rows(results: Mapping[str, Any]) -> list[Row]:
    """A row for each contender, and one for a workload that failed."""
    return [row for workload in results["workloads"] for row in _figures(workload)]


def _ratios(workload: Mapping[str, Any]) -> Iterator[Row]:
    for ratio in workload.get("ratios", ()):
        words = f"{_FIGURES[ratio['figure']]}, {ratio['of']} to {ratio['over']}"
        found = f"{ratio['median']:.2f}"
        if ratio["low"] != ratio["high"]:
            found += f" ({ratio['low']:.2f} to {ratio['high']:.2f})"
        yield (workload["title"], words, found, *_target(ratio))


def _target(ratio: Mapping[str, Any]) -> tuple[str, str]:
    if ratio["target"] is None:
        return "", ""
    bound = "at most" if ratio["figure"] == "memory" else "at least"
    return f"{bound} {ratio['target']:g}", "yes" if ratio["met"] else "no"


def _figures(workload: Mapping[str, Any]) -> Iterator[Row]:
    if workload["failed"] is not None:
        yield (workload["title"], f"failed: {workload['failed']}", "", "", "", "", "")
        return
    for name, figures in workload["figures"].items():
        yield (
            workload["title"],
            name,
            figures["how"],
            f"{figures['examples_per_s']:,.1f}",
            f"{figures['tokens_per_s']:,.0f}",
            _share(figures["share_of_product_rate"]),
            f"{figures['peak_bytes'] / 1e9:.2f} GB",
        )


def _share(share: float) -> str:
    # Steps that take frozen states from a cache skip most of what is counted.
    return f"{share:.0%}" if share <= 1 else "over 100%"


def rate_words(results: Mapping[str, Any]) -> str:
    """The measured rates of matrix products, in words."""
    found: dict[int, list[Mapping[str, float]]] = {}
    for workload in results["workloads"]:
        if workload["failed"] is None:
            found.setdefault(workload["hidden"], []).extend(workload["product_rate"])
    parts = []
    for hidden, rates in sorted(found.items()):
        best = {name: max(rate[name] for rate in rates) for name in rates[0]}
        each = ", ".join(f"{name} {value / 1e9:,.0f}" for name, value in best.items())
        parts.append(f"{each} at width {hidden}")
    return "GFLOP/s of matrix products: " + "; ".join(parts) if parts else "no rate measured"


def machine_words(results: Mapping[str, Any]) -> str:
    """Date, machine, versions, commit, data and rounds."""
    machine, versions, git = results["machine"], results["versions"], results["git"]
    words = [
        results["date"],
        machine["processor"] if machine["gpu"] is None else machine["gpu"],
        _counted(machine["cores"], "core"),
        _counted(machine["threads"], "thread"),
        f"{machine['memory_bytes'] / 1e9:.0f} GB",
        *(f"{name} {versions[name]}" for name in ("python", "torch", "transformers")),
    ]
    if git is not None:
        words.append(f"commit {git['commit'][:9]}{' with changes' if git['changed'] else ''}")
    words.append(f"data: {results['data']}")
    words.append(_counted(results["rounds"], "round"))
    return ", ".join(words)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
