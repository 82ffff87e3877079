import assert from "node:assert/strict";
import { KmsEtcdError } from "../../../../core/errors";
import type { KopsCluster } from "../../../../rotation/adapters/kops/cluster-spec";
import { seeAliases } from "../../../../rotation/adapters/kops/key-aliases";
import { readSecretText } from "../../../../rotation/adapters/kops/secret-text";
import { instanceGroups, keyArn } from "./kops-goals";
import { seedCluster, seedConfiguration, seedManifest } from "./seed-002";

const never = new AbortController().signal;
const config = readSecretText(seedConfiguration);

function cluster(flags: string, more: Readonly<Record<string, unknown>> = {}): KopsCluster {
  const seed = seedCluster();
  const content = seedManifest.replace(/--key=\S+\n {4}- --region=\S+/, flags);
  assert.notEqual(content, seedManifest);
  const fileAssets =
    seed.spec.fileAssets?.map((asset) => (asset.name === "motd" ? asset : { ...asset, content })) ?? [];
  return { ...seed, spec: { ...seed.spec, fileAssets, ...more } };
}

async function see(given: KopsCluster, of = config) {
  const asked: string[] = [];
  const names = () => ({
    async arnOf(name: string, region: string) {
      asked.push(`${name} in ${region}`);
      if (name.endsWith("lost")) throw new KmsEtcdError("not-found", `no ${name}`, { remedy: "look" });
      return keyArn(1);
    },
  });
  return { seen: await seeAliases(given, instanceGroups(1), of, names, never), asked };
}

describe("aliases that plugins of a kOps cluster name their keys by", () => {
  it("KMS is asked in the region of the alias's ARN, else of the flag, else of the subnets; without any it is said", async () => {
    const subnets = [{ zone: "us-gov-west-1b" }];
    const arn = "arn:aws:kms:eu-central-1:111122223333:alias/etcd";
    const cases: readonly (readonly [KopsCluster, readonly string[]])[] = [
      [cluster(`--key=${arn}\n    - --region=us-west-2`), [`${arn} in eu-central-1`]],
      [cluster("--key=alias/etcd\n    - --region=us-west-2", { subnets }), ["alias/etcd in us-west-2"]],
      [cluster("--key=alias/etcd", { subnets }), ["alias/etcd in us-gov-west-1"]],
      [cluster("--key=alias/etcd", { subnets: [{ zone: "us-west-2-lax-1a" }] }), ["alias/etcd in us-west-2"]],
      [cluster("--key=alias/etcd"), []],
    ];
    for (const [given, wanted] of cases) {
      const { seen, asked } = await see(given);
      assert.deepEqual(asked, wanted);
      assert.equal(seen[0]?.arn, wanted.length === 0 ? undefined : keyArn(1));
    }
    const { seen } = await see(cluster("--key=alias/etcd"));
    assert.match(seen[0]?.problem?.reason ?? "", /aws-encryption-provider names its key by alias\/etcd and no region/);
    assert.match(seen[0]?.problem?.remedy ?? "", /write --region=REGION/);
  });

  it("an ARN or an id, a plugin that the secret does not name => nobody is asked", async () => {
    assert.deepEqual((await see(seedCluster())).asked, []);
    assert.deepEqual((await see(cluster("--key=1234abcd-12ab-34cd-56ef-1234567890ab"))).asked, []);
    assert.deepEqual((await see(cluster("--key=alias/etcd"), { blocks: [] })).seen, []);
  });

  it("what KMS refuses => stands in the answer, for who reads the plan", async () => {
    const { seen } = await see(cluster("--key=alias/lost\n    - --region=us-west-2"));
    assert.deepEqual(seen[0]?.problem, { reason: "no alias/lost", remedy: "look" });
  });
});
