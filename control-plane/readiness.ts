/** Asks servers of a control plane, over TLS with a client certificate, whether they are ready. */
import { readFile } from "node:fs/promises";
import { Agent, request } from "node:https";
import type { TlsClientFiles } from "../core/local-control-plane";

/** One GET. Undefined: no answer, with `reason` saying why. */
export type HealthAnswer = { readonly ready: true } | { readonly ready: false; readonly reason: string };

const answerMilliseconds = 3_000;

/** `ready` when the server answers 200 on `path`. Never throws for a server that does not answer. */
export async function askHealth(url: string, path: string, client: TlsClientFiles): Promise<HealthAnswer> {
  const [ca, cert, key] = await Promise.all([
    readFile(client.caFile),
    readFile(client.certFile),
    readFile(client.keyFile),
  ]);
  const agent = new Agent({ ca, cert, key, keepAlive: false });
  return new Promise<HealthAnswer>((resolve) => {
    const asked = request(`${url}${path}`, { agent, timeout: answerMilliseconds }, (response) => {
      const { statusCode = 0 } = response;
      response.resume();
      response.once("end", () =>
        resolve(statusCode === 200 ? { ready: true } : { ready: false, reason: `${path} answers ${statusCode}` }),
      );
      response.once("error", (error) => resolve({ ready: false, reason: error.message }));
    });
    asked.once("timeout", () => asked.destroy(new Error(`no answer to ${path} within ${answerMilliseconds / 1000} s`)));
    asked.once("error", (error: NodeJS.ErrnoException) =>
      resolve({ ready: false, reason: error.code ?? error.message }),
    );
    asked.end();
  });
}
