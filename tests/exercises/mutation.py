"""Small mistakes made in a function by machine: one change of its source, or of one it calls."""

import ast
import copy
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FunctionType

from attncourse.course import source

OURS = ("attncourse.mechanisms", "attncourse.core.dtypes", "attncourse.core.masks")

OPERATORS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.MatMult: ast.Mult,
    ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
IN_PLACE = {ast.Add: "add_", ast.Sub: "sub_", ast.Mult: "mul_", ast.Div: "div_"}
COMPARISONS = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
}
OTHERS = {
    "amax": ("amin", "mean", "sum"),
    "max": ("min",),
    "sum": ("mean", "amax", "cumsum"),
    "exp": ("exp2", "expm1", "exp_"),
    "exp2": ("exp",),
    "softmax": ("log_softmax", "softmin"),
    "tril": ("triu",),
    "triu": ("tril",),
    "argmax": ("argmin",),
    "logsumexp": ("amax", "sum"),
    "square": ("abs",),
    "norm": ("sum",),
    "ones": ("zeros",),
    "zeros": ("ones",),
    "maximum": ("minimum",),
    "masked_fill": ("masked_fill_",),
    "tanh": ("sigmoid", "sin", "relu"),
    "sigmoid": ("tanh",),
    "sqrt": ("abs",),
    "rsqrt": ("sqrt",),
    "stack": ("cat",),
    "cumsum": ("cumprod",),
    "normalize": ("relu",),
}
ENDINGS = ("double", "float", "half", "squeeze", "detach", "relu", "round")


@dataclass(frozen=True)
class Mutant:
    """A function with one change; where names the function that was changed, what the change."""

    where: str
    what: str
    function: Callable


def mutants(function: Callable) -> Iterator[Mutant]:
    """Every change of the function and of the functions of ours that it calls, one at a time."""
    family = called(function)
    trees = {member.__name__: bare(member) for member in family}
    namespace = {}
    for member in family:
        namespace |= inspect.unwrap(member).__globals__
    for name, tree in trees.items():
        texts = {ast.unparse(tree)}
        for changed in changes(tree):
            text = ast.unparse(ast.fix_missing_locations(changed))
            if text not in texts:
                texts.add(text)
                made = compiled({**trees, name: text}, namespace, function.__name__)
                if made:
                    yield Mutant(name, difference(ast.unparse(tree), text), made)


def called(function: Callable) -> list[Callable]:
    """The function after those of ours that it calls: the library's, or its module's private."""
    plain = inspect.unwrap(function)
    found = []
    for node in ast.walk(bare(function)):
        value = plain.__globals__.get(node.id) if isinstance(node, ast.Name) else None
        inner = inspect.unwrap(value) if isinstance(value, FunctionType) else None
        if inner and inner is not plain and (ours(inner) or private(inner, plain)):
            found += [member for member in called(value) if member not in found]
    return [*found, function]


def ours(function: Callable) -> bool:
    return function.__module__.startswith(OURS)


def private(function: Callable, beside: Callable) -> bool:
    return function.__name__.startswith("_") and function.__module__ == beside.__module__


def bare(function: Callable) -> ast.FunctionDef:
    """The tree of a function without decorators, docstring and annotations."""
    node = ast.parse(source.whole(function)).body[0]
    node.returns = None
    for argument in [*node.args.args, *node.args.kwonlyargs]:
        argument.annotation = None
    if ast.get_docstring(node):
        node.body = node.body[1:]
    return node


def compiled(texts: dict, namespace: dict, name: str) -> Callable | None:
    """The function of that name among those of the texts; None if they are no Python."""
    namespace = dict(namespace)
    try:
        for text in texts.values():
            exec(text if isinstance(text, str) else ast.unparse(text), namespace)
    except SyntaxError:
        return None
    return namespace[name]


def difference(before: str, after: str) -> str:
    """The lines that are no longer the same."""
    old, new = before.splitlines(), after.splitlines()
    gone = [line.strip() for line in old if line not in new]
    come = [line.strip() for line in new if line not in old]
    return f"{' | '.join(gone) or 'order of lines'} -> {' | '.join(come) or 'dropped'}"


def changes(tree: ast.FunctionDef) -> Iterator[ast.FunctionDef]:
    """The tree with one node replaced, in every way that `alternatives` knows."""
    parameters = [a.arg for a in [*tree.args.args, *tree.args.kwonlyargs]]
    for number, node in enumerate(ast.walk(tree)):
        for other in alternatives(node, parameters):
            changed = copy.deepcopy(tree)
            place = next(x for i, x in enumerate(ast.walk(changed)) if i == number)
            yield Replaced(place, copy.deepcopy(other)).visit(changed)


