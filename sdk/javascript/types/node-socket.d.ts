/** The part of the standard's WebSocket that this client needs; text messages alone. */
export class NodeSocket {
    /** @param {string} url `ws:` or `wss:` */
    constructor(url: string);
    /** @type {(() => void) | null} */
    onopen: (() => void) | null;
    /** @type {((event: { data: string }) => void) | null} */
    onmessage: ((event: {
        data: string;
    }) => void) | null;
    /** @type {((event: { code: number, reason: string }) => void) | null} */
    onclose: ((event: {
        code: number;
        reason: string;
    }) => void) | null;
    /** @type {((event: { error: unknown }) => void) | null} */
    onerror: ((event: {
        error: unknown;
    }) => void) | null;
    /** @param {string} text */
    send(text: string): void;
    /** @param {number} [code] */
    close(code?: number): void;
    #private;
}
