import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import type { KmsEtcdError } from "../../core/errors";
import type { KeyReference } from "../../core/key-reference";
import { PluginFlavour } from "../../core/plugin-flavour";
import { type PluginPodInstance, type PluginPodSettings, pluginStaticPod } from "../../core/plugin-static-pod";
import { readCommandLine } from "../../plugin-server/config/command-line";

const digest = `sha256:${"1".repeat(64)}`;
const azureKey: KeyReference = {
  kind: "azure",
  vaultName: "k8skv",
  keyName: "k8s",
  keyVersion: "5cdf48ea6bb9456ebf637e1130b7751a",
};
const awsKey: KeyReference = {
  kind: "aws",
  keyArn: "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
  region: "us-west-2",
};
const azureUpstream = {
  image: `mcr.microsoft.com/oss/azure/kms/keyvault@${digest}`,
  flavour: PluginFlavour.AzureKubernetesKms,
};
const own = { image: `registry.example/kms-etcd-plugin@${digest}` };

/** The instances and settings of the documents that this package replaces, and ours in their place. */
const pods: Readonly<Record<string, readonly [PluginPodInstance, PluginPodSettings]>> = {
  "azure-upstream": [
    {
      name: "azure-kms-provider",
      key: azureKey,
      socketPath: "/opt/azurekms.socket",
      ports: { health: 8787, metrics: 8095 },
    },
    azureUpstream,
  ],
  "azure-upstream-second": [
    {
      name: "azure-kms-provider-2",
      key: { ...azureKey, keyVersion: "0".repeat(32) },
      socketPath: "/opt/azurekms2.socket",
      ports: { health: 8788, metrics: 8096 },
    },
    azureUpstream,
  ],
  "aws-upstream": [
    {
      name: "aws-encryption-provider",
      key: awsKey,
      socketPath: "/var/run/kmsplugin/socket.sock",
      ports: { health: 8083, metrics: 8095 },
    },
    { image: `registry.example/aws-encryption-provider@${digest}`, flavour: PluginFlavour.AwsEncryptionProvider },
  ],
  "azure-own": [
    {
      name: "kms-etcd-0123456789ab",
      key: azureKey,
      socketPath: "/run/kms-etcd/a.socket",
      ports: { health: 8787, metrics: 8095 },
    },
    { ...own, environment: { HTTPS_PROXY: "http://proxy:3128" }, files: ["/etc/ssl/private-ca.pem"] },
  ],
  "aws-own": [
    {
      name: "kms-etcd-0123456789ab",
      key: { ...awsKey, encryptionContext: { cluster: "prod" } },
      socketPath: "/run/kms-etcd/a.socket",
      ports: { health: 8083, metrics: 8095 },
    },
    { ...own, awsEndpoint: "https://vpce-1.kms.us-west-2.vpce.amazonaws.com", arguments: ["--debug"] },
  ],
};

interface Container {
  readonly image: string;
  readonly command?: readonly string[];
  readonly args: readonly string[];
  readonly livenessProbe: { readonly httpGet: { readonly port: number; readonly path: string } };
  readonly ports: readonly { readonly containerPort: number }[];
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
}

function containerOf(name: string): Container {
  const [instance, settings] = pods[name] ?? assert.fail(name);
  const pod = pluginStaticPod(instance, settings) as { spec: { containers: Container[] } };
  return pod.spec.containers[0] ?? assert.fail("no container");
}

describe("the static pod of a KMS plugin", () => {
  for (const [name, [instance, settings]] of Object.entries(pods)) {
    // UPDATE_GOLDEN=1 writes the files anew.
    it(`${name} => the golden manifest`, () => {
      const golden = join(__dirname, "golden", `${name}.yaml`);
      const text = stringify(pluginStaticPod(instance, settings), { lineWidth: 0 });
      if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(golden, text);
      assert.equal(text, readFileSync(golden, "utf8"));
      assert.deepEqual(parse(text), pluginStaticPod(instance, settings));
    });

    it(`${name} => the probes ask the port that the plugin is told to listen on`, () => {
      const { args, livenessProbe, ports } = containerOf(name);
      const { port } = livenessProbe.httpGet;
      assert.equal(port, instance.ports.health);
      assert.ok(
        args.some((argument) => argument.startsWith("--health") && argument.endsWith(`${port}`)),
        args.join(" "),
      );
      assert.deepEqual(
        ports.map(({ containerPort }) => containerPort),
        [port],
      );
    });

    it(`${name} => our plugin's own command line takes these flags`, () => {
      const { args } = containerOf(name);
      const read = readCommandLine(args);
      assert.deepEqual(read.kind === "run" && read.config.operation.sockets, [instance.socketPath]);
    });
  }

  it("two instances beside one another => no port, socket or name in common", () => {
    const [first, second] = ["azure-upstream", "azure-upstream-second"].map((name) => containerOf(name).args);
    const shared = (first ?? []).filter(
      (argument) => second?.includes(argument) && /(socket|port=|addr=)/.test(argument),
    );
    assert.deepEqual(shared, []);
  });

  it("labels, volumes and image pull as in the upstream plugins' manifests", () => {
    const [instance, settings] = pods["azure-upstream"] ?? assert.fail();
    const pod = pluginStaticPod(instance, settings) as {
      metadata: { labels: Record<string, string>; namespace: string };
      spec: {
        hostNetwork: boolean;
        priorityClassName: string;
        volumes: { name: string; hostPath: { path: string } }[];
      };
    };
    assert.deepEqual(pod.metadata.labels, { tier: "control-plane", component: "azure-kms-provider" });
    assert.equal(pod.metadata.namespace, "kube-system");
    assert.deepEqual([pod.spec.hostNetwork, pod.spec.priorityClassName], [true, "system-node-critical"]);
    assert.deepEqual(
      pod.spec.volumes.map(({ name, hostPath }) => [name, hostPath.path]),
      [
        ["etc-kubernetes", "/etc/kubernetes"],
        ["etc-ssl", "/etc/ssl"],
        ["sock", "/opt"],
      ],
    );
  });

  it("ours sees azure.json and nothing else of /etc/kubernetes", () => {
    assert.deepEqual(
      containerOf("azure-own").volumeMounts.map(({ mountPath }) => mountPath),
      ["/etc/kubernetes/azure.json", "/run/kms-etcd", "/etc/ssl/private-ca.pem"],
    );
  });

  it("a key that an upstream image is not for => refused, with the image that is", () => {
    const [instance] = pods["aws-upstream"] ?? assert.fail();
    assert.throws(
      () => pluginStaticPod(instance, azureUpstream),
      (error: KmsEtcdError) => error.code === "invalid-input" && error.remedy?.includes("every kind of key") === true,
    );
  });

  it("a socket whose path is too long => refused", () => {
    const [instance, settings] = pods["azure-own"] ?? assert.fail();
    assert.throws(
      () => pluginStaticPod({ ...instance, socketPath: `/run/${"x".repeat(110)}` }, settings),
      /longer than the 107 bytes/,
    );
  });
});
