"""Tests of what the figures hang on; `python3 -m unittest discover bench`."""

import subprocess
import sys
import time
import unittest
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.cluster import count_by_verb, count_requests, parse_metrics
from harness.figures import paired_ratio, quantile, spread
from harness.histogram import parse_histogram
from harness.picture import choose, draw, read_groups
from harness.process import Tree
from harness.routes import build_routes, build_services
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


TABLE = """
## HTTP/2 over TLS 1.3, 16 connections

| peer | CPU µs (least – greatest) | to Envoy |
|---|---|---|
| nuncio 0.2.0 | 15.1 (15.0 – 15.2) | 0.59 |
| envoy 1.40.0 | 25.7 (25.0 – 26.0) | 1.00 |

## Memory

| peer | KiB |
|---|---|
| nuncio | 38.4 |
"""


class Picture(unittest.TestCase):
    def test_draws_the_tables_of_cpu_time(self):
        groups = choose(read_groups(TABLE))
        self.assertEqual(groups, {"HTTP/2 over TLS 1.3": {"nuncio": 15.1, "envoy": 25.7}})
        drawn = draw(groups)
        self.assertIn("25.7 µs", drawn)
        self.assertEqual(drawn.count("<rect"), 3)


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
        self.assertEqual(len({r.prefix for r in routes}), 10_000)
        self.assertEqual(routes[9].service, routes[0].service)
        self.assertNotEqual(routes[10].service, routes[0].service)

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
