import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createKopsCli, type MachineLook, requireKopsVersion } from "../../../../rotation/adapters/kops/kops-cli";
import {
  instanceGroupOf,
  isPending,
  pendingTasks,
  validationFailure,
} from "../../../../rotation/adapters/kops/kops-output";
import { createKopsRunner } from "../../../../rotation/adapters/kops/kops-process";
import { openKopsCluster } from "../../../../rotation/adapters/kops/open-kops-cluster";
import { createSecretBackups } from "../../../../rotation/adapters/kops/secret-backups";
import { secretDifference } from "../../../../rotation/adapters/kops/secret-difference";
import { secretHash } from "../../../../rotation/adapters/kops/secret-text";
import { createSpecRecords } from "../../../../rotation/adapters/kops/spec-record";
import { fakeKops } from "./fake-kops";
import { seedConfiguration } from "./seed-002";
import { plainCluster } from "./simulated-kops";

const never = new AbortController().signal;
let directory: string;

beforeEach(() => (directory = mkdtempSync(join(tmpdir(), "kms-etcd-kops-"))));
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const machines: MachineLook = {
  look: async (instances) =>
    instances.map(() => ({
      unreachable: undefined,
      version: "v1.36.0",
      processStartedAt: 1,
      loaded: { kind: "none" },
    })),
  strangers: async () => [],
};

const put = (text: string, expectedHash: string | undefined, mayGoBack = false) => ({ text, expectedHash, mayGoBack });

function fakeVersion(version: string) {
  const fake = fakeKops(plainCluster);
  fake.state.version = version;
  return fake.run;
}

function cli() {
  const fake = fakeKops(plainCluster);
  const backups = createSecretBackups(join(directory, "backups"));
  const kops = createKopsCli({
    cluster: "e2e.k8s.local",
    stateStore: "s3://store",
    run: fake.run,
    backups,
    machines,
    apiArguments: ["--use-kubeconfig"],
  });
  return { fake, kops, backups };
}

