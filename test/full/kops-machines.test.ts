import assert from "node:assert/strict";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { useStatements } from "../../core/aws-key-policy";
import { decideKopsBy, kopsRules } from "../../rotation/adapters/kops/decide-kops";
import { everyNamedPluginIsThere } from "../../rotation/adapters/kops/rules/store-rules";
import {
  assertDone,
  assertOnlyPlugin,
  type EngineOnMachines,
  type EngineRun,
  engineOnMachines,
} from "../fakes/kops/machines/engine-on-machines";
import { pythonOrSkip } from "../fakes/kops/machines/python-or-skip";
import { controlPlanesOf, type RealKopsCluster, startRealKopsCluster } from "../fakes/kops/machines/real-kops-cluster";
import { watchCluster } from "../fakes/kops/machines/watched-cluster";
import { isAllowed } from "../fakes/pulumi-aws/policy-decision";

const secrets = 6;
const machines = controlPlanesOf(process.env);

/**
 * The real kops with `validate` and `rolling-update` as they are: every control-plane machine is a real API server with the configuration that
 * nodeup would give it, and with our plugin where its file assets say so, against moto's KMS.
 */
describe("the kOps engine with the real kops and real API servers", function () {
  this.timeout(60 * 60_000);
  let cluster: RealKopsCluster;
  let engine: EngineOnMachines;
  let closing = async () => {};

  before(async function () {
    cluster = await startRealKopsCluster({ python: await pythonOrSkip(this), controlPlanes: machines });
    closing = cluster.close;
    engine = engineOnMachines(cluster);
    await cluster.createSecrets(secrets);
  });
  after(() => closing());

  const rolls = ({ actions }: EngineRun) => actions.filter((action) => action.startsWith("kops rolling-update"));
  const machineIds = () => cluster.nodes.machines().map(({ id }) => id);

  /** Runs while every Secret is read through every API server, and new ones are written. */
  async function rotateWatched(version: number | "identity"): Promise<EngineRun> {
    const watch = watchCluster(cluster);
    const outcome = await engine.run(version).finally(() => watch.stop());
    assert.deepEqual(watch.violations, []);
    assertDone(cluster, outcome);
    assert.ok(watch.reads() > secrets && watch.written.length > 0);
    for (const name of watch.written) await assertIntact(name);
    return outcome;
  }

  async function assertIntact(name: string): Promise<void> {
    for (const machine of cluster.nodes.machines()) {
      const { status, text } = await machine.request("GET", `/api/v1/namespaces/default/secrets/${name}`);
      assert.equal(status, 200, text);
      const { data } = JSON.parse(text) as { data: { text: string } };
      assert.equal(Buffer.from(data.text, "base64").toString(), `content of ${name}`);
    }
  }

  const providers = async () => Object.keys(await cluster.storedProviders());

  it("enabling => three rolls, every machine a new one, every stored value begins with the key's provider, and kops finds the cluster valid", async () => {
    assert.deepEqual(await providers(), ["plaintext"]);
    const before = machineIds();
    const outcome = await rotateWatched(1);
    assert.equal(rolls(outcome).length, 3 * machines);
    assert.ok(machineIds().every((id) => !before.includes(id)));
    const [provider = "", ...others] = await providers();
    assert.deepEqual(others, []);
    assert.match(provider, /^k8s:enc:kms:v2:kms-etcd-/);
    for (const machine of cluster.nodes.machines()) {
      const metrics = await machine.request("GET", "/metrics");
      assert.match(metrics.text, /apiserver_encryption_config_controller_last_config_info\{[^}]*hash="sha256:/);
    }
  });

  it("a rotation => again three rolls, another provider, the first key's plugin on no machine; once more => nothing to do", async () => {
    const [first] = await providers();
    const outcome = await rotateWatched(2);
    assert.equal(rolls(outcome).length, 3 * machines);
    const [second, ...others] = await providers();
    assert.deepEqual(others, []);
    assert.notEqual(second, first);
    assertOnlyPlugin(cluster, await engine.plugin(2));
    const again = await engine.run(2);
    assertDone(cluster, again);
    assert.deepEqual(again.actions, []);
  });

  it("an engine that names the new plugin in the secret before the spec has it => the first machine does not join, the roll stops, the secret goes back", async () => {
    const before = await cluster.secret();
    const untouched = machineIds();
    const wrong = {
      ...kopsRules,
      repair: kopsRules.repair.filter((rule) => rule !== everyNamedPluginIsThere),
      spec: [],
    };
    const outcome = await engine.run(3, {
      decide: (observed, goal) => decideKopsBy(wrong, observed, goal),
      validationTimeoutSeconds: 45,
    });
    assert.equal(outcome.kind, "blocked", outcome.events.join("\n"));
    assert.match(
      outcome.reason ?? "",
      /error validating cluster after terminating instance|not yet joined|is not valid/,
    );
    assert.equal(rolls(outcome).length, 1);
    const kept = machineIds().filter((id) => untouched.includes(id));
    assert.equal(kept.length, machines - 1);
    assert.equal(await cluster.secret(), before);
    await assert.rejects(cluster.kops(["validate", "cluster", "--name", cluster.name, "--use-kubeconfig"]));
  });

  it("every call that plugins made of KMS => allowed by the statements for these keys; Encrypt and Decrypt are both among them", async () => {
    const keys = await Promise.all([1, 2].map(async (version) => (await engine.plugin(version)).key));
    const arns = keys.map((key) => (key.kind === "aws" ? key.keyArn : assert.fail()));
    const statements = useStatements(arns, undefined);
    const { calls } = cluster.kms;
    assert.ok(calls.length > 0);
    for (const { action, keyId, context } of calls) {
      // Decrypt without a key is of the key that the ciphertext names, which is one of these.
      const resource = keyId ?? arns[0] ?? "";
      assert.ok(isAllowed(statements, { action, resource, context }), `${action} of ${resource}`);
    }
    assert.deepEqual([...new Set(calls.flatMap(({ keyId }) => keyId ?? []))].sort(), [...arns].sort());
    const used = new Set(calls.map(({ action }) => action));
    assert.ok(used.has("kms:Encrypt") && used.has("kms:Decrypt"));
  });

  it("the broken machine terminated => its group makes one that joins; what the failed roll left late is the engine's own work; disabled => plaintext by three rolls; kops was never told to skip validation or to work in the cloud alone", async () => {
    for (const machine of cluster.nodes.machines()) {
      if (!(await machine.isReady())) await cluster.cloud.terminate(machine.id);
    }
    await cluster.nodes.settled();
    // The secret went back, so each other group has a newer template than its machine, and what machines get is the same.
    const listed = await cluster.kops(["get", "instances", "--name", cluster.name, "--use-kubeconfig", "-o", "json"]);
    const late = (JSON.parse(listed) as { readonly status: string }[]).filter(({ status }) => status !== "UpToDate");
    assert.equal(late.length, machines - 1, listed);
    assert.equal(rolls(await rotateWatched("identity")).length, 3 * machines);
    assert.deepEqual(await providers(), ["plaintext"]);
    for (const { args } of engine.commands) {
      assert.ok(!args.some((word) => /^--(cloudonly|fail-on-validate-error)/.test(word)), args.join(" "));
      assert.ok(!args.join(" ").includes("EncryptionConfiguration"));
    }
    for (const file of readdirSync(engine.backupDirectory)) {
      assert.equal(statSync(join(engine.backupDirectory, file)).mode & 0o777, 0o600);
    }
  });
});
