"""Follows texts through a chat template: which output is which text, and what was asked about them on the way.

A template is run with strings that remember where they come from. What comes out is a list of literals and
terms (a message's content, stripped, split …); what the template asked about the texts is kept with the answer
it got. Another conversation of the same form that gives the same answers takes the same way through the template
(concolic execution: Sen, Marinov, Agha, "CUTE", 2005), so its text is known without running it. Whatever could
use a text unseen raises :class:`Untraceable`; nothing is assumed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any

from jinja2 import Undefined, nodes
from jinja2.runtime import Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

from mozhu.engine.weights.jinja import ChatTemplate, Messages, Tools, prepared, to_json
from mozhu.engine.weights.template_terms import (
    Log,
    Parts,
    Traced,
    Untraceable,
    concat,
    parts_of,
    plain,
    refused,
    term_of,
    traced,
    words,
)

# Filters and tests that use a text only through its own methods, or look at the containers round it.
_FILTERS = words(
    "default d length count first last list string trim upper lower capitalize replace map select reject"
    " selectattr rejectattr items"
)
_TESTS = words(
    "defined undefined none string mapping number boolean integer float callable true false filter test"
    " eq equalto == ne != lt lessthan < le <= gt greaterthan > ge >="
)
_ASKS_NOTHING = words("iterable sequence")
_NODES = words(
    "Template Output TemplateData Assign AssignBlock For If Macro CallBlock FilterBlock With Break Continue Name"
    " NSRef Const Tuple List Dict Pair Keyword CondExpr Filter Test Compare Operand Concat Add Sub Mul Div FloorDiv"
    " Mod Pow Not And Or Neg Pos Getattr Getitem Slice Call ExtensionAttribute"
)
_SCOPES = ("_loop_vars", "_block_vars")  # Jinja's own; only functions that take the context see them
_JOIN, _CONTAINS = "__mozhu_join", "__mozhu_contains"


class TracedTemplate:
    """A template that can be run with a :class:`Log`.

    Raises:
        Untraceable: It uses something that is not followed, whatever the conversation.
    """

    def __init__(self, template: ChatTemplate) -> None:
        self._template = template
        self._compiled = _compiled(template.source)

    def parts(self, messages: Messages, tools: Tools | None, *, prompt: bool, log: Log) -> Parts:
        """The parts of the text of a conversation with traced texts in it.

        Raises:
            Untraceable: Also where the template refuses the conversation, or fails.
        """
        try:
            told = self._template.variables(
                messages, tools, add_generation_prompt=prompt, strftime_now=log.strftime_now
            )
            return parts_of(self._compiled.render(**told))
        except Exception as error:  # whatever a template raises: it is told where the template is really run
            raise Untraceable(type(error).__name__) from error


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja's own, where every operation that could use a text unseen is looked at first."""

    intercepted_binops = frozenset(ImmutableSandboxedEnvironment.default_binop_table)
    concat = staticmethod(concat)

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """As the sandbox does; a traced text is handed only to what follows it."""
        own = [value for name, value in kwargs.items() if name not in _SCOPES]
        if (_holds(args) or _holds(own)) and not _follows(__obj):
            raise Untraceable("argument")
        return super().call(__context, __obj, *args, **kwargs)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """As Python does; of a traced text only ``+`` is followed."""
        if (_holds(left) or _holds(right)) and operator != "+":
            raise Untraceable(operator)
        return super().call_binop(context, operator, left, right)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """As the sandbox does; a traced text names nothing."""
        if _holds(argument):
            raise Untraceable("key")
        return super().getitem(obj, argument)


def _holds(value: Any) -> bool:
    """Whether a traced text is, or may be, in ``value``."""
    kind = type(value)
    if kind in (str, int, float, bool, type(None)) or isinstance(value, (Undefined, Macro)):
        return False
    if kind in (list, tuple):
        return any(_holds(item) for item in value)
    if kind is dict:
        return any(_holds(item) for item in value.values())
    if kind is slice:
        return _holds((value.start, value.stop, value.step))
    return True


def _follows(called: Any) -> bool:
    if called is Namespace or called in _HELPERS or isinstance(called, Macro):
        return True
    return type(getattr(called, "__self__", None)) is Traced


def _join(*values: Any) -> str:
    """``a ~ b``."""
    return concat([str(value) for value in values])


def _contains(item: Any, whole: Any) -> Any:
    """``item in whole``; a plain string would look into a traced one unseen."""
    if type(item) is Traced and isinstance(whole, str) and type(whole) is not Traced:
        whole = traced(whole, (whole,), item._log)
    return item in whole


_HELPERS = (_join, _contains)


