"""ci/layers.txt as an object: which folder may use which, and what else it may not.

Shared by check-layers.py (source text) and check-archives.py (compiled code).
"""
import re


class TableError(Exception):
    """ci/layers.txt contradicts itself."""


class Rule:
    """A header, call or word that only some folders may use."""

    def __init__(self, kind, pattern, folders, why):
        self.kind = kind
        self.folders = folders
        self.why = why
        self.pattern = pattern
        if kind == "call":
            # `x.exit(` and `x->exit(` are members that happen to have the name.
            self.regex = re.compile(r"(?<![\w.>])(?:" + pattern + r")\s*\(")
        elif kind == "word":
            self.regex = re.compile(r"(?<!\w)(?:" + pattern + r")(?!\w)")

    def binds(self, folder):
        """Does the rule forbid anything in @folder?"""
        return folder not in self.folders


class Table:
    """ci/layers.txt, parsed and checked."""

    def __init__(self, path):
        self.arrows = {}
        self.public = {}
        self.system = {}
        self.search = {}
        self.free = {}
        self.state = {}
        self.rules = []
        with open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                line = line.split("#", 1)[0].strip()
                if line:
                    try:
                        self.add_row(line)
                    except ValueError as error:
                        raise TableError(f"{path}:{number}: {error}") from error
        self.check_names(path)
        self.check_acyclic(path)

    def add_row(self, line):
        """One row of the table; ValueError when it is not one."""
        kind, _, rest = line.partition(" ")
        if kind in ("header", "call", "word"):
            match = re.fullmatch(r"(\S+) only (.*?) : (.+)", rest)
            if not match:
                raise ValueError(f"expected '{kind} PATTERN only FOLDERS : WHY'")
            folders = [f for f in match.group(2).split() if f != "-"]
            self.rules.append(Rule(kind, match.group(1), folders, match.group(3)))
            return
        if kind == "state":
            match = re.fullmatch(r"(\S+) in (\S+) : (.+)", rest)
            if not match:
                raise ValueError("expected 'state SYMBOL in FOLDER : WHY'")
            self.state[(match.group(2), match.group(1))] = match.group(3)
            return
        verb = {"folder": "may", "public": "has", "system": "only", "search": "in",
                "free": ":"}.get(kind)
        fields = rest.split()
        if verb is None or len(fields) < 2 or fields[1] != verb:
            raise ValueError(f"not a row: {line}")
        if kind == "public":
            self.public.update({name: fields[0] for name in fields[2:]})
        else:
            rows = {"folder": self.arrows, "system": self.system, "search": self.search,
                    "free": self.free}[kind]
            rows[fields[0]] = fields[2:]

    def check_names(self, path):
        """A folder that is named anywhere has a row of its own."""
        named = set(self.public.values()) | set(self.system) | set(self.search) | set(self.free)
        named.update(folder for folder, _ in self.state)
        for targets in self.arrows.values():
            named.update(t for t in targets if t != "*")
        for rule in self.rules:
            named.update(rule.folders)
        unknown = sorted(named - set(self.arrows))
        if unknown:
            raise TableError(f"{path}: no 'folder' row for {', '.join(unknown)}")

    def check_acyclic(self, path):
        """Arrows never lead back."""
        done = set()

        def visit(folder, trail):
            if folder in trail:
                circle = trail[trail.index(folder):] + [folder]
                raise TableError(f"{path}: the arrows form a circle: {' -> '.join(circle)}")
            if folder in done:
                return
            for target in self.targets(folder):
                visit(target, trail + [folder])
            done.add(folder)

        for folder in self.arrows:
            visit(folder, [])

    def targets(self, folder):
        """The folders that @folder may include, `*` spelt out."""
        allowed = self.arrows[folder]
        if allowed == ["*"]:
            return [f for f in self.arrows if f != folder]
        return allowed

    def folder_of(self, path):
        """The folder that the file at @path belongs to, or None."""
        if path.startswith("include/umbra/"):
            return self.folder_of_public(path[len("include/umbra/"):])
        inside = [f for f in self.arrows if path.startswith(f + "/")]
        return max(inside, key=len, default=None)

    def folder_of_public(self, header):
        """The folder that promises umbra/@header, or None."""
        name = header[:-2] if header.endswith(".h") else header
        folder = self.public.get(name, "src/" + name)
        return folder if folder in self.arrows else None
