"""Tests of what the figures hang on; `python3 -m unittest discover bench`."""

import json
import re
import subprocess
import sys
import time
import unittest
from argparse import Namespace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from unittest.mock import patch
from xml.etree import ElementTree

from harness import live_results, memory_results, pace
from harness.bodies_results import build
from harness.cluster import count_by_verb, count_requests, parse_metrics
from harness.figures import paired_ratio, quantile, spread
from harness.histogram import parse_histogram
from harness.idle import frame
from harness.live import ANSWER, VERSION, Follower, mapping
from harness.pace import Pace, parse
from harness.picture import draw_all
from harness.process import Tree
from harness.report import check, documents
from harness.routes import build_routes, build_services
from harness.run_results import to_best
from harness.sites import CELLS
from harness.tables import cpu_ratio
from harness.targets import TARGETS, table
from harness.workers_results import growth
from harness.template import fill, fill_each

METRICS = """
# TYPE t histogram
t_bucket{le="0.001"} 5
t_bucket{le="0.01"} 9
t_bucket{le="+Inf"} 10
t_sum 0.5
t_count 10
t_other_count 7
"""


RESULT = {
    "title": "Part",
    "file": "PART.md",
    "machine": {
        "date": "today", "cpu": "some", "cores": 2, "kernel": "6", "nuncio": "x", "load_at_start": 1
    },
    "about": "One round.",
    "measured": {
        "h1-envoy": spread([0.4, 0.6, 0.45]),
        "workers": spread([1.8]),
        "h2-tls": {**spread([0.1]), "errors": 3},
    },
    "tables": [{"title": "All", "columns": ["peer", "µs"], "rows": [["nuncio", 1]]}],
    "bars": {"cpu": {"HTTP <1>": {"nuncio": 15.1, "envoy": 30.2}}},
}


def tell_versions(report):
    """A follower that sees three versions and one wrong answer."""
    for name, value, moment in [("seen", 0, 1.0), ("seen", 2, 3.0), ("wrong", "x", 4.0), ("seen", 3, 5.0)]:
        report((name, value, moment))


class Live(unittest.TestCase):
    def test_versions_are_read_from_events_and_answers(self):
        event = json.dumps({"type": "MODIFIED", "object": mapping(7)}, separators=(",", ":"))
        self.assertEqual(VERSION.search(event.encode()).group(1), b"7")
        answer = b"HTTP/1.1 301 Moved Permanently\r\nlocation: http://live.bench/v12/\r\nserver: x\r\n\r\n"
        self.assertEqual(ANSWER.search(answer).group(1), b"12")
        self.assertIsNone(ANSWER.search(answer.replace(b"301", b"404")))

    def test_a_version_is_seen_when_it_or_a_newer_one_is(self):
        follower = Follower(tell_versions)
        self.assertEqual(follower.wait_for(1), 3.0)
        self.assertEqual(follower.wait_for(3), 5.0)
        follower.end()
        self.assertEqual(follower.wrong, ["x"])


class LiveResults(unittest.TestCase):
    def test_targets_are_those_of_10_000_mappings(self):
        def changes(served, wrong=0):
            return {"served": [served], "watched": [0.005], "wrong": wrong, "others": 0}

        rows = [(1_000, "a", changes(9, 1)), (10_000, "a", changes(0.006)), (10_000, "b", changes(0.008))]
        times = {"start": 1, "listed": 0.5, "statuses": 40, "writes": 250, "peak": 2**20}
        start = {**times, "during": 0.002, "after": 0.001, "wrong": 2, "inside": 0.001}
        result = live_results.build({}, Namespace(changes=1), [(10_000, 600, start)], rows)
        check(result)
        measured = {key: round(value["max"], 3) for key, value in result["measured"].items()}
        expected = {"live-p99": 3, "live-wrong": 3, "start-ready": 0.5, "start-peak": 1}
        self.assertEqual(measured, {**expected, "status-done": 40, "status-p99": 2})
        for table_of in result["tables"]:
            for row in table_of["rows"]:
                self.assertEqual(len(row), len(table_of["columns"]))


