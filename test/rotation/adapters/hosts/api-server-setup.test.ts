import assert from "node:assert/strict";
import type { KmsEtcdError } from "../../../../core/errors";
import { apiServerSetUp, withApiServerSetUp } from "../../../../rotation/adapters/hosts/api-server-setup";
import { type Manifest, parseManifest } from "../../../../rotation/adapters/hosts/manifest";
import { kubeadmManifest } from "./kubeadm-manifest";

const paths = {
  encryptionConfigFile: "/etc/kubernetes/kms-etcd/encryption-config.yaml",
  pluginSocketDirectory: "/run/kms-etcd",
};

function manifestOf(text: string): Manifest {
  return parseManifest(text) ?? assert.fail("no Pod");
}
const setUpOf = (text: string, reloads = true) => apiServerSetUp(manifestOf(text), paths, reloads);

describe("an API server's manifest, set up for encryption", () => {
  it("kubeadm's => flags and mounts are added, and every other line stays as it is", () => {
    assert.deepEqual(setUpOf(kubeadmManifest).missing, [
      "there is no --encryption-provider-config",
      "there is no --encryption-provider-config-automatic-reload",
      "there is no mount of /etc/kubernetes/kms-etcd",
      "there is no mount of /run/kms-etcd",
    ]);
    const text = withApiServerSetUp(kubeadmManifest, paths, true);
    assert.deepEqual(setUpOf(text), { missing: [], readsFrom: paths.encryptionConfigFile, edited: undefined });
    const before = kubeadmManifest.split("\n");
    const after = text.split("\n");
    assert.deepEqual(
      before.filter((line) => !after.includes(line)),
      [],
    );
    const added = after.filter((line) => !before.includes(line)).map((line) => line.trim());
    assert.deepEqual(added, [
      "kms-etcd.io/set-up: /etc/kubernetes/kms-etcd/encryption-config.yaml",
      "- --encryption-provider-config=/etc/kubernetes/kms-etcd/encryption-config.yaml",
      "- --encryption-provider-config-automatic-reload=true",
      "- name: kms-etcd-config",
      "mountPath: /etc/kubernetes/kms-etcd",
      "- name: kms-etcd-sockets",
      "mountPath: /run/kms-etcd",
      "- name: kms-etcd-config",
      "hostPath:",
      "path: /etc/kubernetes/kms-etcd",
      "- name: kms-etcd-sockets",
      "hostPath:",
      "path: /run/kms-etcd",
    ]);
    assert.equal(withApiServerSetUp(text, paths, true), text, "once more changes nothing");
  });

  it("a configuration elsewhere => the flag is changed in its place, whichever way it is written", () => {
    const flags = [
      "    - --encryption-provider-config=/etc/kubernetes/encryptionconfig.yaml\n",
      "    - --encryption-provider-config\n    - /etc/kubernetes/encryptionconfig.yaml\n",
    ];
    for (const flag of flags) {
      const theirs = kubeadmManifest.replace("    image:", `${flag}    image:`);
      assert.equal(setUpOf(theirs).readsFrom, "/etc/kubernetes/encryptionconfig.yaml");
      const text = withApiServerSetUp(theirs, paths, true);
      assert.equal(setUpOf(text).readsFrom, paths.encryptionConfigFile);
      assert.ok(!text.includes("encryptionconfig.yaml"));
      assert.equal(text.match(/--encryption-provider-config(?!-)/g)?.length, 1);
    }
  });

  it("a container path that is another one on the host => read where the host has it", () => {
    const mounted = kubeadmManifest
      .replace("    image:", "    - --encryption-provider-config=/conf/enc.yaml\n    image:")
      .replace("    volumeMounts:\n", "    volumeMounts:\n    - mountPath: /conf\n      name: conf\n")
      .replace("  volumes:\n", "  volumes:\n  - hostPath:\n      path: /etc/kubernetes/enc\n    name: conf\n");
    assert.equal(setUpOf(mounted).readsFrom, "/etc/kubernetes/enc/enc.yaml");
  });

  it("the file mounted by itself => its directory is mounted too, because a replaced file would stay the old one", () => {
    const single = withApiServerSetUp(kubeadmManifest, paths, true)
      .replace("mountPath: /etc/kubernetes/kms-etcd\n", `mountPath: ${paths.encryptionConfigFile}\n`)
      .replace(
        "path: /etc/kubernetes/kms-etcd\n      type: DirectoryOrCreate",
        `path: ${paths.encryptionConfigFile}\n      type: File`,
      );
    assert.deepEqual(setUpOf(single).missing, ["there is no mount of /etc/kubernetes/kms-etcd"]);
  });

  it("automatic reload that somebody has turned off, or that the version lacks => stays off", () => {
    const off = kubeadmManifest.replace(
      "    image:",
      "    - --encryption-provider-config-automatic-reload=false\n    image:",
    );
    assert.match(withApiServerSetUp(off, paths, true), /automatic-reload=false/);
    assert.doesNotMatch(withApiServerSetUp(off, paths, true), /automatic-reload=true/);
    assert.doesNotMatch(withApiServerSetUp(kubeadmManifest, paths, false), /automatic-reload/);
    assert.ok(!setUpOf(kubeadmManifest, false).missing.some((what) => what.includes("reload")));
  });

  it("a flag that somebody has changed after us => is told, and a changed mount is not ours to mind", () => {
    const ours = withApiServerSetUp(kubeadmManifest, paths, true);
    const theirs = ours.replace(`config=${paths.encryptionConfigFile}`, "config=/tmp/mine.yaml");
    assert.match(setUpOf(theirs).edited ?? "", /changed --encryption-provider-config from .* to \/tmp\/mine.yaml/);
    assert.equal(setUpOf(ours.replace("readOnly: true", "readOnly: false")).edited, undefined);
  });

  it("no API server in it => refused, with what to do", () => {
    for (const text of ["kind: Pod\nspec:\n  containers:\n  - name: a\n  - name: b\n", "kind: Pod", "{"]) {
      assert.throws(
        () => withApiServerSetUp(text, paths, true),
        (error: KmsEtcdError) => error.code === "invalid-input" && /layout.apiServerManifest/.test(error.remedy ?? ""),
      );
    }
  });
});
