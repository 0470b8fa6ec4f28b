// Templates: the gallery, and one's own.

import { page, walk } from '../pages.js';

/** @import { CreateTemplateBody, CreateWorkflowBody, CreatedWorkflow, RatingBody, Template, TemplateItem, TemplateRating, UpdateTemplateBody, UpdateTemplateChanges } from '../../types/openapi.js' */
/** @import { Page, Walk } from '../pages.js' */
/** @import { CallOptions, Query, Transport } from '../transport.js' */

export class Templates {
  #transport;

  /** @param {Transport} transport */
  constructor(transport) {
    this.#transport = transport;
  }

  /**
   * Templates, a page of them.
   * @param {Query<'/api/v1/workflow_orchestration/templates'>} [options]
   * @returns {Promise<Page<TemplateItem>>}
   */
  list(options = {}) {
    return page(this.#transport, '/api/v1/workflow_orchestration/templates', options);
  }

  /**
   * Templates, all of them.
   * @param {Walk<Query<'/api/v1/workflow_orchestration/templates'>>} [options]
   * @returns {AsyncGenerator<TemplateItem, void, undefined>}
   */
  iterate(options = {}) {
    return walk(this.#transport, '/api/v1/workflow_orchestration/templates', options);
  }

  /**
   * A template, with its definition.
   * @param {string} id
   * @param {CallOptions} [options]
   * @returns {Promise<Template>}
   */
  get(id, { signal } = {}) {
    return this.#transport.call('get', '/api/v1/workflow_orchestration/templates/{template_id}', {
      params: { template_id: id }, signal,
    });
  }

  /**
   * A new template.
   * @param {CreateTemplateBody} template
   * @param {CallOptions} [options]
   * @returns {Promise<Template>}
   */
  create(template, { signal } = {}) {
    return this.#transport.call('post', '/api/v1/workflow_orchestration/templates', { body: template, signal });
  }

  /**
   * A template anew as a whole.
   * @param {string} id
   * @param {UpdateTemplateBody} template
   * @param {CallOptions} [options]
   * @returns {Promise<Template>}
   */
  replace(id, template, { signal } = {}) {
    return this.#transport.call('put', '/api/v1/workflow_orchestration/templates/{template_id}', {
      params: { template_id: id }, body: template, signal,
    });
  }

  /**
   * Changes the fields that are given.
   * @param {string} id
   * @param {UpdateTemplateChanges} changes
   * @param {CallOptions} [options]
   * @returns {Promise<Template>}
   */
  update(id, changes, { signal } = {}) {
    return this.#transport.call('patch', '/api/v1/workflow_orchestration/templates/{template_id}', {
      params: { template_id: id }, body: changes, signal,
    });
  }

  /**
   * Deletes a template; workflows made of it stay.
   * @param {string} id
   * @param {CallOptions} [options]
   * @returns {Promise<void>}
   */
  async delete(id, { signal } = {}) {
    await this.#transport.call('delete', '/api/v1/workflow_orchestration/templates/{template_id}', {
      params: { template_id: id }, signal,
    });
  }

  /**
   * A new workflow of a template.
   * @param {string} id
   * @param {CreateWorkflowBody} workflow
   * @param {CallOptions} [options]
   * @returns {Promise<CreatedWorkflow>}
   */
  createWorkflow(id, workflow, { signal } = {}) {
    return this.#transport.call('post', '/api/v1/workflow_orchestration/templates/{template_id}/create-workflow', {
      params: { template_id: id }, body: workflow, signal,
    });
  }

  /**
   * Rates a template, 1 to 5.
   * @param {string} id
   * @param {RatingBody} body
   * @param {CallOptions} [options]
   * @returns {Promise<TemplateRating>}
   */
  rate(id, body, { signal } = {}) {
    return this.#transport.call('post', '/api/v1/workflow_orchestration/templates/{template_id}/rate', {
      params: { template_id: id }, body, signal,
    });
  }
}
