export class Credentials {
    /**
     * @param {CredentialOptions} options
     * @param {TokenSource} source
     */
    constructor(options: CredentialOptions, source: TokenSource);
    /**
     * The header that a request carries.
     * @returns {Promise<Record<string, string>>}
     */
    headers(): Promise<Record<string, string>>;
    /** What a socket is opened with. */
    token(): Promise<string>;
    /**
     * After a refusal: whether there is another token now than the one that was refused.
     * @param {string | null} refused
     */
    renewed(refused: string | null): Promise<boolean>;
    #private;
}
export type TokenPair = {
    accessToken: string;
    refreshToken?: string | undefined;
};
/**
 * Exactly one kind of credential.
 */
export type CredentialOptions = {
    /**
     * an API key
     */
    apiKey?: string | undefined;
    /**
     * an access token of `auth/login` or of OAuth
     */
    token?: string | undefined;
    /**
     * renews `token` when it has expired
     */
    refreshToken?: string | undefined;
    /**
     * e-mail or user name; logs in at the first request
     */
    username?: string | undefined;
    password?: string | undefined;
    /**
     * of an OAuth application with client credentials
     */
    clientId?: string | undefined;
    clientSecret?: string | undefined;
    /**
     * what the OAuth token is for, such as `['workflow.read', 'workflow.execute']`
     */
    scopes?: string[] | undefined;
    /**
     * called with each new pair; a refresh token works once, so keep the
     * new one if another process is to go on with it
     */
    onTokens?: ((tokens: TokenPair) => void) | undefined;
};
/**
 * What gets tokens; filled in by the client.
 */
export type TokenSource = {
    logIn: (username: string, password: string) => Promise<Granted>;
    refresh: (refreshToken: string) => Promise<Granted>;
    grant: (clientId: string, clientSecret: string, scopes: string[]) => Promise<Granted>;
};
export type Granted = {
    access_token: string;
    refresh_token?: string;
    expires_in: number;
};
