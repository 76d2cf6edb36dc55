"""What `bench/workers` found, for RESULTS.md."""

from .figures import spread
from .tables import errors, middle, versions_table, with_spread

COLUMNS = ["peer", "one worker: CPU µs a request", "two workers", "growth (least – greatest)"]
COLUMNS += ["requests/s, one", "two", "errors"]
TEXT = (
    "Growth is twice the CPU a request of one worker by that of two: how much more two workers can"
    " do than one where each has a core to itself and nothing else runs out before them. The rates"
    " are those of a machine whose load and upstream take their share of the same cores."
)


def build(machine, given, versions, samples):
    """The result. `samples` are lists of runs by the number of workers, then by peer."""
    rows = []
    for name in versions:
        one, two = (samples[workers][name] for workers in (1, 2))
        used = (spread(run["cpu_us"] for run in runs) for runs in (one, two))
        row = [name, *(with_spread(cpu, ".1f") for cpu in used)]
        row.append(with_spread(growth(one, two), ".2f"))
        row += [f"{middle(runs, 'rate'):,.0f}" for runs in (one, two)]
        rows.append([*row, errors(one) + errors(two)])
    table = {"title": "From one worker to two", "text": TEXT, "columns": COLUMNS, "rows": rows}
    return {
        "title": "Growth with the workers",
        "file": "RESULTS.md",
        "machine": machine,
        "about": f"{given.rounds} rounds of {given.seconds} s, {given.connections} connections that"
        " ask again as soon as they are answered, HTTP/1.1; proxy, load and upstream share all"
        " cores, with one worker as with two.",
        "measured": {"workers": growth(samples[1]["nuncio"], samples[2]["nuncio"])},
        "tables": [versions_table(versions), table],
    }


def growth(one, two):
    """How much more two workers can do than one, by their CPU a request, round by round."""
    ratios = spread(2 * a["cpu_us"] / b["cpu_us"] for a, b in zip(one, two, strict=True))
    return {**ratios, "errors": errors(one) + errors(two)}
