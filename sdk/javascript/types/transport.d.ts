export class Transport {
    /**
     * @param {object} options
     * @param {string} options.root the address up to `/api/v1`
     * @param {number} options.timeoutMs for one answer
     * @param {number} options.maxRetries
     * @param {() => Credentials} options.credentials
     */
    constructor({ root, timeoutMs, maxRetries, credentials }: {
        root: string;
        timeoutMs: number;
        maxRetries: number;
        credentials: () => Credentials;
    });
    /**
     * An operation's `data`.
     * @template {Path} P
     * @template {Method} M
     * @param {M} method
     * @param {P} path
     * @param {Parts} [parts]
     * @returns {Promise<Data<P, M>>}
     */
    call<P extends Path, M extends Method>(method: M, path: P, parts?: Parts): Promise<Data<P, M>>;
    /**
     * An operation's whole answer. Raises the class of its error code, or ConnectionFailedError.
     * @param {Method} method
     * @param {string} path
     * @param {Parts} [parts]
     * @returns {Promise<Answer>}
     */
    request(method: Method, path: string, parts?: Parts): Promise<Answer>;
    #private;
}
export type Received = {
    status: number;
    headers: Headers;
    text: string;
};
export type Method = "get" | "post" | "put" | "patch" | "delete";
export type Path = keyof paths;
/**
 * What an operation answers in `data`.
 */
export type Data<P extends Path, M extends Method> = paths[P][M] extends {
    responses: infer R;
} ? { [S in keyof R & (200 | 201 | 202)]: R[S] extends {
    content: {
        "application/json": {
            data: infer D;
        };
    };
} ? D : never; }[keyof R & (200 | 201 | 202)] : never;
/**
 * What an operation takes as its body.
 */
export type Body<P extends Path, M extends Method> = paths[P][M] extends {
    requestBody?: {
        content: {
            "application/json": infer B;
        };
    };
} ? B : never;
export type Camel<S extends string> = S extends `${infer A}_${infer B}` ? `${A}${Capitalize<Camel<B>>}` : S;
/**
 * What every method takes.
 */
export type CallOptions = {
    /**
     * ends the call; it rejects with the signal's reason
     */
    signal?: AbortSignal | undefined;
};
/**
 * The query of a GET, in camelCase.
 */
export type Query<P extends Path, M extends Method = "get"> = (paths[P][M] extends {
    parameters: {
        query?: infer Q;
    };
} ? { [K in keyof NonNullable<Q> as Camel<K & string>]?: NonNullable<Q>[K]; } : {}) & CallOptions;
export type Parts = {
    /**
     * what the braces of the address stand for
     */
    params?: Record<string, string | number> | undefined;
    /**
     * in camelCase
     */
    query?: Record<string, any> | undefined;
    /**
     * JSON
     */
    body?: unknown;
    /**
     * a body that is no JSON, with its `contentType`
     */
    text?: string | undefined;
    contentType?: string | undefined;
    headers?: Record<string, string> | undefined;
    /**
     * whether asking twice does and tells the same as asking once; a GET unless given
     */
    repeatable?: boolean | undefined;
    /**
     * what the server itself may wait, beyond the time for one answer
     */
    patienceMs?: number | undefined;
    /**
     * without the credential
     */
    anonymous?: boolean | undefined;
    signal?: AbortSignal | undefined;
};
export type Answer = {
    data: any;
    metadata: any;
    text: string;
};
import type { Credentials } from './credentials.js';
import type { paths } from '../types/openapi.js';