class Replaced(ast.NodeTransformer):
    def __init__(self, place, other):
        self.place, self.other = place, other

    def visit(self, node):
        return self.other if node is self.place else self.generic_visit(node)


def alternatives(node: ast.AST, parameters: list[str]) -> Iterator[ast.AST]:
    """What may stand in place of a node, each a mistake that a hand could make."""
    kind = type(node).__name__
    if kind in KINDS:
        yield from KINDS[kind](node, parameters)
    if isinstance(getattr(node, "body", None), list):
        yield from other_statements(node, parameters)


def other_constant(node, parameters):
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int | float):
        for other in dict.fromkeys([value + 1, value - 1, 2 * value, 0 * value, -value]):
            yield ast.Constant(other)


def other_operand(node, parameters):
    yield node.operand


def other_operation(node, parameters):
    if type(node.op) in OPERATORS:
        yield ast.BinOp(node.left, OPERATORS[type(node.op)](), node.right)
    yield ast.BinOp(node.right, node.op, node.left)
    yield from (node.left, node.right)
    if isinstance(node.left, ast.Name) and type(node.op) in IN_PLACE:
        yield method(node.left, IN_PLACE[type(node.op)], node.right)


def other_comparison(node, parameters):
    for other in COMPARISONS.get(type(node.ops[0]), ()):
        yield ast.Compare(node.left, [other()], node.comparators)


def other_call(node, parameters):
    module = isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) in MODULES
    if isinstance(node.func, ast.Attribute):
        for name in OTHERS.get(node.func.attr, ()):
            func = ast.Attribute(node.func.value, name, ast.Load())
            yield ast.Call(func, node.args, node.keywords)
        if not module:
            yield node.func.value
    for i in range(len(node.keywords)):
        yield ast.Call(node.func, node.args, node.keywords[:i] + node.keywords[i + 1 :])
    for i, argument in enumerate(node.args):
        yield ast.Call(node.func, node.args[:i] + node.args[i + 1 :], node.keywords)
        yield argument
    if len(node.args) > 1:
        yield ast.Call(node.func, [node.args[1], node.args[0], *node.args[2:]], node.keywords)


def other_tuple(node, parameters):
    items = node.elts
    for i in range(len(items)):
        yield ast.Tuple(items[:i] + items[i + 1 :], node.ctx)
        if i:
            yield ast.Tuple([*items[: i - 1], items[i], items[i - 1], *items[i + 1 :]], node.ctx)


def other_slice(node, parameters):
    if node.lower or node.upper:
        yield ast.Slice(None, node.upper, node.step)
        yield ast.Slice(node.lower, None, node.step)


def other_index(node, parameters):
    yield node.value


def other_choice(node, parameters):
    yield from (node.body, node.orelse)


def other_name(node, parameters):
    if isinstance(node.ctx, ast.Load) and node.id in parameters:
        yield from (ast.Name(name, ast.Load()) for name in parameters if name != node.id)


def other_ending(node, parameters):
    yield from (ast.Return(method(node.value, name)) for name in ENDINGS)


def other_statements(node, parameters):
    body = node.body
    for i, statement in enumerate(body):
        if len(body) > 1:
            yield with_body(node, body[:i] + body[i + 1 :])
        if i:
            yield with_body(node, [*body[: i - 1], statement, body[i - 1], *body[i + 1 :]])
    if isinstance(node, ast.FunctionDef):
        for name in parameters:
            edit = ast.Expr(method(ast.Name(name, ast.Load()), "zero_"))
            yield with_body(node, [*body[:-1], edit, body[-1]])


def with_body(node, body):
    other = copy.copy(node)
    other.body = body
    return other


def method(value, name, *arguments):
    return ast.Call(ast.Attribute(value, name, ast.Load()), list(arguments), [])


MODULES = ("torch", "math", "torch.nn.functional")
KINDS = {
    "Constant": other_constant,
    "UnaryOp": other_operand,
    "BinOp": other_operation,
    "Compare": other_comparison,
    "Call": other_call,
    "Tuple": other_tuple,
    "Slice": other_slice,
    "Subscript": other_index,
    "IfExp": other_choice,
    "Name": other_name,
    "Return": other_ending,
}
