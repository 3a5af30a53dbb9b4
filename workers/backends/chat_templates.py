"""A chat template is a program that a model brings with it. It is read, not run, before the model may be loaded.

transformers renders templates in jinja's sandbox. This is the door before it: a template may look at the messages and
put them together, and nothing else. What reaches for an object's inside, for another file or for a function that a
template has no business with is refused, so that an escape from the sandbox has nothing to begin with.
"""

from __future__ import annotations

import jinja2
from jinja2 import nodes, sandbox
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser

from workers.backends.primitives import CannotLoad

LARGEST = 2**18  # bytes; the longest templates of today have some 20,000

# What a template may call: jinja's and transformers' functions, and methods of texts, lists and dicts that only look.
FUNCTIONS = {"raise_exception", "strftime_now", "range", "namespace", "dict", "joiner", "cycler", "caller", "super"}
# fmt: off
METHODS = {
    "append", "capitalize", "count", "endswith", "find", "get", "index", "isdigit", "isupper", "islower",
    "items", "join", "keys", "lower", "lstrip", "partition", "removeprefix", "removesuffix", "replace", "rfind",
    "rindex", "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith", "strftime", "strip", "title",
    "upper", "values",
}
# fmt: on
FORBIDDEN_ATTRIBUTES = (
    sandbox.UNSAFE_FUNCTION_ATTRIBUTES
    | sandbox.UNSAFE_METHOD_ATTRIBUTES
    | sandbox.UNSAFE_GENERATOR_ATTRIBUTES
    | sandbox.UNSAFE_COROUTINE_ATTRIBUTES
    | sandbox.UNSAFE_ASYNC_GENERATOR_ATTRIBUTES
    | {"mro", "func_globals", "im_func", "im_self", "format_map"}
)
# Filters that turn a text into an attribute's name, call, or mark text as safe code.
FORBIDDEN_FILTERS = {"attr", "map_attr", "pprint", "xmlattr", "random"}
# Filters that take an attribute's name as a text.
NAMING_FILTERS = {"map", "selectattr", "rejectattr", "sort", "groupby", "sum", "min", "max", "unique"}
FORBIDDEN_NAMES = {"self", "lipsum", "context", "environment", "config", "request", "url_for", "get_flashed_messages"}


class _Generation(Extension):
    """transformers' own block, `{% generation %}`, read as what stands in it."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def check(template: str, *, where: str) -> None:
    """Raise CannotLoad with a sentence unless the template only looks at its messages. `where` it stands."""
    if len(template.encode()) > LARGEST:
        raise CannotLoad(f"The chat template ({where}) has more than {LARGEST:,} bytes.")
    environment = jinja2.Environment(autoescape=False, extensions=[_Generation, loopcontrols])
    try:
        tree = environment.parse(template)
    except (jinja2.TemplateSyntaxError, RecursionError) as error:
        raise CannotLoad(f"The chat template ({where}) cannot be read: {error}") from error
    macros = {macro.name for macro in tree.find_all(nodes.Macro)}
    for node in tree.find_all(nodes.Node):
        reason = _reason(node, macros)
        if reason:
            line = getattr(node, "lineno", 0)
            raise CannotLoad(
                f"The chat template ({where}, line {line}) {reason}. A template may only put messages together; "
                "Plumbline does not load this model."
            )


def _reason(node: nodes.Node, macros: set[str]) -> str:
    """Why this part of a template is refused, or nothing."""
    match node:
        case nodes.Include() | nodes.Import() | nodes.FromImport() | nodes.Extends():
            return "reads another file"
        case nodes.Name(name=name) if name in FORBIDDEN_NAMES or name.startswith("_"):
            return f"reaches for “{name}”"
        case nodes.Getattr(attr=name) if _inside(name):
            return f"reaches for “{name}”, an object's inside"
        case nodes.Getitem(arg=nodes.Const(value=str(name))) if _inside(name):
            return f"reaches for “{name}”, an object's inside"
        case nodes.Const(value=str(text)) if "__" in text and text.strip().strip("_").isidentifier() and text != "__":
            return f"spells “{text[:40]}”, an object's inside"
        case nodes.Filter(name=name) if name in FORBIDDEN_FILTERS:
            return f"uses the filter “{name}”"
        case nodes.Filter(name=name, args=args, kwargs=kwargs) if name in NAMING_FILTERS:
            return _naming(name, [*args, *(pair.value for pair in kwargs)])
        case nodes.Call(node=nodes.Name(name=name)) if name not in FUNCTIONS | macros:
            return f"calls “{name}”"
        case nodes.Call(node=nodes.Getattr(attr=name)) if name not in METHODS:
            return f"calls “{name}”"
        case nodes.Call(node=called) if not isinstance(called, nodes.Name | nodes.Getattr):
            return "calls what it has put together itself"
    return ""


def _inside(name: str) -> bool:
    return name.startswith("_") or name in FORBIDDEN_ATTRIBUTES


def _naming(name: str, values: list[nodes.Expr]) -> str:
    for value in values:
        if isinstance(value, nodes.Const):
            parts = str(value.value).split(".")
            if any(_inside(part) for part in parts) or (name == "map" and parts[0] == "attr"):
                return f"names “{str(value.value)[:40]}” to the filter “{name}”"
        elif name in {"map", "selectattr", "rejectattr"}:
            return f"puts together what the filter “{name}” is to reach for"
    return ""
