/** Secrets written again from here, through the address in a kubeconfig. */
import { identityProvider } from "../../../core/write-key";
import type { RewriteTarget } from "../../decision";
import type { ApiServerAddress } from "../kubernetes/api-client";
import { createStoredObjects } from "../kubernetes/stored-objects";
import type { SecretsRewriter } from "./secrets-rewriter";

/** AKS encrypts Secrets and nothing else. The key is of no matter to a no-op write: the API server knows its own. */
const targets: readonly RewriteTarget[] = [{ resource: "secrets", key: { provider: identityProvider } }];

/** Connects when first used. */
export function kubeconfigRewriter(address: ApiServerAddress): SecretsRewriter {
  const stored = createStoredObjects({ servers: [address] });
  const servers = [address.name];
  return {
    rewrite: (onProgress, signal) => stored.rewrite(targets, servers, onProgress, signal),
    async count(signal) {
      const states = servers.map((server) => ({ server, loadedHash: "", processStartedAt: 0 }));
      const { resources } = await stored.count(targets, states, () => undefined, signal);
      return resources.reduce((sum, { objects }) => sum + objects, 0);
    },
    close: () => stored.close(),
  };
}
