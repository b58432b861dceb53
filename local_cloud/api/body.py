"""What a request's JSON body says, checked for type. A wrong type is a 422 that names the field."""

from __future__ import annotations

from typing import Any, TypeVar

from flask import request

from local_cloud.api.answers import ApiError, unprocessable

Choice = TypeVar("Choice", bound=str)


class Body:
    """A JSON object. A field that is absent or null gives the default, or is refused where there is none."""

    def __init__(self, fields: dict[str, Any], where: str = "") -> None:
        self.fields, self._where = fields, where

    @staticmethod
    def of_request() -> Body:
        """The current request's body; an empty one counts as `{}`. Raises ApiError 400 if it is not a JSON object."""
        if not request.get_data():
            return Body({})
        fields = request.get_json(force=True, silent=True)
        if not isinstance(fields, dict):
            raise ApiError(400, "bad_request", "The request body is not a JSON object.")
        return Body(fields)

    def has(self, name: str) -> bool:
        return self.fields.get(name) is not None

    def refuse(self, name: str, message: str) -> ApiError:
        return unprocessable(f"{self._where}{name} {message}")

    def text(self, name: str, default: str | None = None) -> str:
        return str(self._typed(name, str, "a string", default))

    def required_text(self, name: str) -> str:
        value = self.text(name)
        if not value.strip():
            raise self.refuse(name, "can't be blank")
        return value

    def choice(self, name: str, choices: tuple[Choice, ...], default: Choice | None = None) -> Choice:
        value = self.text(name, default)
        found = next((each for each in choices if each == value), None)
        if found is None:
            raise self.refuse(name, f"must be one of {', '.join(choices)}")
        return found

    def number(self, name: str, default: int | None = None, low: int | None = None, high: int | None = None) -> int:
        value = int(self._typed(name, int, "a whole number", default))
        if (low is not None and value < low) or (high is not None and value > high):
            raise self.refuse(name, f"must be at least {low}" if high is None else f"must be between {low} and {high}")
        return value

    def truth(self, name: str, default: bool | None = None) -> bool:
        return bool(self._typed(name, bool, "true or false", default))

    def texts(self, name: str) -> list[str]:
        return [str(item) for item in self._list(name, str, "strings")]

    def numbers(self, name: str) -> list[int]:
        return [int(item) for item in self._list(name, int, "whole numbers")]

    def texts_or_numbers(self, name: str) -> list[str | int]:
        items = self._list(name, (str, int), "strings or numbers")
        return [item if isinstance(item, int) else str(item) for item in items]

    def objects(self, name: str) -> list[Body]:
        items = self._list(name, dict, "objects")
        return [Body(item, f"{self._where}{name}[{index}].") for index, item in enumerate(items)]

    def object(self, name: str) -> Body:
        return Body(self._typed(name, dict, "an object", {}), f"{self._where}{name}.")

    def _typed(self, name: str, kind: type, described: str, default: Any) -> Any:
        value = self.fields.get(name)
        if value is None:
            if default is None:
                raise self.refuse(name, "is missing")
            return default
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.refuse(name, f"must be {described}")
        return value

    def _list(self, name: str, kind: type | tuple[type, ...], described: str) -> list[Any]:
        value = self.fields.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or any(not isinstance(item, kind) or isinstance(item, bool) for item in value):
            raise self.refuse(name, f"must be a list of {described}")
        return value
