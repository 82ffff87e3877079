import assert from "node:assert/strict";
import { parse } from "yaml";
import { apiServerPod } from "../../../control-plane/manifests/api-server-pod";
import { etcdPod } from "../../../control-plane/manifests/etcd-pod";
import { kubeconfig } from "../../../control-plane/manifests/kubeconfig";
import { plaintextEncryptionConfig } from "../../../control-plane/manifests/plaintext-encryption-config";
import { pkiFiles } from "../../../control-plane/pki/control-plane-pki";
import { parsePodManifest } from "../../../control-plane/pods/pod-manifest";
import { stateLayout } from "../../../control-plane/state-layout";
import { readEncryptionConfiguration, writerOf } from "../../../core/encryption-configuration";

const layout = stateLayout("/state");
const apiServer = {
  binary: "/bin/kube-apiserver",
  port: 6443,
  etcdPort: 2379,
  files: pkiFiles(layout).apiServer("cp2"),
  encryptionConfigFile: "/state/e.yaml",
  automaticReload: true,
  requestTimeoutSeconds: 15,
  extraArguments: ["--feature-gates=KMSv1=true"],
};

interface Kubeconfig {
  readonly "current-context": string;
  readonly contexts: readonly { readonly name: string }[];
  readonly clusters: readonly { readonly cluster: { readonly server: string } }[];
  readonly users: readonly { readonly user: { readonly "client-key-data": string } }[];
}

describe("manifests of a control plane", () => {
  it("the API server's can be run, has its own host's files, TLS everywhere, and the extra flags last", () => {
    const { name, command } = parsePodManifest(apiServerPod(apiServer));
    assert.equal(name, "kube-apiserver");
    assert.equal(command[0], "/bin/kube-apiserver");
    assert.equal(command.at(-1), "--feature-gates=KMSv1=true");
    assert.ok(command.includes("--etcd-servers=https://127.0.0.1:2379"));
    assert.ok(command.includes("--tls-cert-file=/state/hosts/cp2/pki/apiserver.crt"));
    assert.ok(command.includes("--encryption-provider-config-automatic-reload=true"));
    assert.ok(command.includes("--request-timeout=15s"));
    assert.equal(command.filter((flag) => /insecure|http:\/\//.test(flag)).length, 0);
  });

  it("etcd's asks for client certificates and waits for the disk, unless it is told not to", () => {
    const options = {
      binary: "/bin/etcd",
      dataDirectory: "/state/data",
      clientPort: 1,
      peerPort: 2,
      tls: pkiFiles(layout).etcdServer,
      unsafeNoFsync: false,
      extraArguments: ["--quota-backend-bytes=1"],
    };
    const { command } = parsePodManifest(etcdPod(options));
    assert.ok(command.includes("--client-cert-auth=true"));
    assert.equal(command.at(-1), "--quota-backend-bytes=1");
    assert.ok(!command.some((flag) => flag.includes("unsafe")));
    assert.ok(
      parsePodManifest(etcdPod({ ...options, unsafeNoFsync: true })).command.includes("--unsafe-no-fsync=true"),
    );
  });

  it("the first encryption configuration writes Secrets in plaintext", () => {
    const { blocks } = readEncryptionConfiguration(parse(plaintextEncryptionConfig()));
    const [block] = blocks;
    assert.ok(block && blocks.length === 1);
    assert.deepEqual(block.resources, ["secrets"]);
    assert.equal(writerOf(block.providers), "identity");
  });

  it("a kubeconfig has a context a server, the first being the current one", () => {
    const user = { ca: "CA", certificate: "CERT", privateKey: "KEY" };
    const config = parse(
      kubeconfig(
        [
          { name: "cp1", url: "https://a" },
          { name: "cp2", url: "https://b" },
        ],
        user,
      ),
    ) as Kubeconfig;
    assert.equal(config["current-context"], "cp1");
    assert.deepEqual(
      config.contexts.map(({ name }) => name),
      ["cp1", "cp2"],
    );
    assert.equal(config.clusters[1]?.cluster.server, "https://b");
    assert.equal(Buffer.from(config.users[0]?.user["client-key-data"] ?? "", "base64").toString(), "KEY");
  });
});
