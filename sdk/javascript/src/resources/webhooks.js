// Webhooks: who is told what, and what was sent.

import { page, walk } from '../pages.js';

/** @import { RotateSecretBody, Webhook, WebhookBody, WebhookChanges, WebhookDelivery, WebhookDeliveryItem, WebhookWithSecret } from '../../types/openapi.js' */
/** @import { Page, Walk } from '../pages.js' */
/** @import { CallOptions, Query, Transport } from '../transport.js' */

export class Webhooks {
  #transport;

  /** @param {Transport} transport */
  constructor(transport) {
    this.#transport = transport;
  }

  /**
   * Webhooks, a page of them.
   * @param {Query<'/api/v1/workflow_orchestration/webhooks'>} [options]
   * @returns {Promise<Page<Webhook>>}
   */
  list(options = {}) {
    return page(this.#transport, '/api/v1/workflow_orchestration/webhooks', options);
  }

  /**
   * Webhooks, all of them.
   * @param {Walk<Query<'/api/v1/workflow_orchestration/webhooks'>>} [options]
   * @returns {AsyncGenerator<Webhook, void, undefined>}
   */
  iterate(options = {}) {
    return walk(this.#transport, '/api/v1/workflow_orchestration/webhooks', options);
  }

  /**
   * A webhook, without its secret.
   * @param {string} id
   * @param {CallOptions} [options]
   * @returns {Promise<Webhook>}
   */
  get(id, { signal } = {}) {
    return this.#transport.call('get', '/api/v1/workflow_orchestration/webhooks/{webhook_id}', {
      params: { webhook_id: id }, signal,
    });
  }

  /**
   * A new webhook; its secret is shown in this answer alone, where the platform made it.
   * @param {WebhookBody} webhook
   * @param {CallOptions} [options]
   * @returns {Promise<WebhookWithSecret>}
   */
  create(webhook, { signal } = {}) {
    return this.#transport.call('post', '/api/v1/workflow_orchestration/webhooks', { body: webhook, signal });
  }

  /**
   * A webhook anew as a whole; without a `secret` the old one stays.
   * @param {string} id
   * @param {WebhookBody} webhook
   * @param {CallOptions} [options]
   * @returns {Promise<Webhook>}
   */
  replace(id, webhook, { signal } = {}) {
    return this.#transport.call('put', '/api/v1/workflow_orchestration/webhooks/{webhook_id}', {
      params: { webhook_id: id }, body: webhook, signal,
    });
  }

  /**
   * Changes the fields that are given.
   * @param {string} id
   * @param {WebhookChanges} changes
   * @param {CallOptions} [options]
   * @returns {Promise<Webhook>}
   */
  update(id, changes, { signal } = {}) {
    return this.#transport.call('patch', '/api/v1/workflow_orchestration/webhooks/{webhook_id}', {
      params: { webhook_id: id }, body: changes, signal,
    });
  }

  /**
   * Deletes a webhook with its deliveries.
   * @param {string} id
   * @param {CallOptions} [options]
   * @returns {Promise<void>}
   */
  async delete(id, { signal } = {}) {
    await this.#transport.call('delete', '/api/v1/workflow_orchestration/webhooks/{webhook_id}', {
      params: { webhook_id: id }, signal,
    });
  }

  /**
   * Sends it an event `webhook.test`.
   * @param {string} id
   * @param {CallOptions} [options]
   * @returns {Promise<WebhookDelivery>}
   */
  test(id, { signal } = {}) {
    return this.#transport.call('post', '/api/v1/workflow_orchestration/webhooks/{webhook_id}/test', {
      params: { webhook_id: id }, signal,
    });
  }

  /**
   * Another secret; the old one signs for a day more.
   * @param {string} id
   * @param {RotateSecretBody} [body]
   * @param {CallOptions} [options]
   * @returns {Promise<WebhookWithSecret>}
   */
  rotateSecret(id, body = {}, { signal } = {}) {
    return this.#transport.call('post', '/api/v1/workflow_orchestration/webhooks/{webhook_id}/rotate-secret', {
      params: { webhook_id: id }, body, signal,
    });
  }

  /**
   * What was sent to it, a page of them.
   * @param {string} id
   * @param {Query<'/api/v1/workflow_orchestration/webhooks/{webhook_id}/deliveries'>} [options]
   * @returns {Promise<Page<WebhookDeliveryItem>>}
   */
  listDeliveries(id, options = {}) {
    return page(this.#transport, '/api/v1/workflow_orchestration/webhooks/{webhook_id}/deliveries', options, { webhook_id: id });
  }

  /**
   * What was sent to it, all of them.
   * @param {string} id
   * @param {Walk<Query<'/api/v1/workflow_orchestration/webhooks/{webhook_id}/deliveries'>>} [options]
   * @returns {AsyncGenerator<WebhookDeliveryItem, void, undefined>}
   */
  iterateDeliveries(id, options = {}) {
    return walk(this.#transport, '/api/v1/workflow_orchestration/webhooks/{webhook_id}/deliveries', options, { webhook_id: id });
  }

  /**
   * A delivery with its body and its attempts.
   * @param {string} id
   * @param {string} deliveryId
   * @param {CallOptions} [options]
   * @returns {Promise<WebhookDelivery>}
   */
  getDelivery(id, deliveryId, { signal } = {}) {
    return this.#transport.call('get', '/api/v1/workflow_orchestration/webhooks/{webhook_id}/deliveries/{delivery_id}', {
      params: { webhook_id: id, delivery_id: deliveryId }, signal,
    });
  }

  /**
   * Sends a delivery that has ended once more.
   * @param {string} id
   * @param {string} deliveryId
   * @param {CallOptions} [options]
   * @returns {Promise<WebhookDelivery>}
   */
  redeliver(id, deliveryId, { signal } = {}) {
    return this.#transport.call('post', '/api/v1/workflow_orchestration/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver', {
      params: { webhook_id: id, delivery_id: deliveryId }, signal,
    });
  }
}
