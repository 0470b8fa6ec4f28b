"""Registers Django's admin with a site of ours."""

from django.contrib.admin.apps import AdminConfig


class APGAdminConfig(AdminConfig):
    """In INSTALLED_APPS in the place of `django.contrib.admin`."""

    default_site = "config.admin_site.DashboardSite"
