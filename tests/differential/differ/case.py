"""A case: objects for Nuncio, routes for Envoy, requests, and the differences that are meant."""

import functools
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
CASES = HERE / "cases"


@functools.cache
def read_known():
    """The differences of `known.toml`."""
    with open(HERE / "known.toml", "rb") as file:
        return tomllib.load(file)["known"]


def is_known(place, theirs, ours):
    """Whether a difference stands in `known.toml`."""
    return any(
        rule["place"] == place and rule.get("envoy", theirs) == theirs and ours in rule["nuncio"]
        for rule in read_known()
    )


@dataclass
class Request:
    """One request of a case, and where its answers may differ."""

    case: str
    method: str
    path: str
    host: str = "example.com"
    headers: list = field(default_factory=list)
    body: str = ""
    version: str = "1.1"
    differs: dict = field(default_factory=dict)

    @property
    def name(self):
        headers = "".join(f" [{header}]" for header in self.headers)
        return f"{self.case}: {self.method} {self.host}{self.path}{headers}"

    def compare(self, envoy, nuncio):
        """Complaints about differences that aren't meant, and about meant ones that aren't."""
        complaints = []
        for place in sorted(envoy.keys() | nuncio.keys()):
            theirs, ours = envoy.get(place, "none"), nuncio.get(place, "none")
            meant = self.differs.get(place) or self._wholly(place)
            if meant is None and theirs != ours and not is_known(place, theirs, ours):
                complaints.append(f"{self.name}\n  {place}\n    envoy  {theirs}\n    nuncio {ours}")
            if place in self.differs and theirs == ours:
                complaints.append(f"{self.name}\n  {place}: no difference any more ({theirs})")
        for place in self.differs.keys() - (envoy.keys() | nuncio.keys() | {"all"}):
            complaints.append(f"{self.name}\n  {place}: neither has it")
        if "all" in self.differs and envoy == nuncio:
            complaints.append(f"{self.name}\n  no difference any more")
        return complaints

    def _wholly(self, place):
        """Why everything but what is named differs: one side refuses the request."""
        return self.differs.get("all") if place not in self.differs else None


@dataclass
class Case:
    """A folder of `cases`."""

    name: str
    objects: str
    routes: str
    options: str
    requests: list

    @property
    def is_quiet(self):
        """Whether no `x-envoy-*` header is wanted."""
        return "suppress_envoy_headers: true" in self.objects


def read_cases(wanted):
    """The cases whose names hold one of `wanted`; all without any."""
    folders = sorted(path for path in CASES.iterdir() if path.is_dir())
    chosen = [path for path in folders if not wanted or any(part in path.name for part in wanted)]
    return [read_case(path) for path in chosen]


def read_case(folder):
    """Reads nuncio.yaml, envoy-routes.yaml, envoy-options.yaml (may be missing), requests.toml."""
    with open(folder / "requests.toml", "rb") as file:
        written = tomllib.load(file)
    common = written.get("differs", {})
    requests = []
    for entry in written["request"]:
        method, path = entry.pop("send").split(" ", 1)
        differs = {**common, **entry.pop("differs", {})}
        requests.append(Request(folder.name, method, path, differs=differs, **entry))
    options = folder / "envoy-options.yaml"
    return Case(
        name=folder.name,
        objects=(folder / "nuncio.yaml").read_text(encoding="utf-8"),
        routes=(folder / "envoy-routes.yaml").read_text(encoding="utf-8"),
        options=options.read_text(encoding="utf-8") if options.exists() else "",
        requests=requests,
    )
