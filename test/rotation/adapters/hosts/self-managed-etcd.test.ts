import assert from "node:assert/strict";
import type { KmsEtcdError } from "../../../../core/errors";
import { parseManifest } from "../../../../rotation/adapters/hosts/manifest";
import { selfManagedEtcd } from "../../../../rotation/adapters/hosts/self-managed-etcd";
import type { ReachedHost } from "../../../../rotation/adapters/hosts/self-managed-hosts";
import { memoryDisk, memoryHost } from "./memory-host";

describe("the way to a self-managed cluster's etcd", () => {
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
    const reached = { host: memoryHost(memoryDisk()), described: { name: "cp1" }, manifest: async () => manifest };
    await assert.rejects(selfManagedEtcd([reached as unknown as ReachedHost]), (error: KmsEtcdError) => {
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
});