class _Rewriter(NodeTransformer):
    """Puts our own functions where Jinja would let C code read a string."""

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        """Nothing is passed by that is not known."""
        if type(node).__name__ not in _NODES:
            raise Untraceable(type(node).__name__)
        return super().generic_visit(node, *args, **kwargs)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _call(_JOIN, node.nodes, node.lineno)

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        if all(operand.op not in ("in", "notin") for operand in node.ops):
            return node
        if len(node.ops) > 1:
            raise Untraceable("chain")
        found = _call(_CONTAINS, [node.expr, node.ops[0].expr], node.lineno)
        return found if node.ops[0].op == "in" else nodes.Not(found).set_lineno(node.lineno)


def _call(name: str, args: list[nodes.Expr], line: int) -> nodes.Expr:
    call = nodes.Call(nodes.Name(name, "load"), args, [], None, None)
    call.set_lineno(line, override=True)
    return call


@lru_cache(maxsize=32)
def _compiled(source: str) -> Any:
    environment: Any = prepared(_Environment)  # its tables are typed by what they hold at first
    for name, function in list(environment.filters.items()):
        environment.filters[name] = _watched(function, name in _FILTERS)
    environment.filters |= {"trim": _trim, "tojson": _to_json, "random": refused("random")}
    for name, function in list(environment.tests.items()):
        if name in _ASKS_NOTHING:
            environment.tests[name] = _of_a_text(function)
        elif name != "in":
            environment.tests[name] = _watched(function, name in _TESTS)
    environment.tests["in"] = _contains
    added: dict[str, Any] = {"lipsum": refused("lipsum"), _JOIN: _join, _CONTAINS: _contains}
    environment.globals |= added
    try:
        tree = _Rewriter().visit(environment.parse(source))
        code = environment.compile(tree)
        return environment.template_class.from_code(environment, code, environment.make_globals(None))
    except Exception as error:  # a template that does not even compile is told of where it is really run
        raise Untraceable(str(error)) from error


def _watched(function: Callable[..., Any], follows: bool) -> Callable[..., Any]:
    """A filter or test that refuses traced texts, unless it ``follows`` them by itself."""

    @wraps(function)
    def watched(*args: Any, **kwargs: Any) -> Any:
        if not follows and (_holds_data(args) or _holds_data(tuple(kwargs.values()))):
            raise Untraceable(getattr(function, "__name__", "filter"))
        return function(*args, **kwargs)

    return watched


def _holds_data(values: tuple[Any, ...]) -> bool:
    """:func:`_holds`, past the context that Jinja itself hands to some filters."""
    return any(_holds(value) for value in values if not type(value).__module__.startswith("jinja2."))


def _of_a_text(function: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: True if type(value) is Traced else function(value)


def _trim(value: Any, chars: str | None = None) -> Any:
    return (value if isinstance(value, str) else str(value)).strip(chars)


def _to_json(value: Any, *args: Any, **options: Any) -> Any:
    if not _holds(value):
        return to_json(value, *args, **options)
    if args or _holds(options):
        raise Untraceable("tojson")
    frozen = _frozen(value)
    log = _log_of(frozen)
    if log is None:
        raise Untraceable("tojson")
    term = ("json", _without_logs(frozen), tuple(sorted(options.items())))
    return log.result(term, to_json(_plainly(value), **options))


def _frozen(value: Any) -> tuple[Any, ...]:
    if type(value) is dict and all(type(key) is str for key in value):
        return ("dict", tuple((key, _frozen(item)) for key, item in value.items()))
    if type(value) in (list, tuple):
        return ("list", tuple(_frozen(item) for item in value))
    if type(value) is Traced or type(value) in (str, int, float, bool, type(None)):
        return ("leaf", value)
    raise Untraceable("tojson")


def _log_of(frozen: tuple[Any, ...]) -> Log | None:
    kind, value = frozen
    if kind == "leaf":
        return value._log if type(value) is Traced else None
    items = (item[1] for item in value) if kind == "dict" else value
    return next((log for item in items if (log := _log_of(item)) is not None), None)


def _without_logs(frozen: tuple[Any, ...]) -> tuple[Any, ...]:
    kind, value = frozen
    if kind == "leaf":
        return ("leaf", term_of(value))
    if kind == "dict":
        return (kind, tuple((key, _without_logs(item)) for key, item in value))
    return (kind, tuple(_without_logs(item) for item in value))


def _plainly(value: Any) -> Any:
    if type(value) is dict:
        return {key: _plainly(item) for key, item in value.items()}
    return [_plainly(item) for item in value] if type(value) in (list, tuple) else plain(value)
