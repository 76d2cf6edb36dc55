"""A case: objects for Nuncio, a configuration for Envoy, requests, and the differences that are
meant."""

import functools
import math
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
CASES = HERE / "cases"
# How far two shares may be apart, in standard deviations of their difference.
SHARE_BOUND = 4.5


@functools.cache
def read_known():
    """The differences of `known.toml`."""
    with open(HERE / "known.toml", "rb") as file:
        return tomllib.load(file)["known"]


def is_known(rules, place, theirs, ours):
    """Whether one of `rules` is about this difference."""
    return any(
        rule["place"] == place
        and rule.get("envoy", theirs) == theirs
        and ours in rule.get("nuncio", [ours])
        for rule in rules
    )


@dataclass
class Request:
    """One request of a case, and where its answers may differ. README.md tells the fields."""

    case: str
    method: str
    path: str
    host: str = "example.com"
    headers: list = field(default_factory=list)
    body: str = ""
    version: str = "1.1"
    tls: dict | None = None
    then: str = ""
    times: int = 1
    told: str = ""
    meanwhile: dict | None = None
    copied: bool = False
    ignore: list = field(default_factory=list)
    differs: dict = field(default_factory=dict)
    known: list = field(default_factory=list)

    def __post_init__(self):
        self.path, self.body = pad(self.path), pad(self.body)
        self.headers = [pad(header) for header in self.headers]

    @property
    def name(self):
        headers = "".join(f" [{header[:60]}]" for header in self.headers)
        way = f" TLS {self.tls}" if self.tls is not None else ""
        version = f" HTTP/{self.version}" if self.version != "1.1" else ""
        return f"{self.case}: {self.method} {self.host}{self.path[:80]}{headers}{version}{way}"

    def compare(self, envoy, nuncio):
        """Complaints about differences that aren't meant, and about meant ones that aren't."""
        complaints = []
        for place in sorted((envoy.keys() | nuncio.keys()) - set(self.ignore)):
            theirs, ours = envoy.get(place, "none"), nuncio.get(place, "none")
            same = self._is_same(theirs, ours)
            meant = self.differs.get(place) or self._wholly(place)
            if meant is None and not same and not is_known(self.known, place, theirs, ours):
                said = f"    envoy  {brief(theirs)}\n    nuncio {brief(ours)}"
                complaints.append(f"{self.name}\n  {place}\n{said}")
            if place in self.differs and same:
                complaints.append(f"{self.name}\n  {place}: no difference any more ({theirs})")
        for place in self.differs.keys() - (envoy.keys() | nuncio.keys() | {"all"}):
            complaints.append(f"{self.name}\n  {place}: neither has it")
        if "all" in self.differs and envoy == nuncio:
            complaints.append(f"{self.name}\n  no difference any more")
        return complaints

    def _is_same(self, theirs, ours):
        """Equal; a share, a float, as far as chance can tell."""
        if not (isinstance(theirs, float) and isinstance(ours, float)):
            return theirs == ours
        share = (theirs + ours) / 2
        deviation = math.sqrt(2 * share * (1 - share) / self.times)
        return abs(theirs - ours) <= SHARE_BOUND * deviation

    def _wholly(self, place):
        """Why everything but what is named differs: one side refuses the request."""
        return self.differs.get("all") if place not in self.differs else None


def brief(value):
    """A value as it fits on a line."""
    return str(value)[:300]


def pad(text):
    """`text` with each `@pad(N)` replaced by N letters."""
    return re.sub(r"@pad\((\d+)\)", lambda match: "p" * int(match.group(1)), text)


@dataclass
class Case:
    """A folder of `cases`. `envoy` holds the text of each `envoy-*.yaml` by what `*` is."""

    name: str
    objects: str
    envoy: dict
    requests: list

    @property
    def is_quiet(self):
        """Whether no `x-envoy-*` header is wanted."""
        return "suppress_envoy_headers: true" in self.objects

    @property
    def is_edge(self):
        """Whether the connection tells who the client is."""
        return "use_remote_address: false" not in self.objects


def read_cases(wanted):
    """The cases whose names hold one of `wanted`; all without any."""
    folders = sorted(path for path in CASES.iterdir() if path.is_dir())
    chosen = [path for path in folders if not wanted or any(part in path.name for part in wanted)]
    return [read_case(path) for path in chosen]


def read_case(folder):
    """Reads nuncio.yaml, requests.toml, and the envoy-*.yaml that are there."""
    with open(folder / "requests.toml", "rb") as file:
        written = tomllib.load(file)
    known = [*read_known(), *written.get("known", [])]
    requests = []
    for entry in written["request"]:
        method, path = entry.pop("send").split(" ", 1)
        requests.append(Request(folder.name, method, path, known=known, **entry))
    return Case(
        name=folder.name,
        objects=(folder / "nuncio.yaml").read_text(encoding="utf-8"),
        envoy={
            path.stem.removeprefix("envoy-"): path.read_text(encoding="utf-8")
            for path in folder.glob("envoy-*.yaml")
        },
        requests=requests,
    )
