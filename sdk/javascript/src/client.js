// The client: one address, one credential, and the resources.

import { Credentials } from './credentials.js';
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
import { Transport } from './transport.js';

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
  constructor({ baseUrl, timeout = 30_000, maxRetries = 4, webSocket, ...credential }) {
    const root = rootOf(baseUrl);
    /** @type {Credentials} */
    let credentials;
    const transport = new Transport({ root, timeoutMs: timeout, maxRetries, credentials: () => credentials });
    const auth = new Auth(transport);
    credentials = new Credentials(credential, {
      logIn: (username, password) => auth.logIn({ username, password }),
      refresh: (refreshToken) => auth.refresh({ refresh_token: refreshToken }),
      grant: (clientId, clientSecret, scopes) => grant(transport, clientId, clientSecret, scopes),
    });
    const link = { url: `${root.replace(/^http/, 'ws')}/api/v1/ws`, credentials: () => credentials, webSocket };

    this.apiKeys = new ApiKeys(transport);
    this.audit = new Audit(transport);
    this.auth = auth;
    this.components = new Components(transport);
    this.executions = new Executions(transport, link);
    this.groups = new Groups(transport);
    this.hooks = new Hooks(transport);
    this.schedules = new Schedules(transport);
    this.secrets = new Secrets(transport);
    this.system = new System(transport);
    this.templates = new Templates(transport);
    this.users = new Users(transport);
    this.webhooks = new Webhooks(transport);
    this.workflows = new Workflows(transport);
  }
}

/**
 * The address up to `/api/v1`: all of the API is below that.
 * @param {string} baseUrl
 */
function rootOf(baseUrl) {
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : null;
  const root = url && /^(.*)\/api\/v1(?:\/workflow_orchestration)?\/*$/.exec(url.pathname);
  const isPlain = url && /^https?:$/.test(url.protocol) && !url.username && !url.password && !url.search && !url.hash;
  if (!root || !isPlain) {
    throw new TypeError('baseUrl must be the address of the API, such as https://your-domain.com/api/v1');
  }
  return url.origin + root[1];
}

/**
 * A token of OAuth's client credentials (RFC 6749 §4.4), for the client itself.
 * @param {Transport} transport
 * @param {string} clientId
 * @param {string} clientSecret
 * @param {string[]} scopes
 */
async function grant(transport, clientId, clientSecret, scopes) {
  const form = new URLSearchParams({ grant_type: 'client_credentials', scope: scopes.join(' ') });
  // Each half is form-encoded first (RFC 6749 §2.3.1).
  const pair = [clientId, clientSecret].map(encodeURIComponent).join(':');
  const { text } = await transport.request('post', '/api/v1/oauth/token', {
    text: form.toString(),
    contentType: 'application/x-www-form-urlencoded',
    headers: { Authorization: `Basic ${btoa(pair)}` },
    anonymous: true,
  });
  return JSON.parse(text);
}
