"""Settings from TOML: what is unknown or of the wrong type is said with the file and the key."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
S = TypeVar("S", bound=str)
_WORDS = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a string",
    Path: "a path as a string",
    dict: "a table",
    list: "a list",
}


class Section:
    """One table of a TOML file.

    Every key is taken once; `close` refuses the keys that nobody took.
    """

    def __init__(self, entries: Mapping[str, Any], file: Path, place: str = "") -> None:
        self._left = dict(entries)
        self._known: list[str] = []
        self._file, self._place = file, place

    @classmethod
    def read(cls, file: Path) -> Section:
        """The whole file.

        Raises:
            FileNotFoundError: there is none.
            ValueError: it is not TOML.
        """
        if not file.is_file():
            raise FileNotFoundError(f"{file}: no such file; expected TOML, see hashcore reproduce")
        try:
            return cls(tomllib.loads(file.read_text(encoding="utf-8")), file)
        except ValueError as error:
            raise ValueError(f"{file}: not TOML: {error}") from error

    def name_of(self, key: str) -> str:
        """The key with the file and the tables that it is in."""
        return f"{self._file}: {self._place}{key}"

    def error(self, key: str, message: str) -> ValueError:
        """An error about the value of a key."""
        return ValueError(f"{self.name_of(key)}: {message}")

    def take(self, key: str, kind: type[T], default: T | None = None) -> T:
        """The value of a key; None as the default means that there must be one."""
        self._known.append(key)
        if key not in self._left:
            if default is None:
                raise self.error(key, f"missing; expected {_WORDS[kind]}")
            return default
        value = self._left.pop(key)
        if not _fits(value, kind):
            raise self.error(key, f"expected {_WORDS[kind]}; got {value!r}")
        return value  # type: ignore[no-any-return]

    def table(self, key: str) -> Section:
        """The table under a key; an empty one where there is none."""
        return self.inner(key, self.take(key, dict, {}))

    def inner(self, key: str, entries: Mapping[str, Any]) -> Section:
        """Entries that stand under a key."""
        return Section(entries, self._file, f"{self._place}{key}.")

    def switch(self, key: str) -> Section | None:
        """The table under a key, empty for `true`; None for `false` and where there is none."""
        value: Any = self.take(key, object, default=False)
        if not isinstance(value, bool | dict):
            raise self.error(key, f"expected true, false or a table; got {value!r}")
        return None if value is False else self.inner(key, {} if value is True else value)

    def tables(self, key: str, *, name: str) -> list[tuple[str, Section]]:
        """The tables of `[[key]]`, each with the value of its key `name`.

        Raises:
            ValueError: two tables with one name, a missing name, or no list of tables.
        """
        named: dict[str, Section] = {}
        for table in self.items(key):
            own = table.take(name, str)
            if own in named:
                raise self.error(key, f'the {name} "{own}" stands there twice')
            named[own] = self.inner(f'{key} "{own}"', table.entries())
        return list(named.items())

    def items(self, key: str) -> list[Section]:
        """The tables of `[[key]]`, told by their place in the file, from 1."""
        found = self.take(key, list, [])
        if wrong := [entries for entries in found if not isinstance(entries, dict)]:
            raise self.error(key, f"expected tables, [[{key}]]; got {wrong[0]!r}")
        return [self.inner(f"{key}[{i}]", entries) for i, entries in enumerate(found, start=1)]

    def one(self, key: str, known: Collection[S]) -> S:
        """A name out of `known`."""
        name = self.take(key, str)
        for known_name in known:
            if name == known_name:
                return known_name
        raise self.error(key, f"expected one of {', '.join(known)}; got {name!r}")

    def choice(
        self, key: str, known: Collection[S], default: tuple[S, ...], *, least: int = 1
    ) -> tuple[S, ...]:
        """A list of at least `least` distinct names out of `known`."""
        names = self.take(key, list, list(default))
        for name in names:
            if name not in known:
                raise self.error(key, f"expected any of {', '.join(known)}; got {name!r}")
        return self._distinct(key, names, least)

    def integers(self, key: str, least: int, default: tuple[int, ...]) -> tuple[int, ...]:
        """A list of distinct integers that are at least `least`."""
        numbers = self.take(key, list, list(default))
        for number in numbers:
            if not _fits(number, int) or number < least:
                raise self.error(key, f"expected integers >= {least}; got {number!r}")
        return self._distinct(key, numbers)

    def numbers(self, key: str, names: Sequence[str]) -> tuple[float, ...]:
        """As many numbers as there are names for them."""
        numbers = self.take(key, list)
        if len(numbers) != len(names) or not all(_fits(number, float) for number in numbers):
            raise self.error(key, f"expected the numbers [{', '.join(names)}]; got {numbers!r}")
        return tuple(map(float, numbers))

    def part(self, key: str, of: tuple[int, ...]) -> tuple[int, ...]:
        """A list of distinct integers out of some; all of them where there is none."""
        numbers = self.take(key, list, list(of))
        if unknown := [number for number in numbers if number not in of]:
            raise self.error(key, f"expected any of {list(of)}; got {unknown[0]!r}")
        return self._distinct(key, numbers)

    def entries(self) -> dict[str, Any]:
        """All keys that nobody took."""
        return dict(self._left)

    def close(self) -> None:
        """Refuse keys that nobody took."""
        for key in self._left:
            raise self.error(key, f"no such key; {_instead(key, self._known)}")

    def _distinct(self, key: str, values: list[T], least: int = 1) -> tuple[T, ...]:
        if len(values) < least or len(set(values)) < len(values):
            raise self.error(key, f"expected {least} or more, each once; got {values!r}")
        return tuple(values)


def replaced(base: T, section: Section) -> T:
    """A frozen dataclass with the fields that a section names, nested ones included.

    Raises:
        ValueError: an unknown field, a value of another type, or one that the class refuses.
    """
    hints = get_type_hints(type(base))
    values: dict[str, Any] = {}
    for key, value in section.entries().items():
        if key not in hints:
            name = type(base).__name__
            raise section.error(key, f"no such field of {name}; {_instead(key, hints)}")
        before, hint = getattr(base, key), hints[key]
        if dataclasses.is_dataclass(before) and isinstance(value, dict):
            values[key] = replaced(before, section.inner(key, value))
        elif _fits(value, hint):
            values[key] = _as(value, hint)
        else:
            raise section.error(key, f"expected {_words(hint)}; got {value!r}")
    try:
        made: T = dataclasses.replace(base, **values)  # type: ignore[type-var]
    except ValueError as error:
        raise section.error(", ".join(values), str(error)) from error
    return made


def _instead(key: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f'did you mean "{near[0]}"?' if near else f"expected any of {', '.join(sorted(known))}"


def _options(hint: Any) -> tuple[Any, ...]:
    """The types of a union, or the one type; None cannot be said in TOML."""
    union = get_origin(hint) in (Union, UnionType)
    return tuple(h for h in (get_args(hint) if union else (hint,)) if h is not NoneType)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value of TOML may stand for a field of this type."""
    options = _options(hint)
    if len(options) != 1:
        return any(_fits(value, option) for option in options)
    (hint,) = options
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if get_origin(hint) is tuple:
        each = _items(hint, value) if isinstance(value, list) else ()
        return isinstance(value, list) and len(each) == len(value) and all(map(_fits, value, each))
    if isinstance(value, bool):
        return hint in (bool, object)
    kinds: dict[Any, Any] = {float: int | float, Path: str}
    return isinstance(value, kinds.get(hint, hint))


def _items(hint: Any, value: list[Any]) -> tuple[Any, ...]:
    """Types of the items of a tuple, as many as the value has where any number may stand."""
    items = get_args(hint)
    return items[:1] * len(value) if items[-1] is Ellipsis else items


def _as(value: Any, hint: Any) -> Any:
    """The value in the type of the field, so that 1 and 1.0 are one setting."""
    hint = next(option for option in _options(hint) if _fits(value, option))
    if get_origin(hint) is tuple:
        return tuple(map(_as, value, _items(hint, value)))
    return hint(value) if hint in (float, Path) else value


def _words(hint: Any) -> str:
    """A type in words."""
    words = []
    for option in _options(hint):
        if get_origin(option) is Literal:
            words.append("one of " + ", ".join(map(repr, get_args(option))))
        elif get_origin(option) is tuple:
            words.append(f"a list, each {_words(get_args(option)[0])}")
        else:
            words.append(_WORDS.get(option, "a table"))
    return " or ".join(words)
