import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { parse, parseAllDocuments } from "yaml";
import { ControlPlaneBootstrap, type ControlPlaneBootstrapArgs, KubeadmApiVersion } from "../../components";
import { kubeadmLayout } from "../../core/self-managed-cluster";
import { apiServerSetUp } from "../../rotation/adapters/hosts/api-server-setup";
import { parseManifest } from "../../rotation/adapters/hosts/manifest";
import { outputValue } from "./support/output-value";

// The SDK keeps its state in a global that it makes when first asked; mocha looks for new globals from the first test on.
void pulumi.runtime.isDryRun();

const plugin = { image: `registry.example/kms-etcd-plugin@sha256:${"1".repeat(64)}` };
const azureKeyId = "https://k8skv.vault.azure.net/keys/k8s/5cdf48ea6bb9456ebf637e1130b7751a";
const awsKeyArn = "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

const cases: Readonly<Record<string, ControlPlaneBootstrapArgs>> = {
  azure: { azureKeyId, plugin },
  aws: {
    awsKeyArn,
    encryptionContext: { cluster: "prod" },
    plugin,
    resources: ["*.*", "secrets", "configmaps"],
    layout: { pluginSocketDirectory: "/var/run/kmsplugin" },
    kubeadmApiVersion: KubeadmApiVersion.V1Beta3,
  },
};

describe("ControlPlaneBootstrap", () => {
  beforeEach(() =>
    pulumi.runtime.setMocks({
      newResource: ({ name, inputs }) => ({ id: name, state: inputs as object }),
      call: () => ({}),
    }),
  );

  async function rendered(args: ControlPlaneBootstrapArgs) {
    const { cloudInit, kubeadmInit, kubeadmJoin } = new ControlPlaneBootstrap("first", args);
    return {
      "cloud-init": await outputValue(cloudInit),
      "kubeadm-init": await outputValue(kubeadmInit),
      "kubeadm-join": await outputValue(kubeadmJoin),
    };
  }

  for (const [name, args] of Object.entries(cases)) {
    // UPDATE_GOLDEN=1 writes the files anew.
    it(`${name} => the golden cloud-config and kubeadm configurations`, async () => {
      for (const [part, text] of Object.entries(await rendered(args))) {
        const golden = join(__dirname, "golden", `bootstrap-${name}.${part}.yaml`);
        if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(golden, text);
        assert.equal(text, readFileSync(golden, "utf8"));
      }
    });
  }

  /** What kubeadm 1.36.3 has made of bootstrap-azure.kubeadm-init.yaml (`kubeadm init phase control-plane apiserver --dry-run`). */
  const made = readFileSync(join(__dirname, "golden", "kubeadm-1.36.3-kube-apiserver.yaml"), "utf8");

  it("the API server's manifest that kubeadm makes of that => the engine finds it set up, with nothing missing", () => {
    const { missing, readsFrom } = apiServerSetUp(parseManifest(made) ?? assert.fail(), kubeadmLayout, true);
    assert.deepEqual([missing, readsFrom], [[], kubeadmLayout.encryptionConfigFile]);
  });

  it("kubeadm's manifest => has every flag and mount that the ClusterConfiguration asks for", async () => {
    const { "kubeadm-init": text } = await rendered(cases["azure"] ?? assert.fail());
    const [, cluster] = parseAllDocuments(text).map((document) => document.toJS() as unknown);
    const { extraArgs, extraVolumes } = (cluster as KubeadmCluster).apiServer;
    const manifest = parseManifest(made) ?? assert.fail();
    for (const { name, value } of extraArgs) assert.ok(manifest.arguments.includes(`--${name}=${value}`), name);
    for (const { name, hostPath, mountPath } of extraVolumes)
      assert.deepEqual(
        manifest.mounts.find((mount) => mount.name === name),
        { name, hostPath, mountPath, isFile: false },
      );
  });

  it("resources with a wildcard => a block and a provider name each, the wildcard last, where it masks none", async () => {
    const { "cloud-init": text } = await rendered(cases["aws"] ?? assert.fail());
    const { write_files: files } = parse(text) as { write_files: { path: string; content: string }[] };
    const config = parse(files[0]?.content ?? "") as {
      resources: { resources: string[]; providers: { kms: { name: string } }[] }[];
    };
    assert.deepEqual(
      config.resources.map(({ resources }) => resources),
      [["secrets"], ["configmaps"], ["*.*"]],
    );
    assert.equal(new Set(config.resources.map(({ providers }) => providers[0]?.kms.name)).size, 3);
  });

  it("inputs that cannot be used => refused, each with its name", async () => {
    const wrong = {
      azureKeyId,
      plugin: { image: "plugin:latest" },
      resources: [],
      layout: { encryptionConfigFile: "/etc/kubernetes/manifests/encryption.yaml" },
      kubeadmApiVersion: "v1beta2",
      podName: "a",
    } as unknown as ControlPlaneBootstrapArgs;
    const thrown: unknown = await rendered(wrong).catch((error: unknown) => error);
    const text = JSON.stringify(thrown);
    for (const path of [
      ...["plugin.image", "resources", "layout.encryptionConfigFile", "kubeadmApiVersion", "podName"],
    ])
      assert.ok(text.includes(`"${path}"`), `${path}: ${text}`);
  });
});

interface KubeadmCluster {
  readonly apiServer: {
    readonly extraArgs: readonly { readonly name: string; readonly value: string }[];
    readonly extraVolumes: readonly {
      readonly name: string;
      readonly hostPath: string;
      readonly mountPath: string;
    }[];
  };
}
