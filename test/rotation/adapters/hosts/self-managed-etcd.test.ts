import assert from "node:assert/strict";
import { KmsEtcdError } from "../../../../core/errors";
import { parseManifest } from "../../../../rotation/adapters/hosts/manifest";
import { selfManagedEtcd } from "../../../../rotation/adapters/hosts/self-managed-etcd";
import type { ReachedHost } from "../../../../rotation/adapters/hosts/self-managed-hosts";
import { memoryDisk, memoryHost } from "./memory-host";

describe("the way to a self-managed cluster's etcd", () => {
  const reached = (manifest: ReachedHost["manifest"], name = "cp1") =>
    ({ host: memoryHost(memoryDisk()), described: { name }, manifest }) as unknown as ReachedHost;

  it("a certificate that the API server's manifest names is not there => which, on which host, and what to do", async () => {
    const manifest = parseManifest(`
apiVersion: v1
kind: Pod
metadata: { name: kube-apiserver, namespace: kube-system }
spec:
  containers:
    - name: kube-apiserver
      command:
        - kube-apiserver
        - --etcd-servers=https://127.0.0.1:2379
        - --etcd-cafile=/etc/kubernetes/pki/etcd/ca.crt
`);
    assert.ok(manifest);
    await assert.rejects(selfManagedEtcd([reached(async () => manifest)]), (error: KmsEtcdError) => {
      assert.equal(error.code, "not-found");
      assert.match(
        error.message,
        /cp1: \/etc\/kubernetes\/pki\/etcd\/ca\.crt, which --etcd-cafile names, is not there/,
      );
      assert.match(
        error.remedy ?? "",
        /put the file back, or correct --etcd-cafile in the manifest of cp1's API server/,
      );
      return true;
    });
  });

  it("hosts that could not be asked => their failure, and not a cluster without etcd; one host that answers is enough", async () => {
    const late = new KmsEtcdError("timeout", "cp1: no answer in time");
    const away = reached(() => Promise.reject(late));
    await assert.rejects(selfManagedEtcd([away]), late);
    const manifest = parseManifest(
      "{kind: Pod, metadata: {name: a}, spec: {containers: [{command: [kube-apiserver, --etcd-servers=https://127.0.0.1:2379]}]}}",
    );
    const found = await selfManagedEtcd([away, reached(async () => manifest, "cp2")]);
    assert.deepEqual(found?.endpoints, ["https://127.0.0.1:2379#cp1", "https://127.0.0.1:2379#cp2"]);
    assert.equal(await selfManagedEtcd([reached(async () => undefined)]), undefined);
  });
});
