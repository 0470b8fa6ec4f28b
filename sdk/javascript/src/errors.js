// What can go wrong, as one class for each error code of the API.

/**
 * One thing that was wrong with a request.
 * @typedef {object} Problem
 * @property {string} code
 * @property {string} message
 * @property {string} [field] a path such as `definition.components[0].config.url`
 * @property {Record<string, unknown>} [details] often `expected` and `received`
 * @property {number} [retry_after] seconds
 */

/**
 * @typedef {object} ErrorFacts
 * @property {number | null} [status]
 * @property {string | null} [requestId]
 * @property {Problem[]} [problems]
 * @property {number | null} [retryAfter]
 */

/** Whatever this client raises by itself; `code` says what it is. */
export class APGError extends Error {
  /**
   * @param {string} message
   * @param {string} code
   * @param {unknown} [cause]
   */
  constructor(message, code, cause) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
    this.code = code;
  }
}

/** What the server refused: a subclass for each code, this class for a code that is not known here. */
export class APIError extends APGError {
  /**
   * @param {string} message
   * @param {string} code
   * @param {ErrorFacts} [facts]
   */
  constructor(message, code, facts = {}) {
    super(message, code);
    /** The HTTP status; null where a socket said it. */
    this.status = facts.status ?? null;
    /** Finds the request in the server's log. */
    this.requestId = facts.requestId ?? null;
    /** What was wrong, one entry for each field. */
    this.problems = facts.problems ?? [];
    /** Seconds until the next request passes, where the server said so. */
    this.retryAfter = facts.retryAfter ?? null;
  }
}

/** `VALIDATION_ERROR`: the request cannot be read, or fields of it are invalid; `problems` name them. */
export class ValidationError extends APIError {}
/** `AUTHENTICATION_ERROR`: no credential, a bad one, or one that is good no more. */
export class AuthenticationError extends APIError {}
/** `AUTHORIZATION_ERROR`: seen, and not allowed; a scope is missing. */
export class AuthorizationError extends APIError {}
/** `RESOURCE_NOT_FOUND`: not there, or not for the caller to see. */
export class NotFoundError extends APIError {}
/** `RESOURCE_CONFLICT`: a name given already, a stale version, a state in which it makes no sense. */
export class ConflictError extends APIError {}
/** `WORKFLOW_INVALID`: a stored definition that cannot run. */
export class WorkflowInvalidError extends APIError {}
/** `EXECUTION_FAILED` */
export class ExecutionFailedError extends APIError {}
/** `COMPONENT_ERROR` */
export class ComponentError extends ExecutionFailedError {}
/** `TIMEOUT_ERROR`: an execution or a component took longer than it may. */
export class ExecutionTimeoutError extends ExecutionFailedError {}
/** `RATE_LIMIT_EXCEEDED`: over the rate of the tier; see `retryAfter`. */
export class RateLimitError extends APIError {}
/** `SYSTEM_ERROR`: a bug of the server's, or a part of it is away. */
export class ServerError extends APIError {}

/** `CONNECTION_ERROR`: no answer, or none in time; whether the request arrived is not known. */
export class ConnectionFailedError extends APGError {
  /**
   * @param {string} message
   * @param {unknown} [cause]
   */
  constructor(message, cause) {
    super(message, 'CONNECTION_ERROR', cause);
  }
}

/** `WAIT_TIMEOUT`: the execution has not ended in the time that was given; it goes on. */
export class WaitTimeoutError extends APGError {
  /** @param {string} message */
  constructor(message) {
    super(message, 'WAIT_TIMEOUT');
  }
}

/** `INVALID_SIGNATURE`: not a delivery of the platform's, or one that is too old. */
export class SignatureError extends APGError {
  /** @param {string} message */
  constructor(message) {
    super(message, 'INVALID_SIGNATURE');
  }
}

const CLASSES = {
  VALIDATION_ERROR: ValidationError,
  AUTHENTICATION_ERROR: AuthenticationError,
  AUTHORIZATION_ERROR: AuthorizationError,
  RESOURCE_NOT_FOUND: NotFoundError,
  RESOURCE_CONFLICT: ConflictError,
  WORKFLOW_INVALID: WorkflowInvalidError,
  EXECUTION_FAILED: ExecutionFailedError,
  COMPONENT_ERROR: ComponentError,
  TIMEOUT_ERROR: ExecutionTimeoutError,
  RATE_LIMIT_EXCEEDED: RateLimitError,
  SYSTEM_ERROR: ServerError,
};

/**
 * The error of a code.
 * @param {string} code
 * @param {string} message
 * @param {ErrorFacts} [facts]
 * @returns {APIError}
 */
export function errorOf(code, message, facts) {
  const Class = Object.hasOwn(CLASSES, code) ? CLASSES[/** @type {keyof typeof CLASSES} */ (code)] : APIError;
  return new Class(message, code, facts);
}
