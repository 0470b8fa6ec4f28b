// Workflows: what they are, their versions and shares, and starting them.

import { page, walk } from '../pages.js';

/** @import { BatchBody, BatchResults, BulkBody, BulkResults, CreatedWorkflow, DuplicateBody, ExecuteBody, ImportBody, RotateBody, Share, ShareBody, StartedExecution, StatusBody, TriggerEvent, UpdateWorkflowBody, UpdateWorkflowChanges, ValidateBody, ValidateChanges, ValidationReport, Workflow, WorkflowBody, WorkflowExport, WorkflowItem, WorkflowTrigger, WorkflowVersion, WorkflowVersionItem } from '../../types/openapi.js' */
/** @import { Page, Walk } from '../pages.js' */
/** @import { CallOptions, Query, Transport } from '../transport.js' */

export class Workflows {
  #transport;

  /** @param {Transport} transport */
  constructor(transport) {
    this.#transport = transport;
  }

  /**
   * Workflows, a page of them.
   * @param {Query<'/api/v1/workflow_orchestration/workflows'>} [options]
   * @returns {Promise<Page<WorkflowItem>>}
   */
  list(options = {}) {
    return page(this.#transport, '/api/v1/workflow_orchestration/workflows', options);
  }

  /**
   * Workflows, all of them.
   * @param {Walk<Query<'/api/v1/workflow_orchestration/workflows'>>} [options]
   * @returns {AsyncGenerator<WorkflowItem, void, undefined>}
   */
  iterate(options = {}) {
    return walk(this.#transport, '/api/v1/workflow_orchestration/workflows', options);
  }

  /**
   * A workflow, with its definition unless `includeDefinition` is false.
   * @param {string} id
   * @param {Query<'/api/v1/workflow_orchestration/workflows/{workflow_id}', 'get'>} [options]
   * @returns {Promise<Workflow>}
   */
  get(id, { signal, ...query } = {}) {
    return this.#transport.call('get', '/api/v1/workflow_orchestration/workflows/{workflow_id}', {
      params: { workflow_id: id }, query, signal,
    });
  }

  /**
   * A new workflow, as a draft.
   * @param {WorkflowBody} workflow
   * @param {CallOptions} [options]
   * @returns {Promise<CreatedWorkflow>}
   */
  create(workflow, { signal } = {}) {
    return this.#transport.call('post', '/api/v1/workflow_orchestration/workflows', { body: workflow, signal });
  }

