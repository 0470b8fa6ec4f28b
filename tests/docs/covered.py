"""Which test runs which fenced blocks; `test_blocks.py` fails for a block that is in none of these lists."""

import fnmatch
from dataclasses import dataclass

from tests.docs.blocks import Block

# Pages whose shell blocks are pasted at a running platform, from the first to the last. A block of `text` or `json`
# right after one is what it prints.
WALKED = ("docs/quickstart.md", "docs/rest.md", "docs/accounts.md", "docs/templates.md", "docs/graphql.md")


@dataclass(frozen=True)
class Covered:
    """Blocks of a page and a language, all or those that begin so, and the test that runs them."""

    page: str
    language: str
    by: str
    begins: str = ""

    def takes(self, block: Block) -> bool:
        return (
            fnmatch.fnmatchcase(block.page, self.page)
            and block.language == self.language
            and block.text.startswith(self.begins)
        )


REFERENCE = "docs/api-reference.md"
_EXAMPLES = "test_every_request_and_answer_that_is_printed_has_a_test"
_MESSAGES = "test_every_printed_message_has_a_test"
_MODELS = "test_every_model_has_a_test"
_RECEIVERS = "test_h6_the_receivers_of_the_docs_take_what_is_ours_and_refuse_the_rest"
_RUN = "test_run_serves_stops_clean_and_finds_its_data_again"
_RESTORED = "test_on_a_restored_dump_and_an_empty_valkey_everything_goes_on"
_POINT_IN_TIME = "test_a_base_backup_and_the_log_lead_back_to_before_a_mistake"
_DEPLOYMENT = "docs/operations/deployment.md"
_BY_HAND = "test_the_commands_of_the_page_bring_the_platform_up_and_sigterm_takes_it_down"
COVERED = (
    Covered(REFERENCE, "http", _EXAMPLES),
    Covered(REFERENCE, "json", _EXAMPLES),
    Covered(REFERENCE, "json", _MESSAGES),
    Covered(REFERENCE, "json", _MODELS),
    Covered(REFERENCE, "", "test_the_addresses_of_the_reference_answer", "https://"),
    Covered(REFERENCE, "", "test_the_addresses_of_the_reference_answer", "wss://"),
    Covered(REFERENCE, "graphql", "test_all_types_of_the_page_are_compared"),
    Covered(REFERENCE, "python", "test_h6_both_kinds_of_receivers_accept", "import"),
    Covered(REFERENCE, "python", "test_the_example_of_the_reference_runs_as_printed", "from"),
    Covered(REFERENCE, "javascript", "test_the_printed_example_runs"),
    Covered(REFERENCE, "bash", "test_the_curl_examples_of_the_reference_run_as_printed", "curl"),
    Covered("README.md", "sh", _RUN, "BASE="),
    Covered("docs/quickstart.md", "text", _RUN, "Demo:"),
    Covered("docs/quickstart.md", "python", "test_the_quickstart_is_followed_in_each_language"),
    Covered("docs/quickstart.md", "js", "test_the_quickstart_is_followed_in_each_language"),
    Covered("docs/expressions.md", "expr", "test_the_examples_give_what_the_page_says"),
    Covered("docs/definition.md", "text", "test_a_problem_is_told_as_the_page_says"),
    Covered("docs/triggers.md", "json", "test_an_example_can_be_saved", '{"id": "start"'),
    Covered("docs/triggers.md", "json", "test_what_a_hook_brings_is_as_the_page_says", '{"body"'),
    Covered("docs/templates.md", "json", "test_the_example_is_a_template"),
    Covered("docs/webhooks.md", "http", "test_the_body_of_the_docs_is_accepted"),
    Covered("docs/webhooks.md", "json", "test_the_webhook_that_is_shown_is_the_references"),
    Covered("docs/webhooks.md", "python", _RECEIVERS),
    Covered("docs/webhooks.md", "javascript", _RECEIVERS),
    Covered("docs/websocket.md", "python", "test_the_python_example_goes_on_after_a_killed_server"),
    Covered("docs/websocket.md", "html", "test_the_page_of_websocket_md_watches_an_execution"),
    Covered("docs/graphql.md", "js", "test_the_subscription_follows_an_execution"),
    Covered("docs/graphql.md", "json", "test_refusals_over_graphql_read_as_the_page_says"),
    Covered("docs/security.md", "http", "test_an_answer_has_the_headers_that_are_shown"),
    Covered("docs/oauth.md", "sh", "test_the_walk_of_a_person_who_allows_it", "BASE="),
    Covered("docs/oauth.md", "sh", "test_the_token_of_a_service", "curl"),
    Covered("docs/api.md", "sh", "test_types_are_made_of_the_document", "curl"),
    Covered("docs/sdk.md", "sh", "test_the_command_runs_a_file", "apg"),
    Covered("docs/sdk.md", "sh", "test_the_package_holds_what_is_needed_and_no_more", "npm pack"),
    Covered("sdk/python/README.md", "sh", "test_the_command_runs_a_file", "apg"),
    Covered("sdk/python/README.md", "python", "test_the_readmes_examples_print_what_they_say"),
    Covered("sdk/javascript/README.md", "js", "test_the_examples_of_the_readme_run"),
    Covered("sdk/javascript/README.md", "html", "test_the_javascript_client_is_found_by_the_import_map"),
    Covered("sdk/javascript/README.md", "sh", "test_its_own_tests_pass", "npm ci"),
    Covered("docs/operations/maintenance.md", "console", "test_maintenance_mode_is_switched_as_the_page_says"),
    Covered("docs/operations/monitoring.md", "yaml", "test_prometheus_takes_the_configuration_of_the_page"),
    Covered("docs/operations/monitoring.md", "json", "test_a_line_of_the_log_reads_as_the_page_says"),
    Covered("docs/operations/pgbouncer.md", "ini", "test_pgbouncer_takes_the_configuration_of_the_page"),
    Covered("docs/operations/queues.md", "sh", "test_the_worker_of_the_page_is_the_one_of_make_run", "celery"),
    Covered("docs/operations/queues.md", "sql", "test_postgresql_takes_the_statements_of_the_pages"),
    Covered("docs/operations/queues.md", "sh", "test_the_address_of_the_broker_is_understood", "APG_BROKER_URL"),
    Covered("docs/operations/retention.md", "sh", "test_pruning_takes_the_commands_of_the_page"),
    Covered("docs/operations/retention.md", "sql", "test_postgresql_takes_the_statements_of_the_pages"),
    Covered("docs/operations/storage.md", "sh", "test_the_addresses_of_stores_are_understood"),
    Covered("docs/plugin-example/README.md", "", "test_the_plug_in_has_the_files_that_are_listed", "pyproject"),
    Covered("docs/plugin-example/README.md", "json", "test_the_installed_plug_in_is_listed_checked_and_run"),
    Covered("docs/plugin-example/README.md", "", "test_the_installed_plug_in_is_listed_checked_and_run", ".venv"),
    Covered("docs/operations/backup.md", "sh", _RESTORED, "pg_dump"),
    Covered("docs/operations/backup.md", "sh", _RESTORED, "pg_restore"),
    Covered("docs/operations/backup.md", "ini", _POINT_IN_TIME),
    Covered("docs/operations/backup.md", "sh", _POINT_IN_TIME, "pg_basebackup"),
    Covered("docs/operations/backup.md", "sh", _POINT_IN_TIME, "cp"),
    Covered(_DEPLOYMENT, "sh", "test_compose_accepts_the_variables_of_the_page", "deploy/make_secrets.sh"),
    Covered(_DEPLOYMENT, "dockerfile", "test_a_plug_in_goes_where_the_image_looks_for_it"),
    Covered(_DEPLOYMENT, "sh", "test_what_the_page_installs_is_there", "python3"),
    Covered(_DEPLOYMENT, "sh", "test_the_user_and_the_database_are_made_as_the_page_says", "createuser"),
    Covered(_DEPLOYMENT, "sh", _BY_HAND, "cat"),
    Covered(_DEPLOYMENT, "sh", _BY_HAND, "set"),
    Covered(_DEPLOYMENT, "sh", _BY_HAND, "curl"),
    Covered(_DEPLOYMENT, "sh", "test_what_the_page_installs_is_there", "useradd"),
    Covered("docs/operations/upgrade.md", "sh", "test_commands_of_kubectl_name_what_the_manifests_make", "kubectl"),
)  # fmt: skip
