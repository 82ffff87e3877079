import assert from "node:assert/strict";
import { stringify } from "yaml";
import { firstPluginPorts, pluginStaticPod } from "../../../../core/plugin-static-pod";
import { type Manifest, parseManifest } from "../../../../rotation/adapters/hosts/manifest";
import { pluginPorts } from "../../../../rotation/adapters/hosts/plugin-ports";
import { kubeadmManifest } from "./kubeadm-manifest";

const key = { kind: "azure", vaultName: "v123", keyName: "k", keyVersion: "1" } as const;
const first = firstPluginPorts(key);

function instance(name: string, others: readonly Manifest[], own?: Manifest): Manifest {
  const ports = pluginPorts(first, others, own);
  const pod = pluginStaticPod({ name, key, socketPath: `/run/kms-etcd/${name}.socket`, ports }, { image: "i" });
  return parseManifest(stringify(pod)) ?? assert.fail("no Pod");
}

describe("ports of plugins on a host", () => {
  const apiServer = parseManifest(kubeadmManifest) ?? assert.fail();

  it("the first instance has the upstream manifests' ports, the next ones those behind, whatever else runs", () => {
    const one = instance("one", [apiServer]);
    const two = instance("two", [apiServer, one]);
    const three = instance("three", [two, apiServer, one]);
    const ports = [one, two, three].map((manifest) => pluginPorts(first, [], manifest));
    assert.deepEqual(ports, [
      { health: 8787, metrics: 8095 },
      { health: 8788, metrics: 8096 },
      { health: 8789, metrics: 8097 },
    ]);
  });

  it("ports that others name in flags, probes or container ports are passed over", () => {
    const other = parseManifest(`kind: Pod
spec:
  containers:
  - args: [--listen=0.0.0.0:8787, "--url=http://127.0.0.1:8788/x"]
    ports: [{ containerPort: 8095 }]
    readinessProbe: { httpGet: { port: 8789 } }
`);
    assert.deepEqual(pluginPorts(first, [other ?? assert.fail()], undefined), { health: 8790, metrics: 8096 });
  });

  it("an instance keeps what it has when those before it are gone", () => {
    const one = instance("one", []);
    const two = instance("two", [one]);
    assert.deepEqual(pluginPorts(first, [], two), { health: 8788, metrics: 8096 });
    assert.deepEqual(instance("two", [], two), two);
  });
});
