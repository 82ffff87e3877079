import assert from "node:assert/strict";
import { azureKmsKeyId } from "../../core/key-ids";
import { pluginInstance } from "../../core/plugin-instance";
import type { Goal } from "../../rotation/goal";
import { setbackRemedy } from "../../rotation/rules/setback-remedy";
import { runRotation } from "../../rotation/run";
import { goalFor, keyVersion } from "./goals";
import { randomFrom } from "./random";
import { type SimulatedCluster, simulateCluster } from "./simulated-cluster";

describe("keys that are known by their key_id alone, after a restore", function () {
  this.timeout(60_000);

  function run({ fleet, stored, clock, hosts }: SimulatedCluster, version: number, more: Partial<Goal>) {
    const servers = hosts.map((host) => host.name);
    const { signal } = new AbortController();
    return runRotation({
      goal: goalFor(version, servers, more),
      fleet,
      stored,
      clock,
      onEvent: () => undefined,
      signal,
    });
  }

  it("objects under a name that no configuration has, of a cloud's key whose plugins have stopped => read by that key again", async () => {
    const arn = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    const keyVersion = "5cdf48ea6bb9456ebf637e1130b7751a";
    const cloud = [
      pluginInstance({ kind: "azure", vaultName: "K8sKV", keyName: "k8s", keyVersion }),
      pluginInstance({ kind: "aws", keyArn: arn, region: "eu-west-1" }),
    ] as const;
    // The vault's own spelling, which is in lower case, and what a plugin says that hashes its flag as it is.
    for (const kid of [
      `https://k8skv.vault.azure.net/keys/k8s/${keyVersion}`,
      `https://K8sKV.vault.azure.cn/keys/k8s/${keyVersion}`,
    ]) {
      const cluster = simulateCluster({ hosts: 3, reload: "hot", objects: 10, random: randomFrom(3), clients: false });
      const goal = { declared: cloud, writer: cloud[1] };
      assert.equal((await run(cluster, 1, goal)).kind, "done");
      cluster.restore("s1", "kms/v2/made-by-somebody", azureKmsKeyId(kid));
      const outcome = await run(cluster, 1, goal);
      assert.equal(outcome.kind, "done", outcome.reason);
      assert.equal(cluster.objects.get("s1")?.keyId, arn);
    }
  });

  it("values of an AWS key that is declared with two encryption contexts => not guessed which", async () => {
    const keyArn = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    const region = "eu-west-1";
    const contexts = ["a", "b"].map((cluster) =>
      pluginInstance({ kind: "aws", keyArn, region, encryptionContext: { cluster } }),
    );
    const cluster = simulateCluster({ hosts: 3, reload: "hot", objects: 10, random: randomFrom(3), clients: false });
    const goal = { declared: [...contexts, keyVersion(1)] };
    assert.equal((await run(cluster, 1, goal)).kind, "done");
    cluster.restore("s1", "kms/v2/made-by-somebody", keyArn);
    const { kind, reason = "", remedy } = await run(cluster, 1, goal);
    assert.equal(kind, "blocked");
    // By its key_id people find the key; by the plan they find the objects, whose names are kept in no state.
    assert.match(
      reason,
      /^1 stored object of secrets needs kms\/v2\/made-by-somebody \(key_id arn:aws:kms:\S+\), which no/,
    );
    assert.match(remedy ?? "", /declare the key .* where that key is lost, delete them: kms-etcd plan/);
  });

  it("what went wrong => a remedy for each kind, which claims nothing about what can be read", () => {
    const remedies = (["notLoaded", "unreadable", "failed", "pluginFailed"] as const).map((kind) =>
      setbackRemedy({ kind, server: "cp2", what: "a plugin" }),
    );
    assert.equal(new Set(remedies).size, 4);
    for (const remedy of remedies) assert.doesNotMatch(remedy, /stays? readable/);
    assert.match(remedies[0] ?? "", /log of cp2's API server/);
  });
});