describe("kops by its own program", () => {
  const instance = (id: string, instanceGroup: string, status = "UpToDate", roles = ["control-plane"]) => ({
    id,
    instanceGroup,
    status,
    roles,
    internalIP: "10.0.0.1",
    externalIP: "",
  });

  it("observe => spec, secret, groups, machines of API-server groups; one that runs an API server elsewhere is a stranger", async () => {
    const { fake, kops } = cli();
    fake.state.secret = seedConfiguration;
    fake.state.instances = [
      instance("i-1", "control-plane-a.masters.e2e.k8s.local", "NeedsUpdate"),
      instance("i-2", "nodes-a.e2e.k8s.local", "UpToDate", ["node"]),
      instance("i-3", "old-masters.masters.e2e.k8s.local"),
    ];
    const seen = await kops.observe(never);
    assert.deepEqual(
      seen.machines.map(({ name, group, needsUpdate }) => [name, group, needsUpdate]),
      [["i-1", "control-plane-a", true]],
    );
    assert.deepEqual(seen.strangers, ["i-3"]);
    assert.equal(seen.secret?.hash, secretHash(seedConfiguration));
    assert.equal(seen.secret.config?.blocks.length, 1);
    assert.deepEqual(
      seen.applied.map(({ group }) => group),
      ["control-plane-a"],
    );
  });

  it("a group with a pending task has not been told; one preview serves until spec or secret change", async () => {
    const { fake, kops } = cli();
    fake.state.pending = ["ManagedFile/nodeupconfig-control-plane-a"];
    assert.deepEqual((await kops.observe(never)).applied, []);
    const previews = () => fake.commands.filter(({ args }) => args[0] === "update" && !args.includes("--yes")).length;
    await kops.observe(never);
    assert.equal(previews(), 1);
    await kops.update(never);
    assert.equal((await kops.observe(never)).applied.length, 1);
    assert.equal(previews(), 2);
  });

  it("a secret is replaced while it has the expected hash, kept before, and passes through standard input only", async () => {
    const { fake, kops, backups } = cli();
    await kops.putSecret(put("first\n", undefined), never);
    assert.equal(fake.commands.at(-1)?.args.includes("--force"), false);
    await assert.rejects(kops.putSecret(put("second\n", "sha256:other"), never), { code: "conflict" });
    await kops.putSecret(put("second\n", secretHash("first\n")), never);
    assert.equal(fake.state.secret, "second\n");
    assert.deepEqual([...(await backups.all()).values()], ["first\n"]);
    assert.ok(fake.commands.every(({ args }) => !args.some((word) => /first|second/.test(word))));
  });

  it("the backup folder can't be written => the secret stays as it is, and the error says what to do", async () => {
    const { fake } = cli();
    fake.state.secret = "first\n";
    writeFileSync(join(directory, "file"), "");
    const backups = createSecretBackups(join(directory, "file", "backups"));
    const kops = createKopsCli({ cluster: "e2e.k8s.local", run: fake.run, backups, machines });
    await assert.rejects(
      kops.putSecret(put("second\n", secretHash("first\n")), never),
      /the present encryptionconfig secret can't be kept in/,
    );
    assert.equal(fake.state.secret, "first\n");
  });

  it("a spec is replaced while it is the expected one", async () => {
    const { fake, kops } = cli();
    const next = { ...plainCluster, spec: { ...plainCluster.spec, encryptionConfig: true } };
    await assert.rejects(kops.putCluster({ cluster: next, expected: next, before: [] }, never), { code: "conflict" });
    await kops.putCluster({ cluster: next, expected: plainCluster, before: [] }, never);
    assert.deepEqual(fake.state.cluster, next);
  });

  it("a spec or a secret that was put => the next run knows it as its own, until it is settled, or the spec, a group or kops is another one", async () => {
    const { fake } = cli();
    const records = () => createSpecRecords(join(directory, "backups"));
    const backups = createSecretBackups(join(directory, "backups"));
    const own = async (version = "1.36.2") => {
      const kops = createKopsCli({
        cluster: "e2e.k8s.local",
        run: fake.run,
        backups,
        machines,
        records: records(),
        version,
      });
      const { ownChange } = await kops.observe(never);
      return { kops, ownChange };
    };
    const next = { ...plainCluster, spec: { ...plainCluster.spec, encryptionConfig: true } };
    const before = [{ name: "p.yaml", content: "text" }];
    const { kops, ownChange } = await own();
    assert.equal(ownChange, undefined);
    await kops.putCluster({ cluster: next, expected: plainCluster, before }, never);
    assert.equal(statSync(join(directory, "backups", "spec-change.json")).mode & 0o777, 0o600);
    assert.deepEqual((await own()).ownChange, { before });
    // kOps has fields in its own order.
    fake.state.cluster = { ...next, spec: Object.fromEntries(Object.entries(next.spec).reverse()) };
    assert.deepEqual((await own()).ownChange, { before });
    assert.equal((await own("1.37.0")).ownChange, undefined);
    fake.state.cluster = { ...next, spec: { ...next.spec, channel: "stable" } };
    assert.equal((await own()).ownChange, undefined);
    fake.state.cluster = next;
    writeFileSync(join(directory, "backups", "spec-change.json"), "{");
    assert.equal((await own()).ownChange, undefined);
    await kops.putCluster({ cluster: plainCluster, expected: next, before: [] }, never);
    assert.deepEqual((await own()).ownChange, { before: [] });
    await (await own()).kops.settle(never);
    assert.equal((await own()).ownChange, undefined);
    // A secret too, which leaves what it is in the middle of as it is.
    await (await own()).kops.putSecret(put("first\n", undefined), never);
    assert.deepEqual((await own()).ownChange, { before: [] });
    await kops.putCluster({ cluster: next, expected: plainCluster, before }, never);
    await (await own()).kops.putSecret(put("second\n", secretHash("first\n")), never);
    assert.deepEqual((await own()).ownChange, { before });
    // What every machine ran before it, while it is still there, whatever becomes of the spec.
    await (await own()).kops.putSecret(put("third\n", secretHash("second\n"), true), never);
    const replaced = { hash: secretHash("second\n"), text: "second\n" };
    assert.deepEqual((await own()).ownChange, { before, replaced });
    const other = { ...next, spec: { ...next.spec, channel: "stable" } };
    await (await own()).kops.putCluster({ cluster: other, expected: next, before: [] }, never);
    assert.deepEqual((await own()).ownChange, { before: [], replaced });
    await (await own()).kops.putSecret(put("second\n", secretHash("third\n")), never);
    assert.deepEqual((await own()).ownChange, { before: [] });
    fake.state.cluster = plainCluster;
    assert.equal((await own()).ownChange, undefined);
  });

  it("a roll that fails => not joined only where a machine was terminated before; throttling is thrown, to be tried again", async () => {
    const { fake, kops } = cli();
    fake.fail("rolling-update", "error validating cluster after terminating instance: cluster did not validate");
    assert.equal((await kops.roll("control-plane-a", false, never))?.notJoined, true);
    fake.fail("rolling-update", 'stopping rolling-update: "error validating cluster"');
    assert.equal((await kops.roll("control-plane-a", true, never))?.notJoined, false);
    assert.ok(fake.commands.at(-1)?.args.includes("--force"));
    fake.fail("rolling-update", "ThrottlingException: Rate exceeded");
    await assert.rejects(kops.roll("control-plane-a", false, never), { code: "throttled" });
    for (const what of ["unexpected EOF", "connection refused"]) {
      fake.fail("rolling-update", `error validating cluster after terminating instance: ${what}`);
      assert.equal((await kops.roll("control-plane-a", false, never))?.notJoined, true);
    }
    assert.ok(fake.commands.every(({ args }) => !args.includes("--cloudonly")));
  });

  it("validation => what kops names; its own error where it could not look", async () => {
    const { fake, kops } = cli();
    assert.equal(await kops.validate(never), undefined);
    fake.state.failures = [{ message: "machine i-1 has not yet joined cluster" }];
    assert.equal(await kops.validate(never), "machine i-1 has not yet joined cluster");
    fake.fail("validate", "error listing nodes: connection refused");
    assert.match((await kops.validate(never)) ?? "", /error listing nodes/);
  });

  it("errors => by what they mean; no access is not tried again", async () => {
    const { fake, kops } = cli();
    fake.fail("get cluster", "AccessDenied: not allowed to s3:GetObject");
    await assert.rejects(kops.observe(never), { code: "permission-denied" });
    for (const [what, code] of [
      ["read tcp 10.0.0.1:443: read: connection reset by peer", "unreachable"],
      ['Get "https://s3.example": EOF', "unreachable"],
      ["dial tcp 10.0.0.1:443: connect: no route to host", "unreachable"],
      ["api error ServiceUnavailable: Please reduce your request rate", "unreachable"],
      ["api error InternalError: We encountered an internal error. Please try again.", "unreachable"],
      ["operation error S3: GetObject, context deadline exceeded", "timeout"],
      ["unknown field spec.oops", "invalid-input"],
    ] as const) {
      fake.fail("get cluster", what);
      await assert.rejects(kops.observe(never), { code });
    }
    assert.equal(await requireKopsVersion(fake.run, "v1.36.1", never), "1.36.2");
    await assert.rejects(
      requireKopsVersion(fake.run, "1.37.0", never),
      /is older than the cluster's Kubernetes 1\.37\.0/,
    );
  });
});

