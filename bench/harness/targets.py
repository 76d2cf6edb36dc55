"""What Nuncio is to reach, all in one place, and what became of it. A program of this benchmark
gives a measured value to a target by its key."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """A limit for one figure: at most `limit`, or at least where `at_least`. `unit` is × for a
    ratio."""

    what: str
    limit: float
    unit: str = "×"
    at_least: bool = False

    def met(self, value):
        """Whether the median is within the limit; None where the figure is void."""
        if value.get("errors"):
            return None
        reached = value["median"]
        return reached >= self.limit if self.at_least else reached <= self.limit

    def shown(self):
        """The limit as the table has it."""
        return f"{'≥' if self.at_least else '≤'} {self.limit:,g} {self.unit}"


def _routes():
    for by in ("prefix", "host"):
        for count in (100, 10_000, 100_000):
            for place in ("first", "middle", "last"):
                what = f"CPU a request, {count:,} routes by {by}, the {place}, to one route"
                yield f"{by}-{count}-{place}", Target(what, 1.05)


def _bodies():
    for way in ("down", "up"):
        for size in ("1 KiB", "64 KiB", "10 MiB"):
            key = f"{way}-{size.replace(' ', '')}"
            yield key, Target(f"CPU a GiB, bodies of {size} {way}, to Envoy's", 1.0)


TARGETS = {
    "h1-envoy": Target("CPU a request, HTTP/1.1, one route, to Envoy's", 0.5),
    "h1-best": Target("the same, to the better of nginx and HAProxy", 1.0),
    "log": Target("the same with the access log, to without it", 1.10),
    "h2-tls": Target("CPU a request, HTTP/2 over TLS, to Envoy's", 0.6),
    "h2-plain": Target("CPU a request, HTTP/2 without TLS, to Envoy's", 0.6),
    "grpc-unary": Target("CPU a call, gRPC unary, to Envoy's", 0.6),
    "grpc-stream": Target("CPU a call, gRPC streaming, to Envoy's", 0.6),
    "tls-full": Target("CPU a connection, full TLS 1.3 handshake, to Envoy's", 0.6),
    "tls-resumed": Target("CPU a connection, resumed TLS 1.3 handshake, to Envoy's", 0.6),
    **dict(_routes()),
    "regex-100": Target("CPU a request, the last of 100 regex routes, to one of one", 1.5),
    **dict(_bodies()),
    "memory-10000": Target("memory with 10,000 routes", 50, "MiB"),
    "memory-route": Target("memory of a route", 8, "KiB"),
    "idle-plain": Target("memory of an idle connection", 12, "KiB"),
    "idle-tls": Target("memory of an idle TLS connection", 30, "KiB"),
    "churn": Target("memory after 100,000 changes (a tenth with `--quick`), to before them", 1.10),
    "live-p99": Target(
        "API PATCH to the first new answer among 10,000 Mappings, p99 beyond a bare watch's", 10, "ms"
    ),
    "live-wrong": Target("wrong answers during changes and starts", 0, ""),
    "start-ready": Target("start with 10,000 Mappings, from the lists to ready", 2, "s"),
    "start-peak": Target("start with 10,000 Mappings, peak memory", 120, "MiB"),
    "workers": Target("rate of two workers to that of one", 1.9, at_least=True),
    "connections-p99": Target(
        "p99 of others beside 10,000 idle connections and 1,000 new a second, to undisturbed", 2.0
    ),
    "status-done": Target("statuses of 10,000 Mappings written after the first start", 60, "s"),
    "status-p99": Target("p99 of requests while they are written, to undisturbed", 1.1),
}


def table(results):
    """The lines of the table of all targets. `results` are what programs stored, by name."""
    lines = [
        "| what | target | measured (least – greatest) | met | measured by |",
        "|---|---|---|---|---|",
    ]
    for key, target in TARGETS.items():
        row = [target.what, target.shown(), "–", "not measured", ""]
        for name, result in results.items():
            if value := result["measured"].get(key):
                row[2:] = [_measured(value, target.unit), _verdict(target.met(value)), f"`{name}`"]
        lines.append(f"| {' | '.join(row)} |")
    return lines


def _verdict(met):
    return {True: "yes", False: "**no**", None: "void: errors"}[met]


def _measured(value, unit):
    median, least, greatest = (value[part] for part in ("median", "min", "max"))
    text = f"{median:,.2f} {unit}".strip()
    return text if least == greatest else f"{text} ({least:,.2f} – {greatest:,.2f})"
