import assert from "node:assert/strict";
import type { EncryptionConfiguration } from "../../core/encryption-configuration";
import { decide } from "../../rotation/decide";
import type { Observation, PluginObservation } from "../../rotation/observation";
import { goalFor } from "./goals";
import { observationOf } from "./observation-of";
import { randomFrom } from "./random";
import { simulateCluster } from "./simulated-cluster";

describe("a restart, and the plugins that the file names", () => {
  const servers = ["cp1", "cp2", "cp3"];
  const goal = goalFor(1, servers);
  const endpointOf = (plugin: { readonly socketFile: string }) => `unix:///run/${plugin.socketFile}`;
  const endpoint = "unix:///opt/azurekms.socket";
  const identity = { kind: "identity" } as const;
  const config: EncryptionConfiguration = {
    blocks: [
      {
        resources: ["secrets"],
        providers: [identity, { kind: "kms", apiVersion: "v1", name: "azurekmsprovider", endpoint, cachesize: 1_000 }],
      },
    ],
  };

  /** cp1 has a file to restart with that names an adopted plugin, whose pod is called otherwise than its socket. */
  async function waiting(plugin: Partial<PluginObservation>): Promise<Observation> {
    const cluster = simulateCluster({ hosts: 3, reload: "restart", objects: 3, random: randomFrom(1) });
    const seen = await observationOf(cluster, goal);
    const adopted = { name: "azure-kms-provider", endpoint, startedAt: 0, keyId: undefined, problem: undefined };
    const file = { hash: "sha256:01", config, writtenAt: seen.now };
    const [first, ...others] = seen.servers;
    assert.ok(first);
    return { ...seen, servers: [{ ...first, file, plugins: [{ ...adopted, ...plugin }] }, ...others] };
  }

  it("the adopted plugin on that socket does not answer => it is waited for, and past its time the file goes back", async () => {
    const seen = await waiting({ problem: "nobody answers there" });
    const decision = decide(seen, goal, endpointOf);
    assert.deepEqual(decision.kind === "wait" && decision.reason, "cp1: azure-kms-provider: nobody answers there");
    const late = decide({ ...seen, now: seen.now + goal.limits.plugin + 1 }, goal, endpointOf);
    assert.ok(late.kind === "act" && late.action.kind === "restoreLoaded", late.kind);
    assert.match(
      late.action.failed ?? "",
      /cp1 cannot restart with sha256:01: azure-kms-provider: nobody answers there/,
    );
  });

  it("it answers, or the one that fails has another socket, whatever it is called => the server restarts", async () => {
    const elsewhere = {
      name: "azurekms.socket",
      endpoint: "unix:///opt/other.socket",
      problem: "nobody answers there",
    };
    for (const plugin of [{}, elsewhere]) {
      const decision = decide(await waiting(plugin), goal, endpointOf);
      assert.deepEqual(decision.kind === "act" && decision.action, { kind: "restart", server: "cp1" });
    }
  });
});
