import assert from "node:assert/strict";
import { startProvider } from "../../provider/provider";
import { type EngineSide, engineSide } from "./support/engine-side";
import { simulatedEngine } from "./support/simulated-engine";

const azure = { vaultName: "vault", keyName: "k8s", keyVersion: "0".repeat(32) };
const keys = [{ version: 1, azure }];

describe("problems of a check", () => {
  let side: EngineSide;
  before(async () => {
    side = await engineSide((engineAddress) =>
      startProvider({
        engineAddress,
        engine: simulatedEngine(new Map()),
        identity: { version: "0.0.0", schema: async () => "{}" },
      }),
    );
  });
  after(() => side.close());

  it("a property with a secret in it => its path is in the reason and not named, because the CLI would print its whole value", async () => {
    const selfManaged = {
      hosts: [{ name: "cp1", address: "10.0.0.4" }],
      ssh: { user: "root", privateKey: "the private key", knownHosts: "10.0.0.4 ssh-ed25519 AAAA" },
      plugin: { image: `registry.example/p@sha256:${"1".repeat(64)}` },
    };
    const { problems } = await side.rollout.check(undefined, { keyVersion: 1, keys, selfManaged });
    assert.equal(problems.length, 1, problems.join("\n"));
    assert.match(problems[0] ?? "", /^: selfManaged: .*no cluster the cluster of cp1/);
  });

  it("any other property => named", async () => {
    const { problems } = await side.rollout.check(undefined, {
      keyVersion: 0,
      keys,
      local: { controlPlaneFile: "/a" },
    });
    assert.match(problems[0] ?? "", /^keyVersion: is 0/);
  });
});
