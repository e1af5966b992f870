"""Results as rows of text, for the terminal and the documentation. No torch."""

from collections.abc import Iterator, Mapping
from typing import Any

SCHEMA = 3
"""Version of results.json."""

Row = tuple[str, ...]
RATIO_HEADER = ("workload", "ratio", "median (range)", "target", "reached")
METRIC_HEADER = (
    "workload", "loop", "in", "examples/s", "tokens/s", "in its first steps", "of product rate",
    "peak memory",
)  # fmt: skip
_METRICS = {
    "speed": "speed", "first_speed": "speed in the first steps", "memory": "peak memory",
    "share": "rate",
}  # fmt: skip
_KINDS = {
    "amx": "AMX", "avx512_bf16": "AVX-512 with bf16", "avx512": "AVX-512 without bf16",
    "other": "Other processors",
}  # fmt: skip


def ratio_rows(results: Mapping[str, Any]) -> list[Row]:
    """A row for each ratio of two variants."""
    return [row for workload in results["workloads"] for row in _ratios(workload)]


def metric_rows(results: Mapping[str, Any]) -> list[Row]:
    """A row for each variant, and one for a workload that failed."""
    return [row for workload in results["workloads"] for row in _metrics(workload)]


def _ratios(workload: Mapping[str, Any]) -> Iterator[Row]:
    for ratio in workload.get("ratios", ()):
        label = f"{_METRICS[ratio['metric']]}, {ratio['of']} to {ratio['over']}"
        spread = f"{ratio['median']:.2f}"
        if ratio["low"] != ratio["high"]:
            spread += f" ({ratio['low']:.2f} to {ratio['high']:.2f})"
        yield (workload["title"], label, spread, *_target(ratio))


def _target(ratio: Mapping[str, Any]) -> tuple[str, str]:
    if ratio["target"] is None:
        return "", ""
    bound = "at most" if ratio["metric"] == "memory" else "at least"
    return f"{bound} {ratio['target']:g}", "yes" if ratio["met"] else "no"


def _metrics(workload: Mapping[str, Any]) -> Iterator[Row]:
    if workload["failed"] is not None:
        yield (workload["title"], f"failed: {workload['failed']}", *[""] * (len(METRIC_HEADER) - 2))
        return
    for name, metrics in workload["metrics"].items():
        yield (
            workload["title"],
            name,
            metrics["how"],
            f"{metrics['examples_per_s']:,.1f}",
            f"{metrics['tokens_per_s']:,.0f}",
            f"{metrics['first_tokens_per_s']:,.0f} ({metrics['first_steps']})",
            format_share(metrics["share_of_product_rate"]),
            f"{metrics['peak_bytes'] / 1e9:.2f} GB",
        )


def format_share(share: float) -> str:
    """The share as a percentage; empty where operations are not counted."""
    if not share:
        return ""
    # Steps that take frozen states from a cache skip most of the counted operations.
    return f"{share:.0%}" if share <= 1 else "over 100%"


def format_rates(results: Mapping[str, Any]) -> str:
    """One line with the measured rates of matrix products."""
    by_width: dict[int, list[Mapping[str, float]]] = {}
    for workload in results["workloads"]:
        if workload["failed"] is None:
            by_width.setdefault(workload["hidden"], []).extend(workload["product_rate"])
    parts = []
    for hidden, rates in sorted(by_width.items()):
        best = {name: max(rate[name] for rate in rates) for name in rates[0]}
        rates_text = ", ".join(f"{name} {value / 1e9:,.0f}" for name, value in best.items())
        parts.append(f"{rates_text} at width {hidden}")
    return "GFLOP/s of matrix products: " + "; ".join(parts) if parts else "no rate measured"


def format_heading(machine: Mapping[str, Any]) -> str:
    """Heading of a machine's results. The part before the colon is the kind of machine."""
    kind = _KINDS.get(machine["kind"], machine["kind"])
    return f"### {kind}: {machine['processor']}, {_counted(machine['cores'], 'core')}"


def format_machine(results: Mapping[str, Any]) -> str:
    """One line with date, machine, versions, commit, data and rounds."""
    machine, versions, git = results["machine"], results["versions"], results["git"]
    parts = [
        results["date"],
        machine["processor"] if machine["gpu"] is None else machine["gpu"],
        _counted(machine["cores"], "core"),
        _counted(machine["threads"], "thread"),
        f"{machine['memory_bytes'] / 1e9:.0f} GB",
        *(f"{name} {versions[name]}" for name in ("python", "torch", "transformers")),
    ]
    if git is not None:
        parts.append(f"commit {git['commit'][:9]}{' with changes' if git['changed'] else ''}")
    parts.append(f"data: {results['data']}")
    parts.append(_counted(results["rounds"], "round"))
    return ", ".join(parts)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
