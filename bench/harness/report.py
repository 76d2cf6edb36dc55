"""What the programs of this benchmark have found, kept in bench/results/ as JSON, one file a
program, and the documents and pictures that are written from it. So each program can be repeated
without the others.

A result holds
- `title`, and `file`: the document of bench/ that has its section,
- `machine` (`machine.describe()`), and `about`: how it was measured, a paragraph,
- `measured`: values of targets by their keys in `targets.TARGETS`, each as `figures.spread` gives
  it, with `errors` where they make it void,
- `tables`: each a `title`, an optional `text`, `columns` and `rows` of text,
- `bars`, optional: for `picture.PICTURES`, a group's name with a value for each peer.
"""

import json

from . import picture, targets, tools

RESULTS = tools.BENCH / "results"
MAIN = "RESULTS.md"
# The order of sections; programs that aren't named follow by name.
ORDER = ["run", "latency", "bodies", "workers", "connections", "change", "tls", "memory", "live"]
NEEDED = ("title", "file", "machine", "about", "measured", "tables")


def store(name, result):
    """Keeps the result of program `name`, writes all documents anew; the section's text."""
    check(result)
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(result, indent=1, ensure_ascii=False)
    (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    write_all()
    return "\n".join(section(result))


def check(result):
    """A KeyError where a part is missing, or a target is measured that nobody has set."""
    for key in NEEDED:
        result[key]
    for key in result["measured"]:
        targets.TARGETS[key]


def load():
    """All stored results by name, in the order of their sections."""
    names = sorted(path.stem for path in RESULTS.glob("*.json"))
    names.sort(key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))
    return {
        name: json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8")) for name in names
    }


def write_all():
    """Every document and picture from what is stored."""
    results = load()
    for file, text in documents(results).items():
        (tools.BENCH / file).write_text(text, encoding="utf-8")
    for name, text in picture.draw_all(results).items():
        (tools.BENCH / f"{name}.svg").write_text(text, encoding="utf-8")


def documents(results):
    """Text by file name."""
    files = {MAIN: ["# Results", "", _origin("all of them"), "", "## Targets", ""]}
    files[MAIN] += targets.table(results)
    for name, result in results.items():
        lines = files.setdefault(result["file"], [f"# {result['title']}", "", _origin(name)])
        if result["file"] == MAIN:
            lines += ["", f"## {result['title']}"]
        lines += ["", *section(result, "###" if result["file"] == MAIN else "##")]
    return {file: "\n".join(lines) + "\n" for file, lines in files.items()}


def section(result, level="##"):
    """The lines of one result, without its title; its tables' titles have `level`."""
    lines = [f"{machine_line(result['machine'])} {result['about']}"]
    for table in result["tables"]:
        lines += ["", f"{level} {table['title']}", ""]
        if table.get("text"):
            lines += [table["text"], ""]
        lines.append(_row(table["columns"]))
        lines.append("|" + "---|" * len(table["columns"]))
        lines += [_row(row) for row in table["rows"]]
    return lines


def machine_line(machine):
    """When and where, and how busy the machine was."""
    return (
        f"{machine['date']} · {machine['cpu']}, {machine['cores']} cores, Linux"
        f" {machine['kernel']}, load average {machine['load_at_start']} before the start ·"
        f" Nuncio: {machine['nuncio']}."
    )


def _origin(name):
    by = "`make bench`" if name == "all of them" else f"`bench/{name}`"
    return (
        f"Written by {by} from `results/`; don't edit. What the figures mean, and how far to trust"
        " them: [README.md](README.md)."
    )


def _row(cells):
    return f"| {' | '.join(str(cell) for cell in cells)} |"
