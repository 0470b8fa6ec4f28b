/** @import { CreateTemplateBody, CreateWorkflowBody, CreatedWorkflow, RatingBody, Template, TemplateItem, TemplateRating, UpdateTemplateBody, UpdateTemplateChanges } from '../../types/openapi.js' */
/** @import { Page, Walk } from '../pages.js' */
/** @import { CallOptions, Query, Transport } from '../transport.js' */
export class Templates {
    /** @param {Transport} transport */
    constructor(transport: Transport);
    /**
     * Templates, a page of them.
     * @param {Query<'/api/v1/workflow_orchestration/templates'>} [options]
     * @returns {Promise<Page<TemplateItem>>}
     */
    list(options?: Query<"/api/v1/workflow_orchestration/templates">): Promise<Page<TemplateItem>>;
    /**
     * Templates, all of them.
     * @param {Walk<Query<'/api/v1/workflow_orchestration/templates'>>} [options]
     * @returns {AsyncGenerator<TemplateItem, void, undefined>}
     */
    iterate(options?: Walk<Query<"/api/v1/workflow_orchestration/templates">>): AsyncGenerator<TemplateItem, void, undefined>;
    /**
     * A template, with its definition.
     * @param {string} id
     * @param {CallOptions} [options]
     * @returns {Promise<Template>}
     */
    get(id: string, { signal }?: CallOptions): Promise<Template>;
    /**
     * A new template.
     * @param {CreateTemplateBody} template
     * @param {CallOptions} [options]
     * @returns {Promise<Template>}
     */
    create(template: CreateTemplateBody, { signal }?: CallOptions): Promise<Template>;
    /**
     * A template anew as a whole.
     * @param {string} id
     * @param {UpdateTemplateBody} template
     * @param {CallOptions} [options]
     * @returns {Promise<Template>}
     */
    replace(id: string, template: UpdateTemplateBody, { signal }?: CallOptions): Promise<Template>;
    /**
     * Changes the fields that are given.
     * @param {string} id
     * @param {UpdateTemplateChanges} changes
     * @param {CallOptions} [options]
     * @returns {Promise<Template>}
     */
    update(id: string, changes: UpdateTemplateChanges, { signal }?: CallOptions): Promise<Template>;
    /**
     * Deletes a template; workflows made of it stay.
     * @param {string} id
     * @param {CallOptions} [options]
     * @returns {Promise<void>}
     */
    delete(id: string, { signal }?: CallOptions): Promise<void>;
    /**
     * A new workflow of a template.
     * @param {string} id
     * @param {CreateWorkflowBody} workflow
     * @param {CallOptions} [options]
     * @returns {Promise<CreatedWorkflow>}
     */
    createWorkflow(id: string, workflow: CreateWorkflowBody, { signal }?: CallOptions): Promise<CreatedWorkflow>;
    /**
     * Rates a template, 1 to 5.
     * @param {string} id
     * @param {RatingBody} body
     * @param {CallOptions} [options]
     * @returns {Promise<TemplateRating>}
     */
    rate(id: string, body: RatingBody, { signal }?: CallOptions): Promise<TemplateRating>;
    #private;
}
import type { Query } from '../transport.js';
import type { TemplateItem } from '../../types/openapi.js';
import type { Page } from '../pages.js';
import type { Walk } from '../pages.js';
import type { CallOptions } from '../transport.js';
import type { Template } from '../../types/openapi.js';
import type { CreateTemplateBody } from '../../types/openapi.js';
import type { UpdateTemplateBody } from '../../types/openapi.js';
import type { UpdateTemplateChanges } from '../../types/openapi.js';
import type { CreateWorkflowBody } from '../../types/openapi.js';
import type { CreatedWorkflow } from '../../types/openapi.js';
import type { RatingBody } from '../../types/openapi.js';
import type { TemplateRating } from '../../types/openapi.js';
import type { Transport } from '../transport.js';
