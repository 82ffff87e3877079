/** A control plane in memory: Secrets, each stored under the key that was written with at the time. */
import type { KmsCluster, KmsClusterOptions, KmsWindow, KmsWriter } from "./kms-cluster";

export interface MemoryCluster extends KmsCluster {
  readonly window: KmsWindow;
  /** What was configured, the newest last. */
  readonly history: readonly KmsWindow[];
  writeSecret(name: string): void;
  /** By name, the key that it is stored under. */
  stored(): Readonly<Record<string, string>>;
  rewriteSecrets(): void;
  /** The next `configure` fails with this. */
  failNext(message: string): void;
}

export function createMemoryCluster(options: KmsClusterOptions): MemoryCluster {
  const secrets = new Map<string, string>();
  const history: KmsWindow[] = [];
  let window: KmsWindow = { write: "identity", previous: undefined, rewrittenByPlatform: false };
  let failure: string | undefined;

  const cluster: MemoryCluster = {
    history,
    get window() {
      return window;
    },
    writeSecret: (name) => void secrets.set(name, nameOf(window.write)),
    stored: () => Object.fromEntries(secrets),
    rewriteSecrets() {
      for (const name of secrets.keys()) cluster.writeSecret(name);
    },
    failNext(message) {
      failure = message;
    },
    async configure(wanted) {
      history.push(wanted);
      if (failure !== undefined) {
        const message = failure;
        failure = undefined;
        throw new Error(message);
      }
      const writers = [wanted.write, ...(wanted.previous === undefined ? [] : [wanted.previous])];
      // A plugin whose key can't be used is not ready, and then neither is its API server.
      for (const writer of writers) if (typeof writer === "object") options.useKey(writer);
      // Plaintext needs no key, so it stays readable.
      const readable = new Set(["identity", ...writers.map(nameOf)]);
      const lost = [...secrets].find(([, key]) => !readable.has(key));
      if (lost !== undefined) throw new Error(`the API server does not come up: secret ${lost[0]} is under ${lost[1]}`);
      window = wanted;
      if (wanted.rewrittenByPlatform) cluster.rewriteSecrets();
    },
    run: async (command) => ({ exitCode: 127, logs: `sh: there is no shell in this cluster to run ${command}` }),
    kubeconfig: () => JSON.stringify({ apiVersion: "v1", kind: "Config", clusters: [] }),
    close: async () => undefined,
  };
  return cluster;
}

function nameOf(writer: KmsWriter): string {
  return typeof writer === "string" ? writer : writer.keyId;
}
