"""mercato.dataclass does what the standard library's frozen dataclass does: each class is made by both and tried."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError, field
from types import new_class
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mercato.dataclass import dataclass

Decorator = Callable[[type], type]
OURS, THEIRS = dataclass(frozen=True), dataclasses.dataclass(frozen=True)
NAMES = ("amount", "currency", "lines", "self", "name")


def outcome(call: Callable[[], Any]) -> Any:
    """What the call returns, or the type of what it raises."""
    try:
        return call()
    except (TypeError, AttributeError, FrozenInstanceError) as error:
        return type(error)


def made(decorate: Decorator, specifications: tuple[dict[str, Any], ...]) -> type:
    def body(namespace: dict[str, Any]) -> None:
        namespace["__annotations__"] = dict.fromkeys(NAMES[: len(specifications)], object)
        for name, specification in zip(NAMES, specifications, strict=False):
            namespace[name] = field(**specification)

    return decorate(new_class("Made", exec_body=body))


def changed(args: tuple[Any, ...]) -> tuple[Any, ...]:
    return (7, *args[1:]) if args else args


def seen(cls: type, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
    """All that an instance shows of itself, without its class."""

    def look() -> Any:
        instance, again, other = cls(*args, **given), cls(*args, **given), cls(*changed(args), **given)
        return {
            "vars": list(vars(instance).items()),
            "repr": repr(instance),
            "equal": (instance == again, instance == other, instance != other, instance == args, args == instance),
            "hash": outcome(lambda: hash(instance)),
            "replaced": outcome(lambda: vars(dataclasses.replace(instance, currency="EUR"))),
            "set": outcome(lambda: setattr(instance, "amount", 1)),
            "set unknown": outcome(lambda: setattr(instance, "unknown", 1)),
            "deleted": outcome(lambda: delattr(instance, "amount")),
            "deleted unknown": outcome(lambda: delattr(instance, "unknown")),
            "positions": cls.__match_args__,  # type: ignore[attr-defined]
            "dict": dataclasses.asdict(instance),
            "copied": copy.copy(instance) == instance,
        }

    return outcome(look)


VALUES = st.one_of(st.integers(0, 3), st.text("ab", max_size=2), st.just([1]))
SPECIFICATIONS = st.fixed_dictionaries(
    {},
    optional={
        "compare": st.booleans(),
        "repr": st.booleans(),
        "hash": st.sampled_from([None, True, False]),
    },
)
DEFAULTS = st.one_of(st.builds(lambda one: {"default": one}, st.integers()), st.just({"default_factory": list}))


@st.composite
def classes(draw: st.DrawFn) -> tuple[dict[str, Any], ...]:
    required = draw(st.lists(SPECIFICATIONS, max_size=3))
    optional = draw(st.lists(st.builds(lambda one, default: one | default, SPECIFICATIONS, DEFAULTS), max_size=2))
    return (*required, *optional)


@given(st.data())
def test_a_class_and_its_instances_behave_as_the_standard_librarys(data: st.DataObject) -> None:
    specifications = data.draw(classes())
    names = NAMES[: len(specifications)]
    args = data.draw(st.lists(VALUES, max_size=len(names)))
    rest = st.fixed_dictionaries({}, optional=dict.fromkeys(names[len(args) :], VALUES))
    wrong = st.dictionaries(st.sampled_from([*NAMES, "unknown"]), VALUES, max_size=1)
    given = data.draw(rest) | data.draw(wrong)
    ours, theirs = made(OURS, specifications), made(THEIRS, specifications)
    assert seen(ours, tuple(args), given) == seen(theirs, tuple(args), given)


@dataclass(frozen=True)
class Money:
    amount: int
    currency: str = "GBP"

    def __post_init__(self) -> None:
        if self.amount < 0:
            raise ValueError("no money is less than nothing")


@dataclass(frozen=True)
class Price(Money):
    was: Money | None = None
    seen_by: set[str] = field(default_factory=set, compare=False, repr=False)


money: Callable[..., Money] = Money  # called as the signature does not allow


class Shown(Money):
    """A subclass that is no dataclass itself."""


def test_a_subclass_has_the_fields_of_both_in_order() -> None:
    price = Price(1, was=Money(2))
    assert vars(price) == {"amount": 1, "currency": "GBP", "was": Money(2), "seen_by": set()}
    assert price == Price(1, "GBP", Money(2), {"x"})
    assert price != Money(1)
    assert repr(price) == "Price(amount=1, currency='GBP', was=Money(amount=2, currency='GBP'))"
    with pytest.raises(FrozenInstanceError):
        price.amount = 2  # type: ignore[misc]


def test_post_init_is_called_and_refuses() -> None:
    with pytest.raises(ValueError, match="less than nothing"):
        Price(-1)


def test_a_plain_subclass_may_have_more_attributes_and_keeps_the_fields_frozen() -> None:
    shown = Shown(1)
    shown.colour = "red"  # type: ignore[attr-defined]
    del shown.colour  # type: ignore[attr-defined]
    assert shown != Money(1)
    with pytest.raises(FrozenInstanceError):
        shown.amount = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del shown.amount


def test_each_instance_has_a_default_of_its_own() -> None:
    Price(1).seen_by.add("Ada")
    assert Price(1).seen_by == set()


def test_it_is_pickled_copied_and_matched() -> None:
    price = Price(1, was=Money(2))
    assert pickle.loads(pickle.dumps(price)) == copy.deepcopy(price) == price  # noqa: S301
    match price:
        case Price(amount, currency, Money(before)):
            assert (amount, currency, before) == (1, "GBP", 2)
        case _:
            pytest.fail("the pattern does not match")


def test_its_constructor_and_documentation_can_be_read() -> None:
    parameters = inspect.signature(Price).parameters
    assert [name for name, one in parameters.items() if one.default is one.empty] == ["amount"]
    assert str(parameters["was"]) == "was: 'Money | None' = None"
    assert (Price.__doc__, Shown.__doc__) == (None, "A subclass that is no dataclass itself.")
    with pytest.raises(AttributeError):
        _ = Shown.__signature__  # type: ignore[attr-defined]


def test_a_value_that_holds_itself_has_a_repr() -> None:
    price = Price(1, seen_by=set())
    object.__setattr__(price, "was", price)
    assert repr(price) == "Price(amount=1, currency='GBP', was=...)"


def test_pydantic_reads_and_writes_it() -> None:
    adapter = TypeAdapter(Price)
    price = adapter.validate_python({"amount": "1", "was": {"amount": 2}})
    assert price == Price(1, was=Money(2))
    assert adapter.dump_python(price)["was"] == {"amount": 2, "currency": "GBP"}
    with pytest.raises(ValidationError):
        adapter.validate_python({"amount": 1, "was": {}})


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: money(), r"Money\(\) misses the argument 'amount'"),
        (lambda: money(1, "GBP", 3), r"Money\(\) takes 2 arguments, and 3 were given"),
        (lambda: money(1, amount=1), r"Money\(\) was given the argument 'amount' twice"),
        (lambda: money(1, colour=1), r"Money\(\) takes no argument 'colour'"),
    ],
)
def test_a_wrong_call_is_told(call: Callable[[], Money], says: str) -> None:
    with pytest.raises(TypeError, match=says):
        call()


def by_keyword(decorate: Decorator) -> type:
    class Made:
        amount: int = field(kw_only=True)

    return decorate(Made)


def not_taken(decorate: Decorator) -> type:
    class Made:
        amount: int = field(default=1, init=False)

    return decorate(Made)


def with_equality(decorate: Decorator) -> type:
    class Made:
        amount: int

        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    return decorate(Made)


@pytest.mark.parametrize("make", [by_keyword, not_taken, with_equality])
def test_what_it_does_not_do_is_refused(make: Callable[[Decorator], type]) -> None:
    with pytest.raises(TypeError, match="needs the standard library's dataclass"):
        make(OURS)


def test_a_class_that_changes_is_refused() -> None:
    with pytest.raises(TypeError, match=r"@dataclasses\.dataclass"):
        dataclass(frozen=False)(Money)


def test_no_code_is_compiled() -> None:
    """The methods are those of this module; the standard library's would be of the file "<string>"."""
    for name in ("__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__"):
        method = getattr(Price, name)
        assert getattr(method, "__wrapped__", method).__code__.co_filename == sys.modules[dataclass.__module__].__file__
        assert method.__qualname__ == f"Price.{name}"
