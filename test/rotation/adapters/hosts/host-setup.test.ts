import assert from "node:assert/strict";
import { join } from "node:path";
import type { KmsEtcdError } from "../../../../core/errors";
import { parseEncryptionConfig } from "../../../../rotation/adapters/hosts/encryption-config-file";
import { fileHash } from "../../../../rotation/adapters/hosts/file-hash";
import type { FleetHost } from "../../../../rotation/adapters/hosts/fleet-host";
import { writeHostConfig } from "../../../../rotation/adapters/hosts/host-actions";
import {
  hostSetUpNeed,
  missingKmsV1Gate,
  plaintextConfigText,
  setUpHost,
} from "../../../../rotation/adapters/hosts/host-setup";
import { parseManifest } from "../../../../rotation/adapters/hosts/manifest";
import { apiServerDefinition } from "../../../../rotation/adapters/hosts/read-api-server";
import { removeSetUpRecord } from "../../../../rotation/adapters/hosts/set-up-record";
import { fleetHost } from "./fleet-host";
import { kubeadmManifest } from "./kubeadm-manifest";
import { Killed, type MemoryDisk, memoryDisk, memoryHost, put, textOf } from "./memory-host";
import { seedConfiguration } from "./seed-000";

const layout = {
  manifestDirectory: "/etc/kubernetes/manifests",
  apiServerManifest: "kube-apiserver.yaml",
  encryptionConfigFile: "/etc/kubernetes/kms-etcd/encryption-config.yaml",
  pluginSocketDirectory: "/run/kms-etcd",
  backupDirectory: "/var/lib/kms-etcd",
};
const manifestFile = join(layout.manifestDirectory, layout.apiServerManifest);
const version = "v1.36.3";

const kmsV1Config = seedConfiguration();

function reads(path: string): string {
  return kubeadmManifest.replace("    image:", `    - --encryption-provider-config=${path}\n    image:`);
}

function at(disk: MemoryDisk, kill?: Parameters<typeof memoryHost>[1]): FleetHost {
  return { ...fleetHost(memoryHost(disk, kill)), ...layout, mayBeSetUp: true };
}

async function setUpNeed(disk: MemoryDisk) {
  const definition = (await apiServerDefinition(at(disk))) ?? assert.fail("no manifest");
  return hostSetUpNeed(at(disk), definition, version);
}

async function needOf(disk: MemoryDisk): Promise<string | undefined> {
  return (await setUpNeed(disk))?.reason;
}

/** As a fleet does before its next change. */
const seenWell = (disk: MemoryDisk) => removeSetUpRecord(at(disk));

const backups = (disk: MemoryDisk) =>
  [...disk.files]
    .filter(([path]) => path.startsWith(`${layout.backupDirectory}/`))
    .map(([, file]) => file.bytes.toString());

