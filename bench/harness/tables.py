"""Tables that several programs have, and the ratios for them."""

from .figures import paired_ratio, spread


def cpu_ratio(samples, name, other, key="cpu_us"):
    """What `name` used to what `other` did, round by round, for `targets`; None where one of them
    wasn't run. `samples` are lists of runs by peer; `key` is another figure than CPU time. Errors
    of either make it void."""
    if not samples.get(name) or not samples.get(other):
        return None
    both = [[sample[key] for sample in samples[peer]] for peer in (name, other)]
    return {**paired_ratio(*both), "errors": errors(samples[name]) + errors(samples[other])}


def errors(runs):
    """Wrong and failed answers of all runs."""
    return sum(run.get("errors", 0) for run in runs)


def middle(runs, key):
    """The median of one figure."""
    return spread(run[key] for run in runs)["median"]


def with_spread(value, form):
    """Median with the least and the greatest."""
    return f"{value['median']:{form}} ({value['min']:{form}} – {value['max']:{form}})"


CPU_COLUMNS = ["peer", "CPU µs (least – greatest)", "of it kernel", "to Envoy", "a second"]
CPU_COLUMNS += ["p50 ms", "p99 ms", "worker busy", "errors"]


def cpu_table(title, samples):
    """A row for each peer of `samples`; what a program doesn't measure is a dash."""
    rows = []
    for name, runs in samples.items():
        ratio = cpu_ratio(samples, name, "envoy")
        rows.append(
            [
                name,
                with_spread(spread(run["cpu_us"] for run in runs), ".1f"),
                _shown(runs, "system_us", "{:.1f}"),
                with_spread(ratio, ".2f") if ratio else "–",
                f"{middle(runs, 'rate'):,.0f}",
                _shown(runs, "p50_us", "{:.2f}", 1000),
                _shown(runs, "p99_us", "{:.2f}", 1000),
                _shown(runs, "busy", "{:.0%}"),
                _void(errors(runs)),
            ]
        )
    return {"title": title, "columns": CPU_COLUMNS, "rows": rows}


def versions_table(versions):
    """Which versions were measured."""
    rows = [[name, version] for name, version in versions.items()]
    return {"title": "Versions", "columns": ["peer", "version"], "rows": rows}


def bars(groups):
    """Medians of CPU time by group and peer, for the picture."""
    return {
        name: {peer: middle(runs, "cpu_us") for peer, runs in samples.items()}
        for name, samples in groups.items()
    }


def _shown(runs, key, form, divisor=1):
    return form.format(middle(runs, key) / divisor) if key in runs[0] else "–"


def _void(count):
    return f"**{count}: void**" if count else "0"