  /**
   * A workflow anew as a whole. `expected_version` refuses to change another version.
   * @param {string} id
   * @param {UpdateWorkflowBody} workflow
   * @param {CallOptions} [options]
   * @returns {Promise<Workflow>}
   */
  replace(id, workflow, { signal } = {}) {
    return this.#transport.call('put', '/api/v1/workflow_orchestration/workflows/{workflow_id}', {
      params: { workflow_id: id }, body: workflow, signal,
    });
  }

  /**
   * Changes the fields that are given. `expected_version` refuses to change another version.
   * @param {string} id
   * @param {UpdateWorkflowChanges} changes
   * @param {CallOptions} [options]
   * @returns {Promise<Workflow>}
   */
  update(id, changes, { signal } = {}) {
    return this.#transport.call('patch', '/api/v1/workflow_orchestration/workflows/{workflow_id}', {
      params: { workflow_id: id }, body: changes, signal,
    });
  }

  /**
   * Deletes a workflow with its executions; with `force`, running ones are cancelled first.
   * @param {string} id
   * @param {Query<'/api/v1/workflow_orchestration/workflows/{workflow_id}', 'delete'>} [options]
   * @returns {Promise<void>}
   */
  async delete(id, { signal, ...query } = {}) {
    await this.#transport.call('delete', '/api/v1/workflow_orchestration/workflows/{workflow_id}', {
      params: { workflow_id: id }, query, signal,
    });
  }

  /**
   * Starts a workflow. Whatever happens on the way, it is started once: the call carries an `Idempotency-Key`, of its
   * own unless `idempotencyKey` is given, and is tried again with it.
   * @param {string} id
   * @param {ExecuteBody & CallOptions & { idempotencyKey?: string }} [options]
   * @returns {Promise<StartedExecution & { id: string }>} `id` is the `execution_id`
   */
  async execute(id, { signal, idempotencyKey = crypto.randomUUID(), ...body } = {}) {
    const started = await this.#transport.call('post', '/api/v1/workflow_orchestration/workflows/{workflow_id}/execute', {
      params: { workflow_id: id },
      body,
      headers: { 'Idempotency-Key': idempotencyKey },
      repeatable: true,
      signal,
    });
    return { id: started.execution_id, ...started };
  }

  /**
   * Lets schedules, hooks and events start it.
   * @param {string} id
   * @param {StatusBody} [body]
   * @param {CallOptions} [options]
   * @returns {Promise<Workflow>}
   */
  activate(id, body = {}, { signal } = {}) {
    return this.#transport.call('post', '/api/v1/workflow_orchestration/workflows/{workflow_id}/activate', {
      params: { workflow_id: id }, body, signal,
    });
  }

  /**
   * It is started no more.
   * @param {string} id
   * @param {StatusBody} [body]
   * @param {CallOptions} [options]
   * @returns {Promise<Workflow>}
   */
  deactivate(id, body = {}, { signal } = {}) {
    return this.#transport.call('post', '/api/v1/workflow_orchestration/workflows/{workflow_id}/deactivate', {
      params: { workflow_id: id }, body, signal,
    });
  }

  /**
   * Puts it away; its name is free again.
   * @param {string} id
   * @param {StatusBody} [body]
   * @param {CallOptions} [options]
   * @returns {Promise<Workflow>}
   */
  archive(id, body = {}, { signal } = {}) {
    return this.#transport.call('post', '/api/v1/workflow_orchestration/workflows/{workflow_id}/archive', {
      params: { workflow_id: id }, body, signal,
    });
  }

  /**
   * A copy of it, as a draft.
   * @param {string} id
   * @param {DuplicateBody} [body]
   * @param {CallOptions} [options]
   * @returns {Promise<CreatedWorkflow>}
   */
  duplicate(id, body = {}, { signal } = {}) {
    return this.#transport.call('post', '/api/v1/workflow_orchestration/workflows/{workflow_id}/duplicate', {
      params: { workflow_id: id }, body, signal,
    });
  }

  /**
   * Judges the stored definition, or the one that is given; nothing runs.
   * @param {string} id
   * @param {ValidateChanges} [body]
   * @param {CallOptions} [options]
   * @returns {Promise<ValidationReport>}
   */
  validate(id, body = {}, { signal } = {}) {
    return this.#transport.call('post', '/api/v1/workflow_orchestration/workflows/{workflow_id}/validate', {
      params: { workflow_id: id }, body, signal,
    });
  }

  /**
   * Judges a definition that is stored nowhere; nothing runs.
   * @param {ValidateBody['definition']} definition
   * @param {CallOptions} [options]
   * @returns {Promise<ValidationReport>}
   */
  validateDefinition(definition, { signal } = {}) {
    return this.#transport.call('post', '/api/v1/workflow_orchestration/workflows/validate', { body: { definition }, signal });
  }

  /**
   * A workflow as a document that `import` takes; as text with `format: 'yaml'`.
   * @template {'json' | 'yaml'} [F='json']
   * @param {string} id
   * @param {CallOptions & { format?: F }} [options]
   * @returns {Promise<F extends 'yaml' ? string : WorkflowExport>}
   */
  async export(id, { signal, ...query } = {}) {
    const path = '/api/v1/workflow_orchestration/workflows/{workflow_id}/export';
    const { data } = await this.#transport.request('get', path, { params: { workflow_id: id }, query, signal });
    return data;
  }

  /**
   * A new workflow of an exported document, or of its YAML text.
   * @param {ImportBody | string} document
   * @param {CallOptions} [options]
   * @returns {Promise<CreatedWorkflow>}
   */
  import(document, { signal } = {}) {
    const content = typeof document === 'string' ? { text: document, contentType: 'application/yaml' } : { body: document };
    return this.#transport.call('post', '/api/v1/workflow_orchestration/workflows/import', { ...content, signal });
  }

  /**
   * Its versions, a page of them.
   * @param {string} id
   * @param {Query<'/api/v1/workflow_orchestration/workflows/{workflow_id}/versions'>} [options]
   * @returns {Promise<Page<WorkflowVersionItem>>}
   */
  listVersions(id, options = {}) {
    return page(this.#transport, '/api/v1/workflow_orchestration/workflows/{workflow_id}/versions', options, { workflow_id: id });
  }

  /**
   * Its versions, all of them.
   * @param {string} id
   * @param {Walk<Query<'/api/v1/workflow_orchestration/workflows/{workflow_id}/versions'>>} [options]
   * @returns {AsyncGenerator<WorkflowVersionItem, void, undefined>}
   */
  iterateVersions(id, options = {}) {
    return walk(this.#transport, '/api/v1/workflow_orchestration/workflows/{workflow_id}/versions', options, { workflow_id: id });
  }

  /**
   * One of its versions.
   * @param {string} id
   * @param {number} number
   * @param {CallOptions} [options]
   * @returns {Promise<WorkflowVersion>}
   */
  getVersion(id, number, { signal } = {}) {
    return this.#transport.call('get', '/api/v1/workflow_orchestration/workflows/{workflow_id}/versions/{number}', {
      params: { workflow_id: id, number }, signal,
    });
  }

  /**
   * Makes the definition of an older version the newest one.
   * @param {string} id
   * @param {number} number
   * @param {StatusBody} [body]
   * @param {CallOptions} [options]
   * @returns {Promise<Workflow>}
   */
  restoreVersion(id, number, body = {}, { signal } = {}) {
    return this.#transport.call('post', '/api/v1/workflow_orchestration/workflows/{workflow_id}/versions/{number}/restore', {
      params: { workflow_id: id, number }, body, signal,
    });
  }

  /**
   * With whom it is shared, a page of them.
   * @param {string} id
   * @param {Query<'/api/v1/workflow_orchestration/workflows/{workflow_id}/shares'>} [options]
   * @returns {Promise<Page<Share>>}
   */
  listShares(id, options = {}) {
    return page(this.#transport, '/api/v1/workflow_orchestration/workflows/{workflow_id}/shares', options, { workflow_id: id });
  }

  /**
   * With whom it is shared, all of them.
   * @param {string} id
   * @param {Walk<Query<'/api/v1/workflow_orchestration/workflows/{workflow_id}/shares'>>} [options]
   * @returns {AsyncGenerator<Share, void, undefined>}
   */
  iterateShares(id, options = {}) {
    return walk(this.#transport, '/api/v1/workflow_orchestration/workflows/{workflow_id}/shares', options, { workflow_id: id });
  }

  /**
   * Shares it with a user or a group.
   * @param {string} id
   * @param {ShareBody} share
   * @param {CallOptions} [options]
   * @returns {Promise<Share>}
   */
  share(id, share, { signal } = {}) {
    return this.#transport.call('post', '/api/v1/workflow_orchestration/workflows/{workflow_id}/shares', {
      params: { workflow_id: id }, body: share, signal,
    });
  }

  /**
   * Ends a share.
   * @param {string} id
   * @param {string} shareId
   * @param {CallOptions} [options]
   * @returns {Promise<void>}
   */
  async stopSharing(id, shareId, { signal } = {}) {
    await this.#transport.call('delete', '/api/v1/workflow_orchestration/workflows/{workflow_id}/shares/{share_id}', {
      params: { workflow_id: id, share_id: shareId }, signal,
    });
  }

  /**
   * What a trigger did, and why not, a page of them.
   * @param {string} id
   * @param {string} componentId
   * @param {Query<'/api/v1/workflow_orchestration/workflows/{workflow_id}/triggers/{component_id}/events'>} [options]
   * @returns {Promise<Page<TriggerEvent>>}
   */
  listTriggerEvents(id, componentId, options = {}) {
    return page(this.#transport, '/api/v1/workflow_orchestration/workflows/{workflow_id}/triggers/{component_id}/events', options, { workflow_id: id, component_id: componentId });
  }

  /**
   * What a trigger did, and why not, all of them.
   * @param {string} id
   * @param {string} componentId
   * @param {Walk<Query<'/api/v1/workflow_orchestration/workflows/{workflow_id}/triggers/{component_id}/events'>>} [options]
   * @returns {AsyncGenerator<TriggerEvent, void, undefined>}
   */
  iterateTriggerEvents(id, componentId, options = {}) {
    return walk(this.#transport, '/api/v1/workflow_orchestration/workflows/{workflow_id}/triggers/{component_id}/events', options, { workflow_id: id, component_id: componentId });
  }

  /**
   * Another secret address for an inbound hook; the old one ends.
   * @param {string} id
   * @param {string} componentId
   * @param {RotateBody} [body]
   * @param {CallOptions} [options]
   * @returns {Promise<WorkflowTrigger>}
   */
  rotateHook(id, componentId, body = {}, { signal } = {}) {
    return this.#transport.call('post', '/api/v1/workflow_orchestration/workflows/{workflow_id}/triggers/{component_id}/rotate', {
      params: { workflow_id: id, component_id: componentId }, body, signal,
    });
  }

  /**
   * Creates, updates, deletes, activates and deactivates up to 100 workflows; a result for each, in their order.
   * @param {BulkBody} body
   * @param {CallOptions} [options]
   * @returns {Promise<BulkResults>}
   */
  runBulkOperations(body, { signal } = {}) {
    return this.#transport.call('post', '/api/v2/workflow_orchestration/workflows/bulk', { body, signal });
  }

  /**
   * Starts up to 100 executions; a result for each, in their order.
   * @param {BatchBody} body
   * @param {CallOptions} [options]
   * @returns {Promise<BatchResults>}
   */
  executeBatch(body, { signal } = {}) {
    return this.#transport.call('post', '/api/v2/workflow_orchestration/workflows/execute-batch', {
      body, signal,
    });
  }
}
