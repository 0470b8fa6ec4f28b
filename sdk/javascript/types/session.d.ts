/**
 * What an `error` of the server's is here.
 * @param {Message} message
 */
export function refusal({ data }: Message): import("./errors.js").APIError;
export class Session {
    /**
     * An authenticated connection. Raises AuthenticationError, ConnectionFailedError, or the signal's reason.
     * @param {Link} link
     * @param {string} token
     * @param {AbortSignal} [signal]
     */
    static open(link: Link, token: string, signal?: AbortSignal): Promise<Session>;
    /**
     * @param {Socket} socket
     * @param {AbortSignal} [signal]
     */
    constructor(socket: Socket, signal?: AbortSignal);
    /**
     * Sends a message and gives the answer to it; what comes before that is kept. Raises the class of its error code.
     * @param {string} type
     * @param {Record<string, unknown>} data
     */
    ask(type: string, data: Record<string, unknown>): Promise<Message>;
    /**
     * The next message. Raises what ended the connection, once all that came before it has been given.
     * @returns {Promise<Message>}
     */
    next(): Promise<Message>;
    close(): void;
    #private;
}
/**
 * A message of the platform's.
 */
export type Message = {
    type: string;
    id: string;
    timestamp: string;
    data: Record<string, any>;
};
/**
 * The part of the standard's WebSocket that is used.
 */
export type Socket = {
    onopen: ((event: any) => void) | null;
    onmessage: ((event: any) => void) | null;
    onclose: ((event: any) => void) | null;
    onerror: ((event: any) => void) | null;
    send: (text: string) => void;
    close: (code?: number) => void;
};
export type SocketClass = new (url: string) => Socket;
export type Link = {
    url: string;
    credentials: () => Credentials;
    webSocket?: SocketClass | undefined;
};
import type { Credentials } from './credentials.js';
