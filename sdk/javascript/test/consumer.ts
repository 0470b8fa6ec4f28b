// What a program in TypeScript sees of the package; only its types are checked.

import { APIError, WorkflowClient, verifyWebhook } from '@apg/workflow-client';
import type { Execution, Message, Page } from '@apg/workflow-client';

export async function example(signal: AbortSignal): Promise<number> {
  const client = new WorkflowClient({ baseUrl: 'https://your-domain.com/api/v1', apiKey: 'your-api-key' });
  const workflow = await client.workflows.create({
    name: 'My Workflow',
    description: 'Test workflow',
    definition: { components: [{ id: 'start', type: 'start', config: { trigger_type: 'manual' } }], connections: [] },
  });
  const { id } = await client.workflows.execute(workflow.id, { parameters: { param1: 'value1' }, signal });
  const stop: () => void = client.executions.subscribe(id, (update: Message) => update.type, { since: 3 });
  stop();
  const page: Page<Execution> = await client.executions.list({ workflowId: workflow.id, status: 'completed' });
  for await (const found of client.workflows.iterate({ createdBy: 'me', pageSize: 10 })) found.success_rate.toFixed();
  const yaml: string = await client.workflows.export(id, { format: 'yaml' });
  const ended: Execution = await client.executions.waitForCompletion(id, { timeout: 1000 });
  // @ts-expect-error an unknown status
  await client.workflows.list({ status: 'nothing' });
  // @ts-expect-error a definition is missing
  await client.workflows.create({ name: 'n' });
  await verifyWebhook(yaml, { secret: 's', signature: 's' });
  return page.total_count + (ended.duration_seconds ?? 0);
}

export const problem = (error: unknown): string | undefined =>
  error instanceof APIError ? error.problems[0]?.field : undefined;
