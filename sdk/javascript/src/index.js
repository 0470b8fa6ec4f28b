// What the package offers.

export { WorkflowClient } from './client.js';
export {
  APGError,
  APIError,
  AuthenticationError,
  AuthorizationError,
  ComponentError,
  ConflictError,
  ConnectionFailedError,
  ExecutionFailedError,
  ExecutionTimeoutError,
  NotFoundError,
  RateLimitError,
  ServerError,
  SignatureError,
  ValidationError,
  WaitTimeoutError,
  WorkflowInvalidError,
} from './errors.js';
export { verifyWebhook } from './webhooks.js';

/** @typedef {import('./client.js').ClientOptions} ClientOptions */
/** @typedef {import('./credentials.js').TokenPair} TokenPair */
/** @typedef {import('./errors.js').Problem} Problem */
/** @typedef {import('./session.js').Message} Message */
/** @typedef {import('./session.js').SocketClass} SocketClass */
/** @typedef {import('./webhooks.js').VerifyOptions} VerifyOptions */
/**
 * @template T
 * @typedef {import('./pages.js').Page<T>} Page
 */
/** @typedef {import('../types/openapi.js').Workflow} Workflow */
/** @typedef {import('../types/openapi.js').WorkflowBody} WorkflowBody */
/** @typedef {import('../types/openapi.js').Definition} Definition */
/** @typedef {import('../types/openapi.js').Execution} Execution */
/** @typedef {import('../types/openapi.js').StartedExecution} StartedExecution */
