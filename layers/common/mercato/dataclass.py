"""The standard library's frozen dataclass, without the compiler.

The standard library writes the methods of a dataclass as text and compiles it when the class is made: 4.3 million
instructions, and a function imports 30 to 70 such classes, which would be 9 to 16 % of its cold start. Here the methods
read the fields instead: 0.6 million. Decision 0273.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a type checker knows the standard library's, whose behaviour this one has
    from dataclasses import dataclass as dataclass
else:
    import dataclasses
    import inspect  # dataclasses imports it, too
    from collections.abc import Callable
    from dataclasses import MISSING, Field, FrozenInstanceError
    from reprlib import recursive_repr
    from typing import Any

    def dataclass(*, frozen: bool) -> Callable[[type], type]:
        """Make a frozen dataclass, as `@dataclasses.dataclass(frozen=True)` does.

        Raises:
            TypeError: the class needs more than this: it is not frozen, it defines `__eq__` or another method that a
                dataclass has, or a field is taken by keyword alone or not at all. Use the standard library's.
        """
        if not frozen:
            raise TypeError("A dataclass that is not frozen needs the standard library's: @dataclasses.dataclass")
        return _with_methods

    def _with_methods(cls: type) -> type:
        documentation = cls.__doc__
        cls.__doc__ = documentation or "-"  # the standard library would write one from the signature
        dataclasses.dataclass(cls, init=False, repr=False, eq=False)
        cls.__doc__, cls.__signature__ = documentation, _SIGNATURE
        fields = dataclasses.fields(cls)
        if unfit := [field.name for field in fields if not field.init or field.kw_only]:
            raise TypeError(f"{cls.__qualname__} needs the standard library's dataclass for its fields {unfit}")
        methods = _comparison(fields) | _refusals(cls, fields)
        methods |= {"__init__": _init(cls, fields), "__repr__": _repr(fields)}
        for name, method in methods.items():
            if name in vars(cls):
                raise TypeError(f"{cls.__qualname__} needs the standard library's dataclass for its {name}")
            method.__name__, method.__qualname__ = name, f"{cls.__qualname__}.{name}"
            setattr(cls, name, method)
        return cls

    class _Signature:
        """Answers `inspect.signature` of a class, which no cold start asks for."""

        def __get__(self, instance: Any, owner: type) -> Any:
            if "__signature__" not in vars(owner):
                raise AttributeError("A subclass that is no dataclass may have another constructor.")
            return inspect.Signature([_parameter(field) for field in dataclasses.fields(owner)], return_annotation=None)

    _SIGNATURE = _Signature()

    def _parameter(field: Field[Any]) -> inspect.Parameter:
        made = field.default if field.default_factory is MISSING else field.default_factory
        default = inspect.Parameter.empty if made is MISSING else made
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        return inspect.Parameter(field.name, kind, default=default, annotation=field.type)

    def _init(cls: type, fields: tuple[Field[Any], ...]) -> Callable[..., None]:
        names = [field.name for field in fields]
        defaults = {field.name: field.default for field in fields if field.default is not MISSING}
        factories = {field.name: field.default_factory for field in fields if field.default_factory is not MISSING}
        place, post_init = object.__setattr__, getattr(cls, "__post_init__", None)

        def init(self: Any, /, *args: Any, **given: Any) -> None:
            if args:
                given = _by_name(cls, names, args, given)
            found = 0
            for name in names:
                if name in given:
                    place(self, name, given[name])
                    found += 1
                elif name in defaults:
                    place(self, name, defaults[name])
                elif name in factories:
                    place(self, name, factories[name]())
                else:
                    raise TypeError(f"{cls.__qualname__}() misses the argument {name!r}")
            if found < len(given):
                raise TypeError(f"{cls.__qualname__}() takes no argument {next(iter(given.keys() - set(names)))!r}")
            if post_init:
                post_init(self)

        return init

    def _by_name(cls: type, names: list[str], args: tuple[Any, ...], given: dict[str, Any]) -> dict[str, Any]:
        if len(args) > len(names):
            raise TypeError(f"{cls.__qualname__}() takes {len(names)} arguments, and {len(args)} were given")
        placed = dict(zip(names, args, strict=False))
        if twice := placed.keys() & given.keys():
            raise TypeError(f"{cls.__qualname__}() was given the argument {next(iter(twice))!r} twice")
        return placed | given

    def _repr(fields: tuple[Field[Any], ...]) -> Callable[..., str]:
        names = [field.name for field in fields if field.repr]

        @recursive_repr()
        def repr_(self: Any) -> str:
            return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

        return repr_

    def _comparison(fields: tuple[Field[Any], ...]) -> dict[str, Callable[..., Any]]:
        names = [field.name for field in fields if field.compare]
        hashed = [field.name for field in fields if (field.compare if field.hash is None else field.hash)]

        def eq(self: Any, other: object) -> bool:
            if other.__class__ is not self.__class__:
                return NotImplemented
            return self is other or all(getattr(self, name) == getattr(other, name) for name in names)

        def hash_(self: Any) -> int:
            return hash(tuple([getattr(self, name) for name in hashed]))

        return {"__eq__": eq, "__hash__": hash_}

    def _refusals(cls: type, fields: tuple[Field[Any], ...]) -> dict[str, Callable[..., None]]:
        names = {field.name for field in fields}

        def setattr_(self: Any, name: str, value: Any) -> None:
            if type(self) is cls or name in names:
                raise FrozenInstanceError(f"cannot assign to field {name!r}")
            super(cls, self).__setattr__(name, value)

        def delattr_(self: Any, name: str) -> None:
            if type(self) is cls or name in names:
                raise FrozenInstanceError(f"cannot delete field {name!r}")
            super(cls, self).__delattr__(name)

        return {"__setattr__": setattr_, "__delattr__": delattr_}