describe("versions of kops and Kubernetes", () => {
  const open = (version: string, kubernetesVersion: string) => {
    const fake = fakeKops({ ...plainCluster, spec: { ...plainCluster.spec, kubernetesVersion } });
    fake.state.version = version;
    const kops = { clusterName: "e2e.k8s.local", program: "kops", machineAddress: "Internal" as const, rolling: {} };
    const plugin = { image: "registry.example/kms-etcd-plugin:1", flavour: "KmsEtcd" as const };
    const addressOf = () => assert.fail();
    return openKopsCluster({ ...kops, plugin, backupDirectory: directory }, never, { run: fake.run, addressOf });
  };

  it("too old ones => refused before anything is looked at, with what to do", async () => {
    await assert.rejects(open("1.25.4", "1.25.0"), { code: "unsupported", message: /Kubernetes 1\.25\.0/ });
    await assert.rejects(requireKopsVersion(fakeVersion("1.25.4"), undefined, never), {
      code: "unsupported",
      message: /kops 1\.25\.4 is older than 1\.26/,
      remedy: /1\.26 or newer/,
    });
    for (const version of [
      "1.28.15",
      "v1.28.0",
      "https://builds.example/v1.27.3",
      "https://builds.example/v1.2.0/v1.28.1/",
    ]) {
      await assert.rejects(open("1.36.2", version), { code: "unsupported", remedy: /1\.29 or newer/ }, version);
    }
    await assert.rejects(open("1.36.2", "https://builds.example/v1.37.0"), /is older than the cluster's Kubernetes/);
  });

  it("the oldest ones, and a version that can't be read => opened", async () => {
    for (const version of ["1.29.0", "v1.36.1", "https://builds.example/v1.30.2", "https://builds.example/latest"]) {
      await (await open("1.36.2", version)).close();
    }
    assert.equal(await requireKopsVersion(fakeVersion("1.26.0"), undefined, never), "1.26.0");
  });
});

describe("what kops prints", () => {
  it("pending tasks => those two blanks in, not their changes", () => {
    const text =
      "Will modify resources:\n  LaunchTemplate/cp-a.masters.x\n  \tUserData\n  ManagedFile/nodeupconfig-cp-a\n\nMust specify --yes\n";
    assert.deepEqual(pendingTasks(text), ["LaunchTemplate/cp-a.masters.x", "ManagedFile/nodeupconfig-cp-a"]);
    assert.ok(isPending(pendingTasks(text), { name: "cp-a", role: "ControlPlane" }));
    assert.ok(!isPending(pendingTasks(text), { name: "cp", role: "ControlPlane" }));
  });

  it("an autoscaling group => its instance group, also where one name begins like another", () => {
    const of = (name: string) => instanceGroupOf(name, ["cp", "cp-a", "api"], "x.example");
    assert.deepEqual(
      ["cp-a.masters.x.example", "cp.masters.x.example", "api.apiservers.x.example", "cp.y.example"].map(of),
      ["cp-a", "cp", "api", undefined],
    );
  });

  it("a validation without failures => none", () => {
    assert.equal(validationFailure('{"failures":[]}'), undefined);
    assert.equal(validationFailure('{"nodes":[{"name":"i-1"}]}'), undefined);
    assert.throws(() => validationFailure("oops"), /printed no JSON/);
  });
});

describe("what kops prints while it waits for a cluster", () => {
  const failed = (message: string) =>
    JSON.stringify({ failures: [{ name: "i-1", message }], nodes: [{ name: "i-1" }] });
  const well = JSON.stringify({ nodes: [{ name: "i-1" }] });

  it("a document for each look, with nothing between them => the last one counts", () => {
    assert.equal(validationFailure(`${well}${well}`), undefined);
    assert.equal(validationFailure(`${failed("not yet joined")}${well}${well}`), undefined);
    assert.equal(validationFailure(`${well}${failed("first")}${failed("second")}`), "second");
  });

  it("braces and quotes inside of a message => part of it", () => {
    const message = 'pod "x" says {"a": "}{"} \\';
    assert.equal(validationFailure(`${failed("first")}${failed(message)}`), message);
  });
});

describe("running a program", () => {
  const script = (text: string) => {
    const file = join(directory, "kops");
    writeFileSync(file, `#!${process.execPath}\n${text}`);
    chmodSync(file, 0o755);
    return createKopsRunner(file, { PATH: process.env["PATH"], KOPS_CLUSTER_NAME: "other" });
  };
  const command = { args: ["get", "a b; echo $HOME"], timeoutMs: 20_000, signal: never };

  it("arguments, input, outputs and exit code pass unchanged, through no shell, and without a cluster's name in the environment", async () => {
    const run = script(`
      let text = ""; process.stdin.on("data", (d) => (text += d)).on("end", () => {
        console.log(JSON.stringify([process.argv.slice(2), text, process.env.KOPS_CLUSTER_NAME ?? null])); console.error("said"); process.exitCode = 3; });`);
    const { code, stdout, stderr } = await run({ ...command, input: "secret" });
    assert.deepEqual([code, JSON.parse(stdout), stderr], [3, [["get", "a b; echo $HOME"], "secret", null], "said\n"]);
  });

  it("out of time, or stopped => the program is ended, and the error says which", async () => {
    const run = script("console.error('still trying'); setInterval(() => {}, 1000);");
    await assert.rejects(run({ ...command, timeoutMs: 1_500 }), /kops get .* did not end within/);
    const controller = new AbortController();
    const stopped = run({ ...command, signal: controller.signal });
    controller.abort();
    await assert.rejects(stopped, { code: "cancelled" });
  }).timeout(20_000);

  it("no such program => said so", async () => {
    await assert.rejects(createKopsRunner(join(directory, "none"))(command), { code: "not-found" });
  });
});

describe("secrets that were replaced", () => {
  it("kept for the owner alone, by hash; one that was changed by hand is passed over", async () => {
    const backups = createSecretBackups(join(directory, "backups"));
    await backups.keep("a\n");
    await backups.keep("a\n");
    await backups.keep("b\n");
    const files = readdirSync(join(directory, "backups")).sort();
    assert.equal(files.length, 2);
    assert.equal(statSync(join(directory, "backups")).mode & 0o777, 0o700);
    for (const file of files) assert.equal(statSync(join(directory, "backups", file)).mode & 0o777, 0o600);
    const [first = ""] = files;
    const text = readFileSync(join(directory, "backups", first), "utf8");
    writeFileSync(join(directory, "backups", first), "changed");
    const all = await backups.all();
    assert.deepEqual([...all.values()], [text === "a\n" ? "b\n" : "a\n"]);
  });

  it("the difference of two => providers, and never a key", () => {
    const withKey = (secret: string) =>
      seedConfiguration.replace(
        "- identity: {}",
        `- aescbc:\n      keys:\n      - name: key1\n        secret: ${secret}`,
      );
    const text = secretDifference(seedConfiguration, withKey("c2VjcmV0IGlzIHNlY3VyZQ=="));
    assert.equal(
      text,
      "secrets: [kms/v1/aws-encryption-provider, identity] became [kms/v1/aws-encryption-provider, aescbc/key1]",
    );
    assert.match(secretDifference(withKey("AAAA"), withKey("BBBB")), /^the same providers in the same order/);
    assert.ok(!secretDifference(withKey("AAAA"), "kind: [").includes("AAAA"));
    assert.equal(secretDifference(undefined, seedConfiguration), "it was made");
  });
});
