"""How a filter, test or function is called: its parameters, read once from its Python signature."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# What a parameter holds that was not given, where null is a value of its own.
NOT_GIVEN = object()


@dataclass(frozen=True, slots=True)
class Operation:
    """One callable of the language. Arguments are checked against it when an expression is parsed."""

    # Each operation has parameters of its own, and narrows the JSON values that arrive.
    function: Callable[..., object]
    parameters: tuple[str, ...]
    required: int

    @classmethod
    def of(cls, function: Callable[..., object], given: int) -> "Operation":
        """Read the parameters of `function`, the first `given` of which the evaluator passes itself."""
        parameters = list(inspect.signature(function).parameters.values())[given:]
        required = sum(parameter.default is inspect.Parameter.empty for parameter in parameters)
        return cls(function, tuple(parameter.name for parameter in parameters), required)

    def misfit(self, positional: int, keywords: Sequence[str]) -> str:
        """What is wrong with a call of so many positional arguments and these keywords; "" if nothing."""
        expected = f"it takes ({', '.join(self.parameters)})" if self.parameters else "it takes no arguments"
        if positional > len(self.parameters):
            return f"has too many arguments; {expected}"
        given = set(self.parameters[:positional])
        for keyword in keywords:
            if keyword not in self.parameters:
                return f"has no argument `{keyword[:50]}`; {expected}"
            if keyword in given:
                return f"has its argument `{keyword}` twice"
            given.add(keyword)
        missing = [name for name in self.parameters[: self.required] if name not in given]
        return f"needs its argument `{missing[0]}`; {expected}" if missing else ""
