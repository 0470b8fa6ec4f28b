// Every operation of docs/openapi.yaml has a method, which calls it. APG_OPENAPI names the document as JSON.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { standIn } from './stand-in.js';

/** @import { WorkflowClient } from '../src/index.js' */

const definition = { components: [{ id: 'a', type: 'log', config: { message: 'm' } }] };
const [id, other, name] = ['an id', 'another', 'a name'];

/** @type {Record<string, (client: WorkflowClient) => Promise<unknown>>} */
const CALLS = {
  list_api_keys: (client) => client.apiKeys.list(),
  create_api_key: (client) => client.apiKeys.create({ name, permissions: ['workflow.read'] }),
  get_api_key: (client) => client.apiKeys.get(id),
  delete_api_key: (client) => client.apiKeys.delete(id),
  list_groups: (client) => client.groups.list(),
  create_group: (client) => client.groups.create({ name }),
  get_group: (client) => client.groups.get(id),
  replace_group: (client) => client.groups.replace(id, { name }),
  update_group: (client) => client.groups.update(id, { name }),
  delete_group: (client) => client.groups.delete(id),
  log_in: (client) => client.auth.logIn({ username: name, password: 'p' }),
  log_out: (client) => client.auth.logOut({ refresh_token: 't' }),
  get_caller: (client) => client.auth.getCaller(),
  change_password: (client) => client.auth.changePassword({ current_password: 'p', new_password: 'q' }),
  refresh_login: (client) => client.auth.refresh({ refresh_token: 't' }),
  list_users: (client) => client.users.list({ isActive: true }),
  create_user: (client) => client.users.create({ email: 'a@example.com', password: 'p' }),
  get_user: (client) => client.users.get(id),
  replace_user: (client) => client.users.replace(id, { email: 'a@example.com' }),
  update_user: (client) => client.users.update(id, { tier: 'pro' }),
  list_audit_entries: (client) => client.audit.list({ actorId: id }),
  list_available_components: (client) => client.components.list(),
  get_component_schema: (client) => client.components.getSchema('log'),
  list_executions: (client) => client.executions.list({ workflowId: id }),
  get_execution: (client) => client.executions.get(id),
  cancel_execution: (client) => client.executions.cancel(id),
  list_component_runs: (client) => client.executions.listComponents(id),
  diagnose_execution: (client) => client.executions.diagnose(id),
  list_execution_events: (client) => client.executions.listEvents(id, { since: 3 }),
  get_execution_logs: (client) => client.executions.logs(id, { level: 'error' }),
  retry_execution: (client) => client.executions.retry(id, { preview: true }),
  send_signal: (client) => client.executions.sendSignal(id, name, { data: 1 }),
  check_health: (client) => client.system.health(),
  get_statistics: (client) => client.system.statistics(),
  list_secrets: (client) => client.secrets.list(),
  create_secret: (client) => client.secrets.create({ name: 'TOKEN', value: 'v' }),
  replace_secret: (client) => client.secrets.replace('TOKEN', { value: 'w' }),
  delete_secret: (client) => client.secrets.delete('TOKEN'),
  list_templates: (client) => client.templates.list({ complexity: 'beginner' }),
  create_template: (client) => client.templates.create({ name, workflow_definition: definition }),
  get_template: (client) => client.templates.get(id),
  replace_template: (client) => client.templates.replace(id, { name, workflow_definition: definition }),
  update_template: (client) => client.templates.update(id, { name }),
  delete_template: (client) => client.templates.delete(id),
  create_workflow_from_template: (client) => client.templates.createWorkflow(id, { name }),
  rate_template: (client) => client.templates.rate(id, { rating: 5 }),
  list_workflows: (client) => client.workflows.list({ tags: ['a', 'b'] }),
  create_workflow: (client) => client.workflows.create({ name, definition }),
  get_workflow: (client) => client.workflows.get(id, { includeStats: true }),
  replace_workflow: (client) => client.workflows.replace(id, { name, definition }),
  update_workflow: (client) => client.workflows.update(id, { name }),
  delete_workflow: (client) => client.workflows.delete(id, { force: true }),
  activate_workflow: (client) => client.workflows.activate(id),
  archive_workflow: (client) => client.workflows.archive(id),
  deactivate_workflow: (client) => client.workflows.deactivate(id, { expected_version: 2 }),
  duplicate_workflow: (client) => client.workflows.duplicate(id),
  execute_workflow: (client) => client.workflows.execute(id),
  export_workflow: (client) => client.workflows.export(id),
  list_workflow_shares: (client) => client.workflows.listShares(id),
  share_workflow: (client) => client.workflows.share(id, { user_id: other, role: 'viewer' }),
  stop_sharing_workflow: (client) => client.workflows.stopSharing(id, other),
  validate_workflow: (client) => client.workflows.validate(id),
  list_workflow_versions: (client) => client.workflows.listVersions(id),
  get_workflow_version: (client) => client.workflows.getVersion(id, 3),
  restore_workflow_version: (client) => client.workflows.restoreVersion(id, 3),
  import_workflow: (client) => client.workflows.import('name: n'),
  validate_definition: (client) => client.workflows.validateDefinition(definition),
  run_bulk_operations: (client) => client.workflows.runBulkOperations({ operations: [{ operation: 'delete' }] }),
  list_trigger_events: (client) => client.workflows.listTriggerEvents(id, 'start'),
  give_hook_new_address: (client) => client.workflows.rotateHook(id, 'start'),
  start_workflow: (client) => client.hooks.start('token', { any: 'JSON' }, { wait: 1 }),
  start_workflow_with_get: (client) => client.hooks.startWithGet('token'),
  list_schedules: (client) => client.schedules.list({ paused: false }),
  get_schedule: (client) => client.schedules.get(id),
  preview_schedule: (client) => client.schedules.preview(id, { count: 3 }),
  pause_schedule: (client) => client.schedules.pause(id),
  resume_schedule: (client) => client.schedules.resume(id),
  run_schedule_now: (client) => client.schedules.run(id),
  backfill_schedule: (client) => client.schedules.backfill(id, { from: '2025-01-01T00:00:00Z', to: '2025-01-02T00:00:00Z' }),
  list_schedule_events: (client) => client.schedules.listEvents(id, { since: 3 }),
  list_webhooks: (client) => client.webhooks.list(),
  create_webhook: (client) => client.webhooks.create({ url: 'https://example.com', events: ['execution.failed'] }),
  get_webhook: (client) => client.webhooks.get(id),
  replace_webhook: (client) => client.webhooks.replace(id, { url: 'https://example.com', events: ['execution.failed'] }),
  update_webhook: (client) => client.webhooks.update(id, { active: false }),
  delete_webhook: (client) => client.webhooks.delete(id),
  test_webhook: (client) => client.webhooks.test(id),
  rotate_secret_of_webhook: (client) => client.webhooks.rotateSecret(id),
  list_deliveries_of_webhook: (client) => client.webhooks.listDeliveries(id, { status: 'failed' }),
  get_delivery_of_webhook: (client) => client.webhooks.getDelivery(id, other),
  redeliver_delivery_of_webhook: (client) => client.webhooks.redeliver(id, other),
  execute_batch: (client) => client.workflows.executeBatch({ executions: [{ workflow_id: id }] }),
};

const document = JSON.parse(readFileSync(process.env.APG_OPENAPI ?? '', 'utf8'));

for (const [path, operations] of Object.entries(document.paths)) {
  for (const [method, operation] of Object.entries(operations)) {
    if (!operation.operationId) continue;
    test(`${operation.operationId} has a method`, async (context) => {
      const call = CALLS[operation.operationId];
      assert.ok(call, `no method calls ${method.toUpperCase()} ${path}`);
      const far = await standIn(context, [{ data: {} }]);
      await call(far.client());
      const [seen] = far.seen;
      assert.equal(seen?.method, method.toUpperCase());
      const pattern = new RegExp(`^${path.replace(/\{\w+\}/g, '[^/?]+')}$`);
      const url = new URL(seen?.path ?? '', 'http://x');
      assert.match(url.pathname, pattern);
      const known = new Set(operation.parameters?.map((/** @type {{ name: string }} */ parameter) => parameter.name));
      for (const given of url.searchParams.keys()) assert.ok(known.has(given), given);
    });
  }
}
