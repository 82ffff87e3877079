/** Our provider over a real gRPC socket, with the real engine for AKS on the fake ARM and on clusters whose Secrets remember what they are under. */
import assert from "node:assert/strict";
import { startProvider } from "../../../provider/provider";
import { createAksEngine } from "../../../rotation/adapters/aks/aks-engine";
import type { AksSide, TestCluster } from "../../rotation/adapters/aks/aks-side";
import { type EngineSide, engineSide } from "./engine-side";

/** `clusters` by their ids; more may come. */
export function aksProviderSide(aks: AksSide, clusters: ReadonlyMap<string, TestCluster>): Promise<EngineSide> {
  const engine = createAksEngine(() => ({ arm: aks.client, entraToken: async () => "" }), {
    pauseMs: 20,
    grantPauseMs: 20,
    openRewriter: (_access, state, _api, signal) => {
      const cluster = clusters.get(String(state.body["id"])) ?? assert.fail("no such cluster");
      return cluster.target().openRewriter(state, signal);
    },
  });
  return engineSide((engineAddress) =>
    startProvider({
      engineAddress,
      engine: { survey: () => assert.fail("no rollout"), run: () => assert.fail("no rollout") },
      identity: { version: "0.0.0", schema: async () => "{}" },
      aks: () => engine,
    }),
  );
}
