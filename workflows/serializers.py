"""Workflows on the wire: what bodies may hold, and the shapes of the API reference."""

from collections.abc import Sequence
from typing import Any, ClassVar

from rest_framework import serializers

from accounts.groups import group_id
from core.serializers import (
    EntriesField,
    IdField,
    StrictBooleanField,
    StrictCharField,
    StrictIntegerField,
    StrictListField,
    StrictSerializer,
)
from core.shapes import Named, Schema, any_object, anything, one_of
from core.types import JSONObject, JSONValue
from workflows.bulk import MAX_OPERATIONS, Kind
from workflows.components.base import Component
from workflows.copies import EXPORT_FORMAT
from workflows.models import Role, Share, Trigger, Workflow, WorkflowStatus, WorkflowVersion
from workflows.queries import Statistics
from workflows.shapes import DEFINITION
from workflows.validation import Report

MAX_TAGS = 50


class AnyField(serializers.Field[JSONValue, Any, JSONValue, Any]):
    """Any JSON; what it must be is checked elsewhere, with paths."""

    shape: ClassVar[Schema | Named] = anything()

    def to_internal_value(self, data: Any) -> JSONValue:
        return data

    def to_representation(self, value: JSONValue) -> JSONValue:
        return value


class ObjectField(AnyField):
    """A JSON object, read by whom it is for."""

    shape = any_object()
    default_error_messages = {"invalid": "Must be an object."}

    def to_internal_value(self, data: Any) -> JSONObject:
        if not isinstance(data, dict):
            self.fail("invalid")
        return data


class DefinitionField(AnyField):
    """A definition; what is wrong with one is told with paths into it."""

    shape = DEFINITION


class TagsField(StrictListField):
    """A list of distinct short texts."""

    child = StrictCharField(min_length=1, max_length=100)

    def to_internal_value(self, data: Any) -> list[str]:
        tags = super().to_internal_value(data)
        return list(dict.fromkeys(tags))


class WorkflowSerializer(StrictSerializer):
    """The body of create and PUT; with partial=True, of PATCH."""

    name = StrictCharField(min_length=1, max_length=255)
    description = StrictCharField(max_length=1000, allow_blank=True, required=False, default="", trim_whitespace=False)
    definition = DefinitionField()
    category = StrictCharField(max_length=100, allow_blank=True, required=False, default="")
    tags = TagsField(required=False, default=list, max_length=MAX_TAGS)
    priority = StrictIntegerField(min_value=1, max_value=10, required=False, default=5)


class UpdateWorkflowSerializer(WorkflowSerializer):
    """As create, and what only an existing workflow has."""

    status = serializers.ChoiceField(choices=WorkflowStatus.choices, required=False)
    expected_version = StrictIntegerField(min_value=1, required=False)


class StatusSerializer(StrictSerializer):
    """The body of `activate`, `deactivate`, `archive` and `restore`, if there is one."""

    expected_version = StrictIntegerField(min_value=1, required=False)


class RotateSerializer(StrictSerializer):
    """The body of `POST workflows/{id}/triggers/{component_id}/rotate`: it takes no field."""


class DuplicateSerializer(StrictSerializer):
    """The body of `POST workflows/{id}/duplicate`, if there is one."""

    name = StrictCharField(min_length=1, max_length=255, required=False)
    description = StrictCharField(max_length=1000, allow_blank=True, required=False, trim_whitespace=False)


class ImportSerializer(WorkflowSerializer):
    """The body of `POST workflows/import`: what export gives."""

    format = StrictIntegerField(min_value=EXPORT_FORMAT, max_value=EXPORT_FORMAT, required=False)


class OperationSerializer(StrictSerializer):
    """One operation of a bulk body."""

    rules = {
        "if": {"properties": {"operation": {"const": Kind.CREATE.value}}},
        "then": {"properties": {"workflow_id": False}},
        "else": {"required": ["workflow_id"]},
    }

    operation = serializers.ChoiceField(choices=list(Kind))
    workflow_id = StrictCharField(max_length=36, required=False)
    # The metaclass takes fields off the class: `serializer.data` stays what it is.
    data = ObjectField(required=False, default=dict)  # type: ignore[assignment]


