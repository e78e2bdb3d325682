"""The part of Go's templates, and of the functions that Helm adds, that the chart uses. What it does not know is an error."""

import hashlib
import pathlib
import re
from typing import Any, Callable

import yaml

TOKEN = re.compile(r'\s*(?:("(?:[^"\\]|\\.)*")|(:=|[()|,])|((?:\$\w*|)(?:\.\w+)+|\$\w*|\.)|(-?\d+)|(\w+))')


def is_true(value: Any) -> bool:
    return bool(value)


def indent(width: int, text: str) -> str:
    return "\n".join(" " * width + line if line else line for line in text.split("\n"))


def required(message: str, value: Any) -> Any:
    if value in (None, ""):
        raise ValueError(message)
    return value


KINDS = {list: "slice", dict: "map", str: "string", int: "int", bool: "bool"}

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": lambda *numbers: sum(map(int, numbers)),
    "default": lambda other, value=None: value or other,
    "eq": lambda one, other: one == other,
    "ne": lambda one, other: one != other,
    "not": lambda value: not is_true(value),
    "first": lambda items: items[0],
    "hasPrefix": lambda prefix, text: text.startswith(prefix),
    "kindIs": lambda kind, value: KINDS[type(value)] == kind,
    "nindent": lambda width, text: "\n" + indent(width, text),
    "printf": lambda form, *values: form.replace("%v", "%s") % values,
    "quote": lambda value: '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"',
    "squote": lambda value: f"'{value}'",
    "required": required,
    "sha256sum": lambda text: hashlib.sha256(text.encode()).hexdigest(),
    "ternary": lambda yes, no, condition: yes if condition else no,
    "toYaml": lambda value: yaml.safe_dump(value, sort_keys=True).rstrip("\n"),
    "trimSuffix": lambda suffix, text: text.removesuffix(suffix),
    "trunc": lambda length, text: text[:length],
}


class Chart:
    """A chart that is rendered with these values in place of its own."""

    def __init__(self, folder: pathlib.Path, values: dict, namespace: str = "default") -> None:
        chart = yaml.safe_load((folder / "Chart.yaml").read_text())
        self.folder, self.named = folder, {}
        self.top = {
            "Values": merged(yaml.safe_load((folder / "values.yaml").read_text()), values),
            "Release": {"Name": "models", "Namespace": namespace},
            "Chart": {"AppVersion": chart["appVersion"], "Name": chart["name"]},
            "Files": {"Get": lambda name: (folder / name).read_text()},
            "Capabilities": {},
        }
        for file in sorted((folder / "templates").glob("_*")):
            self.render(file)

    def render(self, file: pathlib.Path) -> str:
        return Template(self, file.read_text()).run(self.top)

    def documents(self) -> list[dict]:
        texts = [self.render(file) for file in sorted((self.folder / "templates").glob("*.yaml"))]
        return [part for text in texts for part in yaml.safe_load_all(text) if part]


