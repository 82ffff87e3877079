import assert from "node:assert/strict";
import type { KmsEtcdError } from "../../../../core/errors";
import { etcdLayoutOf } from "../../../../rotation/adapters/hosts/etcd-layout";
import type { Host } from "../../../../rotation/adapters/hosts/host";
import { apiServerManifestText, fleetHost } from "./fleet-host";

const host = (name: string, text: string | undefined) =>
  fleetHost({
    name,
    readFile: async () => (text === undefined ? undefined : { bytes: Buffer.from(text) }),
  } as unknown as Host);
const flags = (...more: readonly string[]) =>
  apiServerManifestText + more.map((flag) => `        - ${flag}\n`).join("");

describe("where API servers keep things, by their manifests", () => {
  it("--etcd-prefix and --etcd-servers-overrides; Kubernetes' own where there are none", async () => {
    assert.deepEqual(await etcdLayoutOf([host("cp1", flags())]), { prefix: "/registry", overrides: [] });
    const given = flags("--etcd-prefix=/other", "--etcd-servers-overrides=/events#https://127.0.0.1:1");
    assert.deepEqual(await etcdLayoutOf([host("cp1", given), host("cp2", undefined), host("cp3", given)]), {
      prefix: "/other",
      overrides: [{ resource: "events", endpoints: ["https://127.0.0.1:1"] }],
    });
  });

  it("servers that differ => invalid-input, naming them", async () => {
    await assert.rejects(
      etcdLayoutOf([host("cp1", flags()), host("cp2", flags("--etcd-prefix=/other"))]),
      (error: KmsEtcdError) => error.code === "invalid-input" && error.message.includes("cp1 and cp2"),
    );
  });

  it("no manifest anywhere => nothing is said", async () => {
    assert.deepEqual(await etcdLayoutOf([host("cp1", undefined)]), {});
  });
});
