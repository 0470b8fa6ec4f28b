/** @import { RotateSecretBody, Webhook, WebhookBody, WebhookChanges, WebhookDelivery, WebhookDeliveryItem, WebhookWithSecret } from '../../types/openapi.js' */
/** @import { Page, Walk } from '../pages.js' */
/** @import { CallOptions, Query, Transport } from '../transport.js' */
export class Webhooks {
    /** @param {Transport} transport */
    constructor(transport: Transport);
    /**
     * Webhooks, a page of them.
     * @param {Query<'/api/v1/workflow_orchestration/webhooks'>} [options]
     * @returns {Promise<Page<Webhook>>}
     */
    list(options?: Query<"/api/v1/workflow_orchestration/webhooks">): Promise<Page<Webhook>>;
    /**
     * Webhooks, all of them.
     * @param {Walk<Query<'/api/v1/workflow_orchestration/webhooks'>>} [options]
     * @returns {AsyncGenerator<Webhook, void, undefined>}
     */
    iterate(options?: Walk<Query<"/api/v1/workflow_orchestration/webhooks">>): AsyncGenerator<Webhook, void, undefined>;
    /**
     * A webhook, without its secret.
     * @param {string} id
     * @param {CallOptions} [options]
     * @returns {Promise<Webhook>}
     */
    get(id: string, { signal }?: CallOptions): Promise<Webhook>;
    /**
     * A new webhook; its secret is shown in this answer alone, where the platform made it.
     * @param {WebhookBody} webhook
     * @param {CallOptions} [options]
     * @returns {Promise<WebhookWithSecret>}
     */
    create(webhook: WebhookBody, { signal }?: CallOptions): Promise<WebhookWithSecret>;
    /**
     * A webhook anew as a whole; without a `secret` the old one stays.
     * @param {string} id
     * @param {WebhookBody} webhook
     * @param {CallOptions} [options]
     * @returns {Promise<Webhook>}
     */
    replace(id: string, webhook: WebhookBody, { signal }?: CallOptions): Promise<Webhook>;
    /**
     * Changes the fields that are given.
     * @param {string} id
     * @param {WebhookChanges} changes
     * @param {CallOptions} [options]
     * @returns {Promise<Webhook>}
     */
    update(id: string, changes: WebhookChanges, { signal }?: CallOptions): Promise<Webhook>;
    /**
     * Deletes a webhook with its deliveries.
     * @param {string} id
     * @param {CallOptions} [options]
     * @returns {Promise<void>}
     */
    delete(id: string, { signal }?: CallOptions): Promise<void>;
    /**
     * Sends it an event `webhook.test`.
     * @param {string} id
     * @param {CallOptions} [options]
     * @returns {Promise<WebhookDelivery>}
     */
    test(id: string, { signal }?: CallOptions): Promise<WebhookDelivery>;
    /**
     * Another secret; the old one signs for a day more.
     * @param {string} id
     * @param {RotateSecretBody} [body]
     * @param {CallOptions} [options]
     * @returns {Promise<WebhookWithSecret>}
     */
    rotateSecret(id: string, body?: RotateSecretBody, { signal }?: CallOptions): Promise<WebhookWithSecret>;
    /**
     * What was sent to it, a page of them.
     * @param {string} id
     * @param {Query<'/api/v1/workflow_orchestration/webhooks/{webhook_id}/deliveries'>} [options]
     * @returns {Promise<Page<WebhookDeliveryItem>>}
     */
    listDeliveries(id: string, options?: Query<"/api/v1/workflow_orchestration/webhooks/{webhook_id}/deliveries">): Promise<Page<WebhookDeliveryItem>>;
    /**
     * What was sent to it, all of them.
     * @param {string} id
     * @param {Walk<Query<'/api/v1/workflow_orchestration/webhooks/{webhook_id}/deliveries'>>} [options]
     * @returns {AsyncGenerator<WebhookDeliveryItem, void, undefined>}
     */
    iterateDeliveries(id: string, options?: Walk<Query<"/api/v1/workflow_orchestration/webhooks/{webhook_id}/deliveries">>): AsyncGenerator<WebhookDeliveryItem, void, undefined>;
    /**
     * A delivery with its body and its attempts.
     * @param {string} id
     * @param {string} deliveryId
     * @param {CallOptions} [options]
     * @returns {Promise<WebhookDelivery>}
     */
    getDelivery(id: string, deliveryId: string, { signal }?: CallOptions): Promise<WebhookDelivery>;
    /**
     * Sends a delivery that has ended once more.
     * @param {string} id
     * @param {string} deliveryId
     * @param {CallOptions} [options]
     * @returns {Promise<WebhookDelivery>}
     */
    redeliver(id: string, deliveryId: string, { signal }?: CallOptions): Promise<WebhookDelivery>;
    #private;
}
import type { Query } from '../transport.js';
import type { Webhook } from '../../types/openapi.js';
import type { Page } from '../pages.js';
import type { Walk } from '../pages.js';
import type { CallOptions } from '../transport.js';
import type { WebhookBody } from '../../types/openapi.js';
import type { WebhookWithSecret } from '../../types/openapi.js';
import type { WebhookChanges } from '../../types/openapi.js';
import type { WebhookDelivery } from '../../types/openapi.js';
import type { RotateSecretBody } from '../../types/openapi.js';
import type { WebhookDeliveryItem } from '../../types/openapi.js';
import type { Transport } from '../transport.js';