class Report(unittest.TestCase):
    def test_each_result_has_its_document_and_all_targets_stand_in_the_main_one(self):
        files = documents({"part": RESULT})
        self.assertEqual(set(files), {"RESULTS.md", "PART.md"})
        self.assertIn("## All\n\n| peer | µs |\n|---|---|\n| nuncio | 1 |\n", files["PART.md"])
        for key, target in TARGETS.items():
            self.assertIn(f"| {target.what} | {target.shown()} |", files["RESULTS.md"], key)

    def test_verdicts(self):
        lines = {line.split(" | ")[0][2:]: line for line in table({"part": RESULT})}
        expected = {
            "h1-envoy": "| ≤ 0.5 × | 0.45 × (0.40 – 0.60) | yes | `part` |",
            "workers": "| ≥ 1.9 × | 1.80 × | **no** | `part` |",
            "h2-tls": "| void: errors | `part` |",
            "h1-best": "| – | not measured |",
        }
        for key, part in expected.items():
            self.assertIn(part, lines[TARGETS[key].what], key)

    def test_a_target_that_nobody_set_is_an_error(self):
        check(RESULT)
        with self.assertRaises(KeyError):
            check({**RESULT, "measured": {"h1-envy": spread([1])}})
        with self.assertRaises(KeyError):
            check({"title": "only"})

    def test_pictures(self):
        drawn = draw_all({"part": RESULT})
        self.assertEqual(list(drawn), ["cpu"])
        ElementTree.fromstring(drawn["cpu"])
        self.assertIn("30.2 µs", drawn["cpu"])
        widths = [int(w) for w in re.findall(r'<rect x=.*? width="(\d+)"', drawn["cpu"])]
        self.assertEqual(widths[0] * 2, widths[1])


class Tables(unittest.TestCase):
    def test_errors_of_either_make_a_ratio_void(self):
        fine, broken = {"cpu_us": 10, "errors": 0}, {"cpu_us": 20, "errors": 2}
        ratio = cpu_ratio({"nuncio": [fine], "envoy": [broken]}, "nuncio", "envoy")
        self.assertEqual((ratio["median"], ratio["errors"]), (0.5, 2))
        self.assertIsNone(cpu_ratio({"nuncio": [fine]}, "nuncio", "envoy"))

    def test_the_better_of_two_is_chosen_by_its_median(self):
        def runs(*values):
            return [{"cpu_us": value, "errors": 0} for value in values]

        one = {"nuncio": runs(20, 20, 20), "nginx": runs(10, 30, 30), "haproxy": runs(25, 25, 25)}
        self.assertEqual(to_best(one)["median"], 0.8)


class Clients(unittest.TestCase):
    def test_whatever_is_no_right_answer_is_an_error(self):
        said = '{"asked": 10, "right": 4, "wrong": 3, "broken": 2, "unanswered": 1, "p99_us": 7}'
        figures = parse(said)
        self.assertEqual((figures["errors"], figures["p99_us"]), (6, 7))

    def test_the_client_is_told_how_to_ask(self):
        with patch.object(pace, "program", lambda: "pace"):
            command = Pace(500, 3, None, ["--new"]).command(80, "/x/")
        expected = "pace --rate=500 --seconds=3 --warm-up=1 --new 127.0.0.1:80 /x/"
        self.assertEqual(" ".join(command), expected)


class Growth(unittest.TestCase):
    def test_no_more_cpu_with_two_is_twice_the_rate(self):
        def run(cpu, errors=0):
            return {"cpu_us": cpu, "errors": errors}

        self.assertEqual(growth([run(20)], [run(20)])["median"], 2)
        found = growth([run(20), run(20, 1)], [run(25), run(16)])
        self.assertEqual((found["min"], found["max"], found["errors"]), (1.6, 2.5, 1))