def merged(base: Any, over: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    return base | {name: merged(base.get(name), value) for name, value in over.items()}


class Template:
    def __init__(self, chart: Chart, text: str) -> None:
        self.chart = chart
        text = re.sub(r"\s*\{\{-", "{{", text)
        text = re.sub(r"-\}\}\s*", "}}", text)
        pieces = re.split(r"\{\{(.*?)\}\}", text, flags=re.S)
        self.pieces = [(at % 2 == 1, piece.strip() if at % 2 else piece) for at, piece in enumerate(pieces)]
        self.at = 0
        self.body, end = self.parse()
        assert end is None, f"{end} closes nothing"

    def parse(self) -> tuple[list, str | None]:
        nodes: list = []
        while self.at < len(self.pieces):
            is_action, text = self.pieces[self.at]
            self.at += 1
            word = text.split(None, 1)[0] if is_action and text else ""
            if not is_action:
                nodes.append(("text", text))
            elif word.startswith("/*"):
                continue
            elif word in ("end", "else"):
                return nodes, text
            elif word in ("if", "range", "with", "define"):
                nodes.append(self.block(word, text.split(None, 1)[1]))
            else:
                nodes.append(("print", text))
        return nodes, None

    def block(self, word: str, head: str) -> tuple:
        body, end = self.parse()
        other: list = []
        if end and end.startswith("else if"):
            other = [self.block("if", end.split(None, 2)[2])]
        elif end == "else":
            other, end = self.parse()
            assert end == "end"
        else:
            assert end == "end", f"{word} {head} is not closed"
        return (word, head, body, other)

    def run(self, top: Any) -> str:
        return self.go(self.body, top, {"$": top})

    def go(self, nodes: list, dot: Any, names: dict) -> str:
        return "".join(self.one(node, dot, names) for node in nodes)

    def one(self, node: tuple, dot: Any, names: dict) -> str:
        match node:
            case ("text", text):
                return text
            case ("print", text):
                if assigned := re.match(r"(\$\w+)\s*:=\s*(.*)", text, re.S):
                    names[assigned[1]] = self.value(assigned[2], dot, names)
                    return ""
                value = self.value(text, dot, names)
                return "" if value is None else str(value)
            case ("define", head, body, _):
                self.chart.named[head.strip('"')] = (self, body)
                return ""
            case ("if", head, body, other):
                return self.go(body if is_true(self.value(head, dot, names)) else other, dot, dict(names))
            case ("with", head, body, other):
                value = self.value(head, dot, names)
                return self.go(body, value, dict(names)) if is_true(value) else self.go(other, dot, dict(names))
            case ("range", head, body, other):
                named = re.match(r"(\$\w+)(?:\s*,\s*(\$\w+))?\s*:=\s*(.*)", head, re.S)
                value = self.value(named[3] if named else head, dot, names)
                pairs = sorted(value.items()) if isinstance(value, dict) else list(enumerate(value or []))
                text = ""
                for key, item in pairs:
                    own = dict(names)
                    if named and named[2]:
                        own |= {named[1]: key, named[2]: item}
                    elif named:
                        own[named[1]] = item
                    text += self.go(body, item, own)
                return text if pairs else self.go(other, dot, dict(names))
        raise AssertionError(node)

    def value(self, text: str, dot: Any, names: dict) -> Any:
        tokens, at = [], 0
        while text[at:].strip():
            token = TOKEN.match(text, at)
            assert token, f"cannot read {text[at:]!r}"
            tokens.append(token[0].strip())
            at = token.end()
        value, rest = self.pipeline(tokens, dot, names)
        assert not rest, f"{rest} is left of {text!r}"
        return value

    def pipeline(self, tokens: list[str], dot: Any, names: dict) -> tuple[Any, list[str]]:
        value, tokens = self.command(tokens, [], dot, names)
        while tokens and tokens[0] == "|":
            value, tokens = self.command(tokens[1:], [value], dot, names)
        return value, tokens

    def command(self, tokens: list[str], last: list, dot: Any, names: dict) -> tuple[Any, list[str]]:
        name, arguments = None, []
        if re.fullmatch(r"[A-Za-z]\w*", tokens[0]) and tokens[0] not in ("true", "false", "nil"):
            name, tokens = tokens[0], tokens[1:]
        while tokens and tokens[0] not in ("|", ")"):
            argument, tokens = self.operand(tokens, dot, names)
            arguments.append(argument)
        arguments += last
        if name == "include":
            template, body = self.chart.named[arguments[0]]
            return template.go(body, arguments[1], {"$": arguments[1]}).strip("\n"), tokens
        if name:
            return FUNCTIONS[name](*arguments), tokens
        value = arguments[0]
        return (value(*arguments[1:]) if callable(value) else value), tokens

    def operand(self, tokens: list[str], dot: Any, names: dict) -> tuple[Any, list[str]]:
        token, tokens = tokens[0], tokens[1:]
        if token == "(":
            value, tokens = self.pipeline(tokens, dot, names)
            assert tokens[0] == ")"
            tokens = tokens[1:]
            if tokens and re.fullmatch(r"(\.\w+)+", tokens[0]):
                return field(value, tokens[0]), tokens[1:]
            return value, tokens
        if token.startswith('"'):
            return yaml.safe_load(token), tokens
        if re.fullmatch(r"-?\d+", token):
            return int(token), tokens
        if token in ("true", "false", "nil"):
            return {"true": True, "false": False, "nil": None}[token], tokens
        if token.startswith("$"):
            name, dots = re.fullmatch(r"(\$\w*)((?:\.\w+)*)", token).groups()
            return field(names[name], dots), tokens
        return (dot if token == "." else field(dot, token)), tokens


def field(value: Any, path: str) -> Any:
    for name in path.split(".")[1:]:
        value = None if value is None else value.get(name)
    return value
