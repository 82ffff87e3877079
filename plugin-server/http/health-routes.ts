/**
 * /healthz says whether the keys can be used: for readiness, dashboards and alarms. /livez says whether this process does its
 * work: for liveness, because a restart repairs no key and takes the socket away.
 */
import { KmsEtcdError } from "../../core/errors";
import type { OperationConfig } from "../config/operation-config";
import type { KmsServer } from "../grpc/kms-server";
import type { ServedHealth } from "../health/served-health";
import type { KeyProvider } from "../key-provider";
import type { Routes } from "./http-server";

export interface HealthOfKey {
  readonly provider: Pick<KeyProvider, "keyId">;
  readonly health: Pick<ServedHealth, "check">;
}

/**
 * Bodies name the key and a word for the trouble, no more: the port has no authentication.
 * @param servers none before the sockets are served.
 */
export function healthRoutes(
  operation: Pick<OperationConfig, "healthzPath" | "livezPath" | "healthzTimeoutMs">,
  keys: readonly HealthOfKey[],
  servers: () => readonly KmsServer[],
): Routes {
  return {
    [operation.healthzPath]: async () => {
      const limit = AbortSignal.timeout(operation.healthzTimeoutMs);
      const troubles = await Promise.all(keys.map((key) => troubleOf(key, limit)));
      const lines = [
        ...troubles.flat(),
        ...(servers().length === keys.length ? [] : ["the sockets are not served yet\n"]),
      ];
      return answer(lines);
    },
    [operation.livezPath]: async () => {
      const lost = await Promise.all(
        servers().map(async (server) =>
          (await server.ownsSocket()) ? [] : [`the socket ${server.socket} is not ours any more\n`],
        ),
      );
      return answer(lost.flat());
    },
  };
}

async function troubleOf({ provider, health }: HealthOfKey, signal: AbortSignal): Promise<readonly string[]> {
  try {
    await health.check(signal);
    return [];
  } catch (error) {
    return [`key ${provider.keyId}: ${error instanceof KmsEtcdError ? error.code : "internal"}\n`];
  }
}

function answer(troubles: readonly string[]) {
  return troubles.length === 0 ? { status: 200, body: "ok" } : { status: 503, body: troubles.join("") };
}
