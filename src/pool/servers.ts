/** How to reach the NATS servers of a pool. */
export interface PoolServers {
  /** URLs, such as `nats://10.0.0.1:4222` or `tls://nats1.example:4222`. One that answers is enough to learn the others. */
  readonly servers: readonly string[];
  /**
   * File with the credentials: a NATS `.creds` file, the seed of an nkey (`SU...`), or one line `USER:PASSWORD`. Read
   * again for each connection.
   */
  readonly creds?: string | undefined;
  /** File with the certificates that sign those of the servers, PEM. Default: those of Node. */
  readonly tlsCa?: string | undefined;
  /** Files with the certificate and the key of this client, PEM. */
  readonly tlsCert?: string | undefined;
  readonly tlsKey?: string | undefined;
}
