"""What `bench/run` sets up and asks for."""

from dataclasses import dataclass

# Those that do the same work.
FAIR = ("nuncio", "envoy", "nginx", "haproxy")
# Those that are measured with 100,000 routes as well. Envoy tries prefixes one after the other:
# it would need milliseconds a request, and gigabytes.
BEAR_MANY = ("nuncio", "nginx", "haproxy")
# Those for whom each place in the table is asked for; for the rest the last will do.
PLACES_OF = ("nuncio", "envoy")


@dataclass(frozen=True)
class Site:
    """A configuration: so many routes of one kind, with the access log or without."""

    kind: str
    count: int
    log: bool = False
    peers: tuple = FAIR

    def has(self, peer):
        """Whether this peer is measured with it."""
        return peer in self.peers


@dataclass(frozen=True)
class Cell:
    """A request to a site: which of its routes, and who is asked (all that have the site, where
    nobody is named)."""

    site: str
    place: str
    peers: tuple = ()

    def has(self, peer):
        """Whether this peer is measured with it."""
        return SITES[self.site].has(peer) and (not self.peers or peer in self.peers)

    def pick(self, routes):
        """The route that is asked for."""
        return routes[{"first": 0, "middle": len(routes) // 2, "last": -1}[self.place]]


SITES = {
    "one": Site("prefix", 1, peers=(*FAIR, "envoy-lean")),
    "log": Site("prefix", 1, log=True),
    "prefix-100": Site("prefix", 100),
    "prefix-10000": Site("prefix", 10_000),
    "prefix-100000": Site("prefix", 100_000, peers=BEAR_MANY),
    "host-100": Site("host", 100),
    "host-10000": Site("host", 10_000),
    "host-100000": Site("host", 100_000, peers=BEAR_MANY),
    "regex-1": Site("regex", 1),
    "regex-100": Site("regex", 100),
}


def _places(site):
    others = ("nuncio",) if SITES[site].kind == "host" else PLACES_OF
    return {
        f"{site}-first": Cell(site, "first", others),
        f"{site}-middle": Cell(site, "middle", others),
        f"{site}-last": Cell(site, "last"),
    }


CELLS = {
    "one": Cell("one", "last"),
    "log": Cell("log", "last"),
    **_places("prefix-100"),
    **_places("prefix-10000"),
    **_places("prefix-100000"),
    **_places("host-100"),
    **_places("host-10000"),
    **_places("host-100000"),
    "regex-1": Cell("regex-1", "last"),
    "regex-100": Cell("regex-100", "last"),
}
