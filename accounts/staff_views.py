"""REST for staff: users, groups, the audit log."""

from rest_framework.request import Request
from rest_framework.response import Response

from accounts import audit, groups, users
from accounts.authentication import caller
from accounts.filters import AUDIT_FILTERS, USER_FILTERS, entry_keys, filter_users
from accounts.scopes import Scope
from accounts.serializers import (
    GroupSerializer,
    ReplaceUserSerializer,
    UserSerializer,
    audit_data,
    group_data,
    user_data,
)
from accounts.shapes import AUDIT_ENTRY, GROUP, USER
from core.describing import Answers, PageOf
from core.envelope import reply
from core.pagination import paginate, paginate_keys
from core.views import View


class StaffView(View):
    """For people who are staff: who manages accounts has logged in."""

    person_only = True
    staff_only = True


class UserListView(StaffView):
    """`GET`, `POST auth/users`."""

    @Answers(PageOf(USER), parameters=USER_FILTERS)
    def get(self, request: Request) -> Response:
        """List users."""
        page = paginate(filter_users(users.users(), request.query_params), request.query_params)
        return reply([user_data(user) for user in page.items], metadata=page.metadata)

    @Answers(USER, 201, body=UserSerializer, errors=[409])
    def post(self, request: Request) -> Response:
        """Create a user."""
        body = UserSerializer(data=request.data).validated()
        return reply(user_data(users.create_user(**body)), message="User created successfully", status=201)


class UserView(StaffView):
    """`GET`, `PUT`, `PATCH auth/users/{id}`."""

    @Answers(USER)
    def get(self, request: Request, user_id: str) -> Response:
        """Get a user."""
        return reply(user_data(users.get_user(user_id)))

    @Answers(USER, body=ReplaceUserSerializer, errors=[409])
    def put(self, request: Request, user_id: str) -> Response:
        """Replace a user.

        The password stays where none is given.
        """
        return self._update(request, user_id, ReplaceUserSerializer(data=request.data))

    @Answers(USER, body=UserSerializer, partial=True, errors=[409])
    def patch(self, request: Request, user_id: str) -> Response:
        """Update a user."""
        return self._update(request, user_id, UserSerializer(data=request.data, partial=True))

    def _update(self, request: Request, user_id: str, body: UserSerializer) -> Response:
        user = users.get_user(user_id)
        updated = users.update_user(user=user, by=caller(request).user, changes=body.validated())
        return reply(user_data(updated), message="User updated successfully")


class GroupListView(StaffView):
    """`GET`, `POST auth/groups`."""

    @Answers(PageOf(GROUP))
    def get(self, request: Request) -> Response:
        """List groups."""
        page = paginate(groups.groups(), request.query_params)
        return reply([group_data(group) for group in page.items], metadata=page.metadata)

    @Answers(GROUP, 201, body=GroupSerializer, errors=[409])
    def post(self, request: Request) -> Response:
        """Create a group."""
        body = GroupSerializer(data=request.data).validated()
        return reply(group_data(groups.create_group(**body)), message="Group created successfully", status=201)


class GroupView(StaffView):
    """`GET`, `PUT`, `PATCH`, `DELETE auth/groups/{id}`."""

    @Answers(GROUP)
    def get(self, request: Request, group_id: str) -> Response:
        """Get a group."""
        return reply(group_data(groups.get_group(group_id)))

    @Answers(GROUP, body=GroupSerializer, errors=[409])
    def put(self, request: Request, group_id: str) -> Response:
        """Replace a group."""
        return self._update(request, group_id, GroupSerializer(data=request.data))

    @Answers(GROUP, body=GroupSerializer, partial=True, errors=[409])
    def patch(self, request: Request, group_id: str) -> Response:
        """Update a group."""
        return self._update(request, group_id, GroupSerializer(data=request.data, partial=True))

    @Answers(None)
    def delete(self, request: Request, group_id: str) -> Response:
        """Delete a group."""
        groups.delete_group(group=groups.get_group(group_id))
        return reply(message="Group deleted successfully")

    def _update(self, request: Request, group_id: str, body: GroupSerializer) -> Response:
        group = groups.get_group(group_id)
        updated = groups.update_group(group=group, by=caller(request).user, **body.validated())
        return reply(group_data(updated), message="Group updated successfully")


class AuditListView(View):
    """`GET audit`: for staff, by a login or with a key that has the scope."""

    scopes = {"GET": Scope.SYSTEM_READ}
    staff_only = True

    @Answers(PageOf(AUDIT_ENTRY), parameters=AUDIT_FILTERS)
    def get(self, request: Request) -> Response:
        """List audit entries."""
        page = paginate_keys(entry_keys(request.query_params), audit.by_ids, request.query_params)
        return reply([audit_data(entry) for entry in page.items], metadata=page.metadata)