class Bodies(unittest.TestCase):
    def test_each_cell_decides_a_target(self):
        runs = {peer: [{"cpu_ms": 1, "rate": 1, "busy": 1}] for peer in ("nuncio", "envoy")}
        samples = {(way, size): runs for way in ("down", "up") for size in (1024, 65536, 10 << 20)}
        given = SimpleNamespace(rounds=1, seconds=1)
        result = build({}, given, {"nuncio": "1"}, samples)
        self.assertEqual(len(result["measured"]), 6)
        check(result)


class Sites(unittest.TestCase):
    def test_every_cell_has_its_site_and_every_target_of_routes_its_cell(self):
        for name, cell in CELLS.items():
            self.assertTrue(cell.has("nuncio"), name)
        routed = [key for key in TARGETS if key.split("-")[0] in ("prefix", "host")]
        self.assertEqual(len(routed), 18)
        for key in routed:
            self.assertIn(key, CELLS)


class Figures(unittest.TestCase):
    def test_quantiles(self):
        hundred = list(range(1, 101))
        cases = [(hundred, 0.5, 50), (hundred, 0.99, 99), (hundred, 1.0, 100), ([7], 0.99, 7)]
        for values, q, expected in cases:
            self.assertEqual(quantile(values, q), expected, (len(values), q))

    def test_ratios_are_paired(self):
        # The second round ran on a machine half as fast: the ratios don't see it.
        self.assertEqual(paired_ratio([10, 20], [20, 40]), spread([0.5, 0.5]))
        with self.assertRaises(ValueError):
            paired_ratio([1], [1, 2])


class Memory(unittest.TestCase):
    def test_frames(self):
        self.assertEqual(frame(4, 1, 0, b""), b"\0\0\0\x04\x01\0\0\0\0")
        self.assertEqual(frame(0, 1, 3, b"abc"), b"\0\0\x03\0\x01\0\0\0\x03abc")

    def test_what_targets_are_set_on(self):
        def held(mib):
            return {"now": mib * 1024 * 1024, "peak": 2 * mib * 1024 * 1024}

        found = {
            "tables": {"nuncio": {1: held(10), 10_000: held(45)}},
            "connections": {"nuncio": {"HTTP/1.1": 11 * 1024, "HTTP/1.1 in TLS": 31 * 1024}},
            "churn": {"changes": 300, "fresh": held(1), "before": held(20), "after": held(23)},
        }
        given = Namespace(sizes=[10_000], connections=100)
        result = memory_results.build({}, given, {"nuncio": "1.0.0"}, found)
        check(result)
        measured = {key: round(value["median"], 2) for key, value in result["measured"].items()}
        expected = {"memory-10000": 45, "memory-route": 3.58, "idle-plain": 11, "idle-tls": 31}
        self.assertEqual(measured, {**expected, "churn": 1.15})
        rows = [row for table in result["tables"] for row in table["rows"]]
        self.assertIn(["nuncio 1.0.0", "10.0", "45.0", "3.6", "90.0"], rows)


class Histograms(unittest.TestCase):
    def test_between_two_readings(self):
        later = METRICS.replace("5\n", "105\n").replace(" 9", " 109").replace(" 10\n", " 110\n")
        between = parse_histogram(later, "t") - parse_histogram(METRICS, "t")
        self.assertEqual(between.count, 100)
        self.assertEqual(between.at_most(0.99), 0.001)

    def test_bounds(self):
        histogram = parse_histogram(METRICS, "t")
        for q, bound in [(0.5, 0.001), (0.51, 0.01), (0.9, 0.01), (0.99, None)]:
            self.assertEqual(histogram.at_most(q), bound, q)
        self.assertEqual(histogram.mean(), 0.05)
        with self.assertRaises(ValueError):
            parse_histogram(METRICS, "absent")


