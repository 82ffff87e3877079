import assert from "node:assert/strict";
import { kubeadmLayout } from "../../core/self-managed-cluster";
import { selfManagedCluster, selfManagedViolations } from "../../core/self-managed-inputs";

const image = `registry.example/kms-etcd-plugin@sha256:${"1".repeat(64)}`;
const good = {
  hosts: [
    { name: "cp1", address: "10.0.0.4" },
    { name: "cp2", address: "10.0.0.5", port: 2222, layout: { pluginSocketDirectory: "/opt" } },
  ],
  ssh: { user: "root", privateKey: "a key", knownHosts: "10.0.0.4 ssh-ed25519 AAAA" },
  plugin: { image },
};

const problems = (block: unknown) =>
  selfManagedViolations(block, "selfManaged").map(({ path, reason }) => `${path} ${reason}`);

describe("the block selfManaged", () => {
  it("what is left out has kubeadm's places and SSH's port", () => {
    assert.deepEqual(problems(good), []);
    const cluster = selfManagedCluster({
      ...good,
      ssh: { ...good.ssh, jumpHost: { address: "bastion" }, passphrase: null },
    });
    assert.deepEqual(cluster.hosts[0], { name: "cp1", address: "10.0.0.4", port: 22, layout: kubeadmLayout });
    assert.equal(cluster.hosts[1]?.layout.pluginSocketDirectory, "/opt");
    assert.deepEqual(cluster.ssh, {
      ...good.ssh,
      sudo: false,
      jumpHost: { address: "bastion", port: 22, user: "root" },
    });
    assert.deepEqual(cluster.kubernetes, { adminConfFile: "/etc/kubernetes/admin.conf" });
  });

  it("hosts with a unit of systemd want a program, hosts with static pods an image, and each only its own", () => {
    const layout = { apiServerUnit: "kube-apiserver.service" };
    const program = ["/usr/local/bin/kms-etcd-plugin"];
    const [first] = good.hosts;
    const units = { ...good, hosts: [first], layout, plugin: { program } };
    assert.deepEqual(problems(units), []);
    assert.equal(selfManagedCluster(units).hosts[0]?.layout.apiServerUnit, layout.apiServerUnit);
    const mixed = { ...good, hosts: [{ ...first, layout }, good.hosts[1]], plugin: { program, image } };
    assert.deepEqual(problems(mixed), []);
    assert.match(
      problems({ ...units, plugin: { image } }).join("; "),
      /plugin\.image is for static pods.*plugin\.program is missing/,
    );
    assert.match(problems({ ...mixed, plugin: { program } }).join("; "), /plugin\.image is missing/);
    assert.match(
      problems({ ...good, plugin: { program, image } }).join("; "),
      /plugin\.program is for hosts with an apiServerUnit/,
    );
    assert.match(
      problems({ ...units, plugin: { program: ["kms"] } }).join("; "),
      /plugin\.program\[0\] is no absolute path/,
    );
    for (const apiServerUnit of ["kube-apiserver", "-x.service", "a b.service", "a;b.service", "../a.service", 7]) {
      assert.match(
        problems({ ...units, layout: { apiServerUnit } }).join("; "),
        /layout\.apiServerUnit is .*write the name of a service/,
      );
    }
    const folder = { ...layout, manifestDirectory: "/etc/kubernetes/manifests", encryptionConfigFile: "/etc/50%/c" };
    const said = problems({ ...units, layout: folder }).join("; ");
    assert.match(said, /layout\.manifestDirectory is for static pods/);
    assert.match(said, /layout\.encryptionConfigFile has characters that mean something in a unit file/);
  });

  it("what Pulumi does not know yet is taken to be right, wherever it stands", () => {
    const unknown = Symbol("unknown");
    assert.deepEqual(problems({ ...good, hosts: unknown, ssh: unknown, plugin: unknown, kubernetes: unknown }), []);
    const ssh = { user: unknown, privateKey: unknown, knownHosts: unknown, jumpHost: { address: unknown } };
    assert.deepEqual(
      problems({ hosts: [{ name: unknown, address: unknown }, unknown], ssh, plugin: { image: unknown } }),
      [],
    );
  });

  for (const [what, change, expected] of [
    ["nothing", {}, [/hosts is missing/, /ssh is missing/, /plugin is missing/]],
    ["a misspelt name", { ...good, host: [] }, [/selfManaged\.host is not an input/]],
    ["no key", { ...good, ssh: { user: "root", knownHosts: "x" } }, [/ssh\.privateKey is missing; .*agentSocket/]],
    ["no host keys", { ...good, ssh: { ...good.ssh, knownHosts: " " } }, [/ssh\.knownHosts is missing; .*first sight/]],
    [
      "two hosts of one name",
      { ...good, hosts: [good.hosts[0], { ...good.hosts[1], name: "cp1" }] },
      [/hosts\[1\]\.name repeats/],
    ],
    [
      "one host twice",
      { ...good, hosts: [good.hosts[0], { name: "b", address: "10.0.0.4" }] },
      [/hosts\[1\]\.address repeats/],
    ],
    ["a port that is none", { ...good, hosts: [{ ...good.hosts[0], port: 0 }] }, [/hosts\[0\]\.port is 0/]],
    [
      "an image by tag",
      { ...good, plugin: { image: "registry.example/p:v1" } },
      [/plugin\.image is ".*", which names no digest/],
    ],
    [
      "another flavour",
      { ...good, plugin: { image, flavour: "gcp" } },
      [/plugin\.flavour is "gcp"; write one of KmsEtcd/],
    ],
    [
      "the configuration in the kubelet's folder",
      { ...good, layout: { encryptionConfigFile: "/etc/kubernetes/manifests/e.yaml" } },
      [/layout\.encryptionConfigFile lies in \/etc\/kubernetes\/manifests/],
    ],
    [
      "a path with a blank",
      { ...good, layout: { backupDirectory: "/var/lib/a b" } },
      [/layout\.backupDirectory is not an absolute path/],
    ],
    [
      "an endpoint without a scheme",
      { ...good, plugin: { image, awsEndpoint: "kms" } },
      [/plugin\.awsEndpoint is "kms"/],
    ],
    [
      "something else for sudo",
      { ...good, ssh: { ...good.ssh, sudo: "yes" } },
      [/ssh\.sudo is "yes"; write true or false/],
    ],
  ] as const) {
    it(`${what} => said by path, with what to write`, () => {
      const found = problems(change);
      assert.equal(found.length, expected.length, found.join("\n"));
      for (const [index, pattern] of expected.entries()) assert.match(found[index] ?? "", pattern);
    });
  }

  it("a secret of the wrong type => not shown", () => {
    const [found = ""] = problems({ ...good, ssh: { ...good.ssh, passphrase: ["hunter2"] } });
    assert.match(found, /ssh\.passphrase is no text/);
    assert.ok(!found.includes("hunter2"));
  });
});