class BulkSerializer(StrictSerializer):
    """The body of `POST workflows/bulk`; its operations are judged one by one."""

    operations: Any = EntriesField(OperationSerializer, allow_empty=False, max_length=MAX_OPERATIONS)
    atomic = StrictBooleanField(required=False, default=False)


class DeleteSerializer(StrictSerializer):
    """The data of a bulk delete."""

    force = StrictBooleanField(required=False, default=False)


class ValidateSerializer(StrictSerializer):
    """The body of `validate`; with partial=True the definition may be left out. null is judged like any JSON."""

    definition = DefinitionField(allow_null=True)


class ShareSerializer(StrictSerializer):
    """The body of `POST workflows/{id}/shares`."""

    rules = one_of("user_id", "group_id")

    user_id = IdField(required=False)
    group_id = IdField(required=False)
    role = serializers.ChoiceField(choices=Role.choices)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("user_id" in attrs) == ("group_id" in attrs):
            raise serializers.ValidationError({"user_id": "Give user_id or group_id, one of them."})
        return attrs


def share_data(share: Share) -> JSONObject:
    """A share on the wire."""
    grantee = {"user_id": share.user_id} if share.group_id is None else {"group_id": group_id(share.group_id)}
    return {
        "id": share.pk,
        **grantee,
        "role": share.role,
        "created_by": share.created_by_id,
        "created_at": share.created_at,
    }


def version_data(version: WorkflowVersion, workflow: Workflow, *, with_definition: bool) -> JSONObject:
    """A version of a workflow; `current` says whether executions start with it."""
    return {
        "id": version.pk,
        "workflow_id": workflow.pk,
        "version": version.number,
        "current": version.number == workflow.version,
        **({"definition": version.definition} if with_definition else {}),
        "created_by": version.created_by_id,
        "created_at": version.created_at,
    }


def list_item(workflow: Workflow, statistics: Statistics) -> JSONObject:
    """One entry of `GET workflows`."""
    return {
        "id": workflow.pk,
        "name": workflow.name,
        "description": workflow.description,
        "status": workflow.status,
        "category": workflow.category,
        "tags": workflow.tags,
        "version": workflow.version,
        "priority": workflow.priority,
        "component_count": workflow.component_count,
        **_numbers(statistics),
        "created_by": workflow.created_by_id,
        "created_at": workflow.created_at,
        "updated_at": workflow.updated_at,
    }


def trigger_data(trigger: Trigger, url: str | None) -> JSONObject:
    """A trigger of a workflow; `url` for those who may see the token in it."""
    return {
        "id": trigger.pk,
        "component_id": trigger.component_id,
        "type": trigger.type,
        "next_at": trigger.next_at,
        "url": url,
    }


def detail(
    workflow: Workflow,
    permissions: JSONObject,
    *,
    triggers: Sequence[JSONObject],
    definition: JSONValue = None,
    statistics: Statistics | None = None,
) -> JSONObject:
    """`GET workflows/{id}`; `definition` and the numbers where they were asked for."""
    return {
        "id": workflow.pk,
        "name": workflow.name,
        "description": workflow.description,
        **({"definition": definition} if definition is not None else {}),
        "status": workflow.status,
        "category": workflow.category,
        "tags": workflow.tags,
        "version": workflow.version,
        "priority": workflow.priority,
        "component_count": workflow.component_count,
        "permissions": permissions,
        "triggers": triggers,
        **(_numbers(statistics) if statistics is not None else {}),
        "created_by": workflow.created_by_id,
        "created_at": workflow.created_at,
        "updated_at": workflow.updated_at,
    }


def _numbers(statistics: Statistics) -> JSONObject:
    return {
        "execution_count": statistics.execution_count,
        "success_rate": statistics.success_rate,
        "last_execution_at": statistics.last_execution_at,
    }


def report_data(report: Report) -> JSONObject:
    """The answer of `validate`."""
    return {
        "is_valid": report.is_valid,
        "errors": report.errors,
        "warnings": report.warnings,
        "info": report.info,
    }


def component_data(component: Component) -> JSONObject:
    """A component type with its schemas."""
    return {
        "type": component.type,
        "name": component.name,
        "description": component.description,
        "category": component.category,
        "config_schema": component.config_schema,
        "input_schema": component.input_schema,
        "output_schema": component.output_schema,
    }