class Routes(unittest.TestCase):
    def test_addresses_are_distinct_and_ten_routes_share_one(self):
        services = build_services(10_000, 80)
        routes = build_routes(10_000, services)
        self.assertEqual(len({s.address for s in services}), 1000)
        self.assertEqual(len({r.match for r in routes}), 10_000)
        self.assertEqual(routes[9].service, routes[0].service)
        self.assertNotEqual(routes[10].service, routes[0].service)

    def test_kinds_of_routes(self):
        services = build_services(1, 80)
        cases = {
            "prefix": ("*", "/r00000/", "/r00000/", {}),
            "host": ("r00000.example", "/", "/", {"Host": "r00000.example"}),
            "regex": ("*", "/r00000/[a-z]+/[0-9]+", "/r00000/item/42", {}),
        }
        for kind, expected in cases.items():
            route = build_routes(1, services, kind)[0]
            self.assertEqual((route.host, route.match, route.path, route.headers), expected)
            if kind == "regex":
                self.assertTrue(re.fullmatch(route.match, route.path))
        with self.assertRaises(ValueError):
            build_routes(1, services, "cookie")

    def test_templates(self):
        service = build_services(1, 80)[0]
        self.assertEqual(fill("$a @type @{b}", {"b": 1}), "$a @type 1")
        twice = fill_each("@{service} @{x}\n", [service] * 2, {"x": 1})
        self.assertEqual(twice, "s00000 1\ns00000 1")
        with self.assertRaises(KeyError):
            fill("@{unknown}", {})


class Processes(unittest.TestCase):
    def test_a_childs_work_counts_and_a_pause_stops_it(self):
        spin = ["-c", "while True: pass"]
        script = f"import subprocess, sys; subprocess.run([sys.executable, *{spin}], timeout=20)"
        with TemporaryDirectory() as directory:
            tree = Tree([sys.executable, "-c", script], None, Path(directory) / "log")
            try:
                time.sleep(1)
                self.assertEqual(len(tree.pids()), 2)
                tree.pause()
                time.sleep(0.1)
                paused = tree.cpu()
                self.assertGreater(paused.total, 0.1)
                time.sleep(0.3)
                self.assertEqual(tree.cpu(), paused)
                tree.resume()
                time.sleep(0.5)
                self.assertGreater(tree.cpu().total, paused.total)
            finally:
                pids = tree.pids()
                tree.end()
                for pid in pids[1:]:
                    subprocess.run(["kill", str(pid)], check=False, capture_output=True)


class Cluster(unittest.TestCase):
    def test_requests_count_once_and_only_the_users(self):
        event = """{"auditID": "%s", "user": {"username": "%s"}, "verb": "%s", "objectRef": %s}"""
        status = '{"resource": "mappings", "subresource": "status"}'
        lines = [
            event % ("1", "us", "watch", '{"resource": "mappings"}'),
            event % ("1", "us", "watch", '{"resource": "mappings"}'),
            event % ("2", "us", "patch", status),
            event % ("3", "them", "patch", status),
            event % ("4", "us", "get", "{}"),
            '{"auditID": "5", "us',
        ]
        expected = {
            ("watch", "mappings"): 1, ("patch", "mappings/status"): 1, ("get", "(discovery)"): 1,
        }
        self.assertEqual(count_requests(lines, "us"), expected)

    def test_counters_of_the_api_server(self):
        text = """# HELP apiserver_request_total all
apiserver_request_total{code="200",resource="mappings",verb="LIST"} 3
apiserver_request_total{code="500",resource="mappings",verb="LIST"} 1
apiserver_request_total{code="200",resource="pods",verb="LIST"} 5
other{resource="mappings",verb="LIST"} 9
"""
        self.assertEqual(count_by_verb(parse_metrics(text), {"mappings"}), {"LIST": 4})


if __name__ == "__main__":
    unittest.main()
