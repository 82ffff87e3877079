import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pluginInstance } from "../../core/plugin-instance";
import { openSelfManagedCluster } from "../../rotation/adapters/hosts/open-self-managed-cluster";
import { type Cluster, closeCluster } from "../../rotation/cluster";
import { defaultLimits, type Goal } from "../../rotation/goal";
import { planRotation } from "../../rotation/plan";
import { runRotation } from "../../rotation/run";
import type { RotationEvent } from "../../rotation/run-events";
import type { FakeKey } from "../fakes/aws/kms-keys";
import { skipFor } from "../support/skip-for";
import { whyNoSshServer } from "../support/ssh-server";
import { type GuidedCluster, guidedCluster, type UpstreamGuide, upstreamGuides } from "./support/upstream-guides";

const secrets = 20;
const alias = "alias/etcd";

/** Real API servers with KMS v1, as the guide sets them up, over real SSH; KMS is the fake, and our plugin stands in for the guide's image. */
describe("a cluster that the guide of aws-encryption-provider encrypts, with an alias in the place of the key", function () {
  this.timeout(30 * 60_000);
  let guided: GuidedCluster;
  let key: FakeKey;
  let goal: Goal;
  let close = () => Promise.resolve();

  before(async function () {
    skipFor(whyNoSshServer(), this);
    const guide = upstreamGuides["aws-encryption-provider"];
    assert.ok(guide);
    let region = "";
    const named: UpstreamGuide = {
      ...guide,
      key: (clouds) => {
        const made = clouds.awsKey(alias);
        ({ key } = made);
        ({ region } = made.reference);
        return { kind: "aws", keyArn: alias, region };
      },
    };
    guided = await guidedCluster(named, secrets);
    close = () => guided.close();
    const writer = pluginInstance({ kind: "aws", keyArn: key.arn, region, encryptionContext: {} });
    goal = {
      ...guided.cluster.goal("identity"),
      writer,
      declared: [writer],
      limits: { ...defaultLimits, plugin: 20_000 },
    };
  });
  after(() => close());

  async function opened<Result>(work: (cluster: Cluster) => Promise<Result>): Promise<Result> {
    // The SDK's own call is tested apart (sdk-key-names.test.ts).
    const names = { arnOf: async (name: string) => (name === alias ? key.arn : assert.fail(name)) };
    const cluster = await openSelfManagedCluster(guided.ssh.described, () => names);
    try {
      return await work(cluster);
    } finally {
      await closeCluster(cluster);
    }
  }

  const rotate = (onEvent: (event: RotationEvent) => void) =>
    opened(({ fleet, stored }) => runRotation({ goal, fleet, stored, onEvent, signal: new AbortController().signal }));
  const manifests = () =>
    guided.cluster.controlPlane.hosts.map((_, index) =>
      readFileSync(guided.ssh.manifestFile(index, "aws-encryption-provider.yaml"), "utf8"),
    );
  const withArn = () => guided.pods.map((text) => text.replace(`--key=${alias}`, `--key=${key.arn}`));

  it("preview => the alias, the ARN behind it and the hosts; nothing is changed", async () => {
    const plan = await opened(({ fleet, stored }) =>
      planRotation({ goal, fleet, stored, signal: new AbortController().signal }),
    );
    assert.equal(plan.blocked, undefined);
    assert.ok(
      plan.warnings.some((warning) => warning.includes(`by ${alias}, which is ${key.arn} now (on cp1, cp2)`)),
      plan.warnings.join("\n"),
    );
    assert.deepEqual(manifests(), guided.pods);
  });

  it("a key that can't be used by its ARN => the manifest goes back, byte for byte; nothing else was begun", async () => {
    const said: string[] = [];
    const outcome = await rotate(({ kind, message }) => {
      if (kind === "action" && !message.includes("set the API server up")) said.push(message);
      // From when the plugin is another one until it is what it was before.
      if (message.includes("in the place of")) key.denied.add("Encrypt");
      if (message.includes("put the manifest of")) key.denied.delete("Encrypt");
    });
    key.denied.clear();
    assert.equal(outcome.kind, "blocked", outcome.reason);
    assert.match(outcome.reason ?? "", /aws-encryption-provider on cp1 has not used its key by the ARN .*kms:Encrypt/);
    assert.equal(said.length, 2, said.join("\n"));
    assert.deepEqual(manifests(), guided.pods);
    const [host] = guided.cluster.controlPlane.hosts;
    assert.equal(existsSync(join(host?.backupDirectory ?? "", "named-keys.json")), false);
    assert.deepEqual(await guided.cluster.storedProviders(), { "k8s:enc:kms:v1:aws-encryption-provider": secrets });
  });

  it("up => the ARN on one host after the other before anything else, then every Secret under the engine's own provider", async () => {
    const said: string[] = [];
    const outcome = await rotate(({ kind, message }) => {
      if (kind === "action") said.push(message);
    });
    assert.equal(outcome.kind, "done", `${outcome.reason}\n${said.join("\n")}`);
    assert.deepEqual(
      said.slice(0, 2),
      ["cp1", "cp2"].map((name) => `${name}: put ${key.arn} in the place of ${alias} in aws-encryption-provider`),
    );
    assert.deepEqual(manifests(), withArn());
    const stored = Object.entries(await guided.cluster.storedProviders());
    assert.equal(stored.length, 1);
    assert.match(stored[0]?.[0] ?? "", /^k8s:enc:kms:v2:kms-etcd-/);
    assert.equal(stored[0]?.[1], secrets);
  });
});
