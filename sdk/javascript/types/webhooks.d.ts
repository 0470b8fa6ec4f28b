/**
 * The event of a delivery whose signature is right. `payload` must be the raw body, as it came.
 *
 * Prefer `headers`: they sign the delivery's id and time too, so that an old delivery cannot be sent again as a new one.
 * One may still come more than once: remember the `webhook-id`s that you have dealt with. Raises SignatureError.
 * @param {string | Uint8Array} payload
 * @param {VerifyOptions} options
 * @returns {Promise<Record<string, any>>}
 */
export function verifyWebhook(payload: string | Uint8Array, options: VerifyOptions): Promise<Record<string, any>>;
/**
 * What `X-Webhook-Signature` of a body is.
 * @param {string} text
 * @param {string} secret
 */
export function signatureOf(text: string, secret: string): Promise<string>;
export type GivenHeaders = Headers | Record<string, string | string[] | undefined>;
export type VerifyOptions = {
    /**
     * of the request: the three of Standard Webhooks are checked
     */
    headers?: GivenHeaders | undefined;
    /**
     * instead of them, the value of `X-Webhook-Signature`
     */
    signature?: string | undefined;
    /**
     * the webhook's
     */
    secret: string;
    /**
     * seconds that a delivery may be old, or ahead of this clock; 300 by default
     */
    tolerance?: number | undefined;
    /**
     * Unix seconds; the clock's by default
     */
    now?: number | undefined;
};
