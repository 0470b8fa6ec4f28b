/** @import { BatchBody, BatchResults, BulkBody, BulkResults, CreatedWorkflow, DuplicateBody, ExecuteBody, ImportBody, RotateBody, Share, ShareBody, StartedExecution, StatusBody, TriggerEvent, UpdateWorkflowBody, UpdateWorkflowChanges, ValidateBody, ValidateChanges, ValidationReport, Workflow, WorkflowBody, WorkflowExport, WorkflowItem, WorkflowTrigger, WorkflowVersion, WorkflowVersionItem } from '../../types/openapi.js' */
/** @import { Page, Walk } from '../pages.js' */
/** @import { CallOptions, Query, Transport } from '../transport.js' */
export class Workflows {
    /** @param {Transport} transport */
    constructor(transport: Transport);
    /**
     * Workflows, a page of them.
     * @param {Query<'/api/v1/workflow_orchestration/workflows'>} [options]
     * @returns {Promise<Page<WorkflowItem>>}
     */
    list(options?: Query<"/api/v1/workflow_orchestration/workflows">): Promise<Page<WorkflowItem>>;
    /**
     * Workflows, all of them.
     * @param {Walk<Query<'/api/v1/workflow_orchestration/workflows'>>} [options]
     * @returns {AsyncGenerator<WorkflowItem, void, undefined>}
     */
    iterate(options?: Walk<Query<"/api/v1/workflow_orchestration/workflows">>): AsyncGenerator<WorkflowItem, void, undefined>;
    /**
     * A workflow, with its definition unless `includeDefinition` is false.
     * @param {string} id
     * @param {Query<'/api/v1/workflow_orchestration/workflows/{workflow_id}', 'get'>} [options]
     * @returns {Promise<Workflow>}
     */
    get(id: string, { signal, ...query }?: Query<"/api/v1/workflow_orchestration/workflows/{workflow_id}", "get">): Promise<Workflow>;
    /**
     * A new workflow, as a draft.
     * @param {WorkflowBody} workflow
     * @param {CallOptions} [options]
     * @returns {Promise<CreatedWorkflow>}
     */
    create(workflow: WorkflowBody, { signal }?: CallOptions): Promise<CreatedWorkflow>;
    /**
     * A workflow anew as a whole. `expected_version` refuses to change another version.
     * @param {string} id
     * @param {UpdateWorkflowBody} workflow
     * @param {CallOptions} [options]
     * @returns {Promise<Workflow>}
     */
    replace(id: string, workflow: UpdateWorkflowBody, { signal }?: CallOptions): Promise<Workflow>;
    /**
     * Changes the fields that are given. `expected_version` refuses to change another version.
     * @param {string} id
     * @param {UpdateWorkflowChanges} changes
     * @param {CallOptions} [options]
     * @returns {Promise<Workflow>}
     */
    update(id: string, changes: UpdateWorkflowChanges, { signal }?: CallOptions): Promise<Workflow>;
    /**
     * Deletes a workflow with its executions; with `force`, running ones are cancelled first.
     * @param {string} id
     * @param {Query<'/api/v1/workflow_orchestration/workflows/{workflow_id}', 'delete'>} [options]
     * @returns {Promise<void>}
     */
    delete(id: string, { signal, ...query }?: Query<"/api/v1/workflow_orchestration/workflows/{workflow_id}", "delete">): Promise<void>;
    /**
     * Starts a workflow. Whatever happens on the way, it is started once: the call carries an `Idempotency-Key`, of its
     * own unless `idempotencyKey` is given, and is tried again with it.
     * @param {string} id
     * @param {ExecuteBody & CallOptions & { idempotencyKey?: string }} [options]
     * @returns {Promise<StartedExecution & { id: string }>} `id` is the `execution_id`
     */
    execute(id: string, { signal, idempotencyKey, ...body }?: ExecuteBody & CallOptions & {
        idempotencyKey?: string;
    }): Promise<StartedExecution & {
        id: string;
    }>;
    /**
     * Lets schedules, hooks and events start it.
     * @param {string} id
     * @param {StatusBody} [body]
     * @param {CallOptions} [options]
     * @returns {Promise<Workflow>}
     */
    activate(id: string, body?: StatusBody, { signal }?: CallOptions): Promise<Workflow>;
    /**
     * It is started no more.
     * @param {string} id
     * @param {StatusBody} [body]
     * @param {CallOptions} [options]
     * @returns {Promise<Workflow>}
     */
    deactivate(id: string, body?: StatusBody, { signal }?: CallOptions): Promise<Workflow>;
    /**
     * Puts it away; its name is free again.
     * @param {string} id
     * @param {StatusBody} [body]
     * @param {CallOptions} [options]
     * @returns {Promise<Workflow>}
     */
    archive(id: string, body?: StatusBody, { signal }?: CallOptions): Promise<Workflow>;
    /**
     * A copy of it, as a draft.
     * @param {string} id
     * @param {DuplicateBody} [body]
     * @param {CallOptions} [options]
     * @returns {Promise<CreatedWorkflow>}
     */
    duplicate(id: string, body?: DuplicateBody, { signal }?: CallOptions): Promise<CreatedWorkflow>;
    /**
     * Judges the stored definition, or the one that is given; nothing runs.
     * @param {string} id
     * @param {ValidateChanges} [body]
     * @param {CallOptions} [options]
     * @returns {Promise<ValidationReport>}
     */
    validate(id: string, body?: ValidateChanges, { signal }?: CallOptions): Promise<ValidationReport>;
    /**
     * Judges a definition that is stored nowhere; nothing runs.
     * @param {ValidateBody['definition']} definition
     * @param {CallOptions} [options]
     * @returns {Promise<ValidationReport>}
     */
    validateDefinition(definition: ValidateBody["definition"], { signal }?: CallOptions): Promise<ValidationReport>;
    /**
     * A workflow as a document that `import` takes; as text with `format: 'yaml'`.
     * @template {'json' | 'yaml'} [F='json']
     * @param {string} id
     * @param {CallOptions & { format?: F }} [options]
     * @returns {Promise<F extends 'yaml' ? string : WorkflowExport>}
     */
    export<F extends "json" | "yaml" = "json">(id: string, { signal, ...query }?: CallOptions & {
        format?: F;
    }): Promise<F extends "yaml" ? string : WorkflowExport>;
    /**
     * A new workflow of an exported document, or of its YAML text.
     * @param {ImportBody | string} document
     * @param {CallOptions} [options]
     * @returns {Promise<CreatedWorkflow>}
     */
    import(document: ImportBody | string, { signal }?: CallOptions): Promise<CreatedWorkflow>;
    /**
     * Its versions, a page of them.
     * @param {string} id
     * @param {Query<'/api/v1/workflow_orchestration/workflows/{workflow_id}/versions'>} [options]
     * @returns {Promise<Page<WorkflowVersionItem>>}
     */
    listVersions(id: string, options?: Query<"/api/v1/workflow_orchestration/workflows/{workflow_id}/versions">): Promise<Page<WorkflowVersionItem>>;
    /**
     * Its versions, all of them.
     * @param {string} id
     * @param {Walk<Query<'/api/v1/workflow_orchestration/workflows/{workflow_id}/versions'>>} [options]
     * @returns {AsyncGenerator<WorkflowVersionItem, void, undefined>}
     */
    iterateVersions(id: string, options?: Walk<Query<"/api/v1/workflow_orchestration/workflows/{workflow_id}/versions">>): AsyncGenerator<WorkflowVersionItem, void, undefined>;
    /**
     * One of its versions.
     * @param {string} id
     * @param {number} number
     * @param {CallOptions} [options]
     * @returns {Promise<WorkflowVersion>}
     */
    getVersion(id: string, number: number, { signal }?: CallOptions): Promise<WorkflowVersion>;
    /**
     * Makes the definition of an older version the newest one.
     * @param {string} id
     * @param {number} number
     * @param {StatusBody} [body]
     * @param {CallOptions} [options]
     * @returns {Promise<Workflow>}
     */
    restoreVersion(id: string, number: number, body?: StatusBody, { signal }?: CallOptions): Promise<Workflow>;
    /**
     * With whom it is shared, a page of them.
     * @param {string} id
     * @param {Query<'/api/v1/workflow_orchestration/workflows/{workflow_id}/shares'>} [options]
     * @returns {Promise<Page<Share>>}
     */
    listShares(id: string, options?: Query<"/api/v1/workflow_orchestration/workflows/{workflow_id}/shares">): Promise<Page<Share>>;
    /**
     * With whom it is shared, all of them.
     * @param {string} id
     * @param {Walk<Query<'/api/v1/workflow_orchestration/workflows/{workflow_id}/shares'>>} [options]
     * @returns {AsyncGenerator<Share, void, undefined>}
     */
    iterateShares(id: string, options?: Walk<Query<"/api/v1/workflow_orchestration/workflows/{workflow_id}/shares">>): AsyncGenerator<Share, void, undefined>;
    /**
     * Shares it with a user or a group.
     * @param {string} id
     * @param {ShareBody} share
     * @param {CallOptions} [options]
     * @returns {Promise<Share>}
     */
    share(id: string, share: ShareBody, { signal }?: CallOptions): Promise<Share>;
    /**
     * Ends a share.
     * @param {string} id
     * @param {string} shareId
     * @param {CallOptions} [options]
     * @returns {Promise<void>}
     */
    stopSharing(id: string, shareId: string, { signal }?: CallOptions): Promise<void>;
    /**
     * What a trigger did, and why not, a page of them.
     * @param {string} id
     * @param {string} componentId
     * @param {Query<'/api/v1/workflow_orchestration/workflows/{workflow_id}/triggers/{component_id}/events'>} [options]
     * @returns {Promise<Page<TriggerEvent>>}
     */
    listTriggerEvents(id: string, componentId: string, options?: Query<"/api/v1/workflow_orchestration/workflows/{workflow_id}/triggers/{component_id}/events">): Promise<Page<TriggerEvent>>;
    /**
     * What a trigger did, and why not, all of them.
     * @param {string} id
     * @param {string} componentId
     * @param {Walk<Query<'/api/v1/workflow_orchestration/workflows/{workflow_id}/triggers/{component_id}/events'>>} [options]
     * @returns {AsyncGenerator<TriggerEvent, void, undefined>}
     */
    iterateTriggerEvents(id: string, componentId: string, options?: Walk<Query<"/api/v1/workflow_orchestration/workflows/{workflow_id}/triggers/{component_id}/events">>): AsyncGenerator<TriggerEvent, void, undefined>;
    /**
     * Another secret address for an inbound hook; the old one ends.
     * @param {string} id
     * @param {string} componentId
     * @param {RotateBody} [body]
     * @param {CallOptions} [options]
     * @returns {Promise<WorkflowTrigger>}
     */
    rotateHook(id: string, componentId: string, body?: RotateBody, { signal }?: CallOptions): Promise<WorkflowTrigger>;
    /**
     * Creates, updates, deletes, activates and deactivates up to 100 workflows; a result for each, in their order.
     * @param {BulkBody} body
     * @param {CallOptions} [options]
     * @returns {Promise<BulkResults>}
     */
    runBulkOperations(body: BulkBody, { signal }?: CallOptions): Promise<BulkResults>;
    /**
     * Starts up to 100 executions; a result for each, in their order.
     * @param {BatchBody} body
     * @param {CallOptions} [options]
     * @returns {Promise<BatchResults>}
     */
    executeBatch(body: BatchBody, { signal }?: CallOptions): Promise<BatchResults>;
    #private;
}
import type { Query } from '../transport.js';
import type { WorkflowItem } from '../../types/openapi.js';
import type { Page } from '../pages.js';
import type { Walk } from '../pages.js';
import type { Workflow } from '../../types/openapi.js';
import type { WorkflowBody } from '../../types/openapi.js';
import type { CallOptions } from '../transport.js';
import type { CreatedWorkflow } from '../../types/openapi.js';
import type { UpdateWorkflowBody } from '../../types/openapi.js';
import type { UpdateWorkflowChanges } from '../../types/openapi.js';
import type { ExecuteBody } from '../../types/openapi.js';
import type { StartedExecution } from '../../types/openapi.js';
import type { StatusBody } from '../../types/openapi.js';
import type { DuplicateBody } from '../../types/openapi.js';
import type { ValidateChanges } from '../../types/openapi.js';
import type { ValidationReport } from '../../types/openapi.js';
import type { ValidateBody } from '../../types/openapi.js';
import type { WorkflowExport } from '../../types/openapi.js';
import type { ImportBody } from '../../types/openapi.js';
import type { WorkflowVersionItem } from '../../types/openapi.js';
import type { WorkflowVersion } from '../../types/openapi.js';
import type { Share } from '../../types/openapi.js';
import type { ShareBody } from '../../types/openapi.js';
import type { TriggerEvent } from '../../types/openapi.js';
import type { RotateBody } from '../../types/openapi.js';
import type { WorkflowTrigger } from '../../types/openapi.js';
import type { BulkBody } from '../../types/openapi.js';
import type { BulkResults } from '../../types/openapi.js';
import type { BatchBody } from '../../types/openapi.js';
import type { BatchResults } from '../../types/openapi.js';
import type { Transport } from '../transport.js';