describe("setting a host up", () => {
  it("never encrypted => plaintext configuration, the manifest with a backup; then nothing is lacking", async () => {
    const disk = memoryDisk({ [manifestFile]: kubeadmManifest });
    assert.match((await needOf(disk)) ?? "", /kube-apiserver.yaml: there is no --encryption-provider-config/);
    await setUpHost(at(disk), version, 1_000);
    assert.equal(textOf(disk, layout.encryptionConfigFile), plaintextConfigText);
    assert.equal(await needOf(disk), undefined);
    assert.ok(backups(disk).includes(kubeadmManifest));
    assert.match(textOf(disk, manifestFile) ?? "", /kms-etcd.io\/restart-of: "1000"/);
  });

  for (const [where, path] of [
    ["in a place of its own", "/etc/kubernetes/encryptionconfig.yaml"],
    ["in the kubelet's folder", join(layout.manifestDirectory, "encryptionconfig.yaml")],
  ] as const) {
    it(`a configuration that is in use ${where} => taken over byte for byte`, async () => {
      const disk = memoryDisk({ [manifestFile]: reads(path), [path]: kmsV1Config });
      await setUpHost(at(disk), version, undefined);
      assert.equal(textOf(disk, layout.encryptionConfigFile), kmsV1Config);
      const need = await needOf(disk);
      if (!path.startsWith(layout.manifestDirectory)) return assert.equal(need, undefined);
      assert.match(need ?? "", /the kubelet's folder has the encryption configuration encryptionconfig.yaml/);
      const manifest = textOf(disk, manifestFile);
      await seenWell(disk);
      await setUpHost(at(disk), version, undefined);
      assert.equal(textOf(disk, path), undefined);
      assert.ok(backups(disk).includes(kmsV1Config));
      assert.equal(textOf(disk, manifestFile), manifest);
      assert.equal(await needOf(disk), undefined);
    });
  }

  const ownVolume = (manifest: string, file: string, name = "encryption") =>
    manifest
      .replace(
        "    volumeMounts:\n",
        `    volumeMounts:\n    - mountPath: ${file}\n      name: ${name}\n      readOnly: true\n`,
      )
      .replace("  volumes:\n", `  volumes:\n  - hostPath:\n      path: ${file}\n      type: File\n    name: ${name}\n`);

  it("one in the kubelet's folder that is a volume of the pod => the volume goes with it, so that the kubelet can start the pod again", async () => {
    const path = join(layout.manifestDirectory, "encryptionconfig.yaml");
    const before = ownVolume(reads(path), path);
    assert.equal(before.split(path).length - 1, 3);
    const disk = memoryDisk({ [manifestFile]: before, [path]: kmsV1Config });
    await setUpHost(at(disk), version, undefined);
    await seenWell(disk);
    await setUpHost(at(disk), version, undefined);
    assert.equal(textOf(disk, path), undefined);
    assert.ok(!textOf(disk, manifestFile)?.includes(path), textOf(disk, manifestFile));
    assert.equal(textOf(disk, layout.encryptionConfigFile), kmsV1Config);
    // Everything else is as without that volume.
    const plain = memoryDisk({ [manifestFile]: reads(path), [path]: kmsV1Config });
    await setUpHost(at(plain), version, undefined);
    assert.equal(textOf(disk, manifestFile), textOf(plain, manifestFile));
  });

  it("a configuration in the kubelet's folder that nobody reads, but the pod has a volume of => stays, as the pod needs the file", async () => {
    const stray = join(layout.manifestDirectory, "encryptionconfig.yaml");
    const disk = memoryDisk({ [manifestFile]: ownVolume(kubeadmManifest, stray), [stray]: kmsV1Config });
    await setUpHost(at(disk), version, undefined);
    await seenWell(disk);
    await setUpHost(at(disk), version, undefined);
    assert.equal(textOf(disk, stray), kmsV1Config);
    assert.equal(await needOf(disk), undefined);
  });

  it("a configuration that nobody reads => is not put to use: moved away from the kubelet's folder, plaintext until all can read", async () => {
    const stray = join(layout.manifestDirectory, "encryptionconfig.yaml");
    const disk = memoryDisk({ [manifestFile]: kubeadmManifest, [stray]: kmsV1Config });
    await setUpHost(at(disk), version, undefined);
    await seenWell(disk);
    await setUpHost(at(disk), version, undefined);
    assert.equal(textOf(disk, layout.encryptionConfigFile), plaintextConfigText);
    assert.equal(textOf(disk, stray), undefined);
    assert.ok(backups(disk).includes(kmsV1Config));
  });

  it("another configuration at our place that nobody reads => refused, with what to do", async () => {
    const disk = memoryDisk({ [manifestFile]: kubeadmManifest, [layout.encryptionConfigFile]: kmsV1Config });
    await assert.rejects(
      setUpHost(at(disk), version, undefined),
      (error: KmsEtcdError) => error.code === "blocked" && error.remedy?.includes("move it away") === true,
    );
    assert.equal(textOf(disk, manifestFile), kubeadmManifest);
  });

  it("the engine's own configuration, after an upgrade made the manifest anew => is put to use again", async () => {
    const disk = memoryDisk({ [manifestFile]: kubeadmManifest });
    await setUpHost(at(disk), version, undefined);
    const config = parseEncryptionConfig(kmsV1Config);
    await writeHostConfig(at(disk), fileHash(Buffer.from(plaintextConfigText)), config);
    const written = textOf(disk, layout.encryptionConfigFile);
    put(disk, manifestFile, Buffer.from(kubeadmManifest), 0o600);
    await setUpHost(at(disk), "", undefined);
    assert.equal(textOf(disk, layout.encryptionConfigFile), written);
    assert.equal(await needOf(disk), undefined);
  });

  it("a configuration that the flag names and that is not there => said so", async () => {
    const disk = memoryDisk({ [manifestFile]: reads("/etc/kubernetes/encryptionconfig.yaml") });
    await assert.rejects(setUpHost(at(disk), version, undefined), /encryptionconfig.yaml is not there/);
  });

  it("what the engine set up and somebody changed => refused in words", async () => {
    const disk = memoryDisk({ [manifestFile]: kubeadmManifest });
    await setUpHost(at(disk), version, undefined);
    const edited = (textOf(disk, manifestFile) ?? "").replace(
      `config=${layout.encryptionConfigFile}`,
      "config=/mine.yaml",
    );
    const other = memoryDisk({ [manifestFile]: edited });
    const need = await setUpNeed(other);
    assert.match(need?.reason ?? "", /somebody has changed/);
    assert.match(need?.refused ?? "", /put it back/);
  });

  for (const [where, text] of [
    ["the pod", kubeadmManifest.replace("spec:\n", "spec:\n  securityContext: { runAsUser: 65532 }\n")],
    ["the container", kubeadmManifest.replace("    image:", "    securityContext: { runAsNonRoot: true }\n    image:")],
  ] as const) {
    it(`${where} says that the API server does not run as root => refused before it is restarted, with what to do`, async () => {
      assert.notEqual(text, kubeadmManifest);
      const need = await setUpNeed(memoryDisk({ [manifestFile]: text }));
      assert.match(need?.reason ?? "", /does not run as root, and could not read what is set up/);
      assert.match(need?.refused ?? "", /let it run as root/);
    });
  }

  it("killed at every step and run again => the same end", async () => {
    for (const mode of ["before", "middle", "after"] as const) {
      for (let step = 0; ; step += 1) {
        const disk = memoryDisk({
          [manifestFile]: reads("/etc/kubernetes/e.yaml"),
          "/etc/kubernetes/e.yaml": kmsV1Config,
        });
        const killed = await setUpHost(at(disk, { step, mode }), version, 1_000).then(
          () => false,
          (thrown: unknown) => {
            if (thrown instanceof Killed) return true;
            throw thrown;
          },
        );
        await setUpHost(at(disk), version, 1_000);
        assert.equal(textOf(disk, layout.encryptionConfigFile), kmsV1Config);
        assert.equal(await needOf(disk), undefined);
        assert.deepEqual(
          [...disk.files.keys()].filter((path) => path.includes(".kms-etcd-tmp.")),
          [],
        );
        if (!killed) break;
      }
    }
  });

  it("KMS v1 without its gate => is named as what keeps a new server from starting", () => {
    const config = parseEncryptionConfig(kmsV1Config);
    const gated = kubeadmManifest.replace("    image:", "    - --feature-gates=X=false,KMSv1=true\n    image:");
    assert.match(
      missingKmsV1Gate(parseManifest(kubeadmManifest) ?? assert.fail(), config)?.refused ?? "",
      /--feature-gates=KMSv1=true/,
    );
    assert.equal(missingKmsV1Gate(parseManifest(gated) ?? assert.fail(), config), undefined);
    assert.equal(
      missingKmsV1Gate(parseManifest(kubeadmManifest) ?? assert.fail(), parseEncryptionConfig(plaintextConfigText)),
      undefined,
    );
  });
});
