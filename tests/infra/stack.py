"""template.yaml's values for given parameters, as far as they are known without an account."""

import re
from collections.abc import Mapping
from typing import Any

NOTHING = object()
PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::NoValue": NOTHING,
    "AWS::Partition": "aws",
    "AWS::Region": "eu-west-1",
    "AWS::StackName": "lastevent",
    "AWS::URLSuffix": "amazonaws.com",
}
Resource = dict[str, Any]


class Stack:
    """A template's resources and outputs whose condition holds for ``parameters``, resolved.

    What only a deployment knows stands as its name: the Ref of a resource is ``Name``, an attribute
    of it ``Name.Attribute``. An intrinsic function that is not known here is a KeyError.
    """

    def __init__(self, template: Mapping[str, Any], **parameters: object) -> None:
        declared = template["Parameters"]
        unknown = parameters.keys() - declared.keys()
        assert not unknown, unknown
        self._parameters = {name: it["Default"] for name, it in declared.items()} | parameters
        self._conditions = template["Conditions"]
        self._names = template["Resources"].keys()
        self.resources: dict[str, Resource] = self._present(template["Resources"])
        self.outputs: dict[str, Resource] = self._present(template["Outputs"])
        self.broken_rules = [
            assertion["AssertDescription"]
            for rule in template.get("Rules", {}).values()
            if self.resolve(rule["RuleCondition"])
            for assertion in rule["Assertions"]
            if not self.resolve(assertion["Assert"])
        ]

    def of_type(self, kind: str) -> dict[str, Resource]:
        """Return the resources of a type, each as its properties."""
        found = {name: it for name, it in self.resources.items() if it["Type"] == kind}
        return {name: it["Properties"] for name, it in found.items()}

    def environment(self, function: str) -> dict[str, str]:
        """Return the variables of a function."""
        variables = self.resources[function]["Properties"]["Environment"]["Variables"]
        return {name: str(value) for name, value in variables.items()}

    def resolve(self, value: Any) -> Any:
        """Return a value of the template without intrinsic functions."""
        match value:
            case {"Ref": str(name)}:
                return self._ref(name)
            case {"Condition": str(name)} if len(value) == 1:
                return self.resolve(self._conditions[name])
            case dict() if len(value) == 1 and next(iter(value)).startswith("Fn::"):
                ((function, arguments),) = value.items()
                return self._call(function, arguments)
            case dict():
                items = ((name, self.resolve(item)) for name, item in value.items())
                return {name: item for name, item in items if item is not NOTHING}
            case list():
                return [it for it in map(self.resolve, value) if it is not NOTHING]
        return value

    def _present(self, section: Mapping[str, Any]) -> dict[str, Resource]:
        found = {}
        for name, it in section.items():
            body = dict(it)
            condition = body.pop("Condition", None)
            if condition is None or self.resolve(self._conditions[condition]):
                found[name] = self.resolve(body)
        return found

    def _ref(self, name: str) -> Any:
        if name in PSEUDO:
            return PSEUDO[name]
        return name if name in self._names else self._parameters[name]

    def _call(self, function: str, arguments: Any) -> Any:
        match function:
            case "Fn::If":
                name, yes, no = arguments
                return self.resolve(yes if self.resolve(self._conditions[name]) else no)
            case "Fn::Equals":
                one, other = (str(self.resolve(it)) for it in arguments)
                return one == other
            case "Fn::Not":
                return not self.resolve(arguments[0])
            case "Fn::And":
                return all(self.resolve(it) for it in arguments)
            case "Fn::GetAtt":
                return ".".join(arguments)
            case "Fn::Sub":
                return self._substituted(arguments)
        raise KeyError(function)

    def _substituted(self, arguments: Any) -> str:
        text, own = arguments if isinstance(arguments, list) else (arguments, {})

        def replace(found: re.Match[str]) -> str:
            name = found[1]
            if name in own:
                return str(self.resolve(own[name]))
            return name if "." in name else str(self._ref(name))

        return re.sub(r"\$\{([^!}]+)\}", replace, text)
