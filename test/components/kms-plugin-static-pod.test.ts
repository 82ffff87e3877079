import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { parse, stringify } from "yaml";
import { KmsPluginStaticPod, type KmsPluginStaticPodArgs, PluginFlavour } from "../../components";
import type { KeyReference } from "../../core/key-reference";
import { pluginInstance } from "../../core/plugin-instance";
import { pluginStaticPod } from "../../core/plugin-static-pod";
import { isAsWritten, sealManifest } from "../../rotation/adapters/hosts/sealed-manifest";
import { outputValue } from "./support/output-value";

// The SDK keeps its state in a global that it makes when first asked; mocha looks for new globals from the first test on.
void pulumi.runtime.isDryRun();

const digest = `sha256:${"1".repeat(64)}`;
const plugin = { image: `registry.example/kms-etcd-plugin@${digest}` };
const azureKeyId = "https://k8skv.vault.azure.net/keys/k8s/5cdf48ea6bb9456ebf637e1130b7751a";
const azureKey: KeyReference = {
  kind: "azure",
  vaultName: "k8skv",
  keyName: "k8s",
  keyVersion: "5cdf48ea6bb9456ebf637e1130b7751a",
};
const awsKeyArn = "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

describe("KmsPluginStaticPod", () => {
  beforeEach(() =>
    pulumi.runtime.setMocks({
      newResource: ({ name, inputs }) => ({ id: name, state: inputs as object }),
      call: () => ({}),
    }),
  );

  const manifestOf = (args: KmsPluginStaticPodArgs) => outputValue(new KmsPluginStaticPod("pod", args).manifest);

  it("a key and an image => byte for byte what the engine writes to a host, name, socket and seal included", async () => {
    const made = new KmsPluginStaticPod("pod", { azureKeyId: pulumi.output(azureKeyId), plugin });
    const { name, socketFile } = pluginInstance(azureKey);
    const socketPath = `/run/kms-etcd/${socketFile}`;
    const ports = { health: 8787, metrics: 8095 };
    const engines = sealManifest(
      stringify(pluginStaticPod({ name, key: azureKey, socketPath, ports }, plugin), { lineWidth: 0 }),
    );
    assert.equal(await outputValue(made.manifest), engines);
    assert.ok(isAsWritten(await outputValue(made.manifest)));
    assert.equal(await outputValue(made.fileName), `${name}.yaml`);
    assert.equal(await outputValue(made.endpoint), `unix://${socketPath}`);
    assert.match(await outputValue(made.providerName), /^kms-etcd-[0-9a-f]{12}$/);
  });

  it("a second instance by hand => the upstream image's own manifest, under the name, socket and ports that were given", async () => {
    const image = `mcr.microsoft.com/oss/azure/kms/keyvault@${digest}`;
    const manifest = await manifestOf({
      azureKeyId: `https://k8skv.vault.azure.net/keys/k8s/${"0".repeat(32)}`,
      plugin: { image, flavour: PluginFlavour.AzureKubernetesKms },
      podName: "azure-kms-provider-2",
      socketPath: "/opt/azurekms2.socket",
      healthPort: 8788,
      metricsPort: 8096,
    });
    const golden = readFileSync(join(__dirname, "..", "core", "golden", "azure-upstream-second.yaml"), "utf8");
    const content = parse(manifest) as { metadata: { annotations: Record<string, string> } };
    delete content.metadata.annotations["kms-etcd.io/content-hash"];
    assert.deepEqual(content, parse(golden));
  });

  it("a managed HSM, and AWS with a context => the flags for them", async () => {
    assert.match(
      await manifestOf({ azureKeyId: azureKeyId.replace("vault.azure", "managedhsm.azure"), plugin }),
      /--managed-hsm=true/,
    );
    const aws = await manifestOf({ awsKeyArn, encryptionContext: { cluster: "prod" }, plugin });
    assert.match(aws, /--region=us-west-2\n *- --encryption-context=cluster=prod\n/);
    assert.match(aws, /hostNetwork: true/);
  });

  const refused: readonly (readonly [string, Partial<KmsPluginStaticPodArgs>, RegExp])[] = [
    ["no key", {}, /azureKeyId.*is missing; give exactly one of azureKeyId, awsKeyArn/],
    ["two keys", { azureKeyId, awsKeyArn }, /awsKeyArn.*stands beside azureKeyId/],
    ["a key without its version", { azureKeyId: azureKeyId.slice(0, -33) }, /azureKeyId.*one version of a key/],
    ["an alias", { awsKeyArn: "alias/etcd" }, /awsKeyArn.*is the alias alias\/etcd/],
    ["a context for Azure", { azureKeyId, encryptionContext: { a: "b" } }, /encryptionContext.*leave it out/],
    ["an image by its tag", { azureKeyId, plugin: { image: "registry.example/plugin:v1" } }, /plugin\.image/],
    ["no name for a pod", { azureKeyId, podName: "Plugin_2" }, /podName.*small letters/],
    ["a socket in no directory", { azureKeyId, socketPath: "/a.socket" }, /socketPath.*absolute path in a directory/],
    ["no port", { azureKeyId, healthPort: 0 }, /healthPort.*1 to 65535/],
    ["an input that there is not", { azureKeyId, port: 1 } as object, /port.*is not an input/],
  ];
  for (const [what, args, message] of refused) {
    it(`${what} => refused, with the input's name and what to write`, async () => {
      const thrown: unknown = await manifestOf({ plugin, ...args }).catch((error: unknown) => error);
      assert.ok(thrown instanceof Error);
      assert.match(`${thrown.message} ${JSON.stringify(thrown)}`, message);
    });
  }
});
