/** @import { CredentialOptions } from './credentials.js' */
/** @import { SocketClass } from './session.js' */
/**
 * @typedef {object} ConnectionOptions
 * @property {string} baseUrl the address of the API, such as `https://your-domain.com/api/v1`
 * @property {number} [timeout] milliseconds for one answer; 30,000 by default
 * @property {number} [maxRetries] how often a request is tried again; 4 by default
 * @property {SocketClass} [webSocket] instead of the platform's own `WebSocket`
 */
/** @typedef {ConnectionOptions & CredentialOptions} ClientOptions */
/** A client of one server, as one caller. It keeps no connection open but those of subscriptions. */
export class WorkflowClient {
    /** @param {ClientOptions} options */
    constructor({ baseUrl, timeout, maxRetries, webSocket, ...credential }: ClientOptions);
    apiKeys: ApiKeys;
    audit: Audit;
    auth: Auth;
    components: Components;
    executions: Executions;
    groups: Groups;
    hooks: Hooks;
    schedules: Schedules;
    secrets: Secrets;
    system: System;
    templates: Templates;
    users: Users;
    webhooks: Webhooks;
    workflows: Workflows;
}
export type ConnectionOptions = {
    /**
     * the address of the API, such as `https://your-domain.com/api/v1`
     */
    baseUrl: string;
    /**
     * milliseconds for one answer; 30,000 by default
     */
    timeout?: number | undefined;
    /**
     * how often a request is tried again; 4 by default
     */
    maxRetries?: number | undefined;
    /**
     * instead of the platform's own `WebSocket`
     */
    webSocket?: SocketClass | undefined;
};
export type ClientOptions = ConnectionOptions & CredentialOptions;
import { ApiKeys } from './resources/api-keys.js';
import { Audit } from './resources/audit.js';
import { Auth } from './resources/auth.js';
import { Components } from './resources/components.js';
import { Executions } from './resources/executions.js';
import { Groups } from './resources/groups.js';
import { Hooks } from './resources/hooks.js';
import { Schedules } from './resources/schedules.js';
import { Secrets } from './resources/secrets.js';
import { System } from './resources/system.js';
import { Templates } from './resources/templates.js';
import { Users } from './resources/users.js';
import { Webhooks } from './resources/webhooks.js';
import { Workflows } from './resources/workflows.js';
import type { SocketClass } from './session.js';
import type { CredentialOptions } from './credentials.js';
