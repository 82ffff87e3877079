import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { typeTokens } from "../../../core/type-tokens";
import { type Properties, unknown } from "../../../provider/property-values";
import type { AksReport } from "../../../rotation/adapters/aks/aks-report";
import { aksReportLines } from "../../../rotation/cli/aks-report-lines";
import { openEnvelope, readPublicKey } from "../../../rotation/report/envelope";
import { ArmError } from "../../fakes/arm/arm-error";
import type { TestCluster } from "../../rotation/adapters/aks/aks-side";
import { type AksStack, aksLimits, aksStack } from "../support/aks-stack";
import { initFailure } from "../support/engine-side";
import { nonconforming } from "../support/schema-conformance";
import { unusableKeyFiles } from "../support/unusable-key-files";

describe("the report of a change to a cluster of AKS, and the key that it is signed with", function () {
  this.timeout(120_000);
  let aks: AksStack["aks"];
  let side: AksStack["side"];
  let stack: AksStack["stack"];
  let directory: string;
  const clusters = new Map<string, TestCluster>();
  const { privateKey, publicKey } = generateKeyPairSync("ed25519", {
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
  const material = privateKey.split("\n")[1] ?? "";

  aksStack(clusters, (made) => {
    ({ aks, side, stack } = made);
  });
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "kms-aks-report-"));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  /** A cluster with two Secrets, and what is wanted of it. */
  async function cluster() {
    const made = await aks.cluster();
    for (const name of ["db-password", "two"]) made.memory.writeSecret(name);
    clusters.set(made.id, made);
    const vault = await aks.vault();
    const keyIds = [await vault.key("k1"), await vault.key("k2")];
    const inputs = (keyVersion: number, more: Properties = {}): Properties => {
      return { clusterId: made.id, keyId: keyIds[keyVersion - 1] ?? "", keyVersion, limits: aksLimits, ...more };
    };
    return { made, keyIds, inputs };
  }
  const envelope = () => stack.state()?.outputs["report"] as string;
  function opened(): AksReport {
    const { payload, problem } = openEnvelope(envelope(), readPublicKey(publicKey, "public"), "the output");
    assert.equal(problem, undefined);
    return JSON.parse(payload) as AksReport;
  }

  it("without a key => marked as unsigned: each step, what is proven and what was not seen; no object's name", async () => {
    const { made, keyIds, inputs } = await cluster();
    assert.equal((await stack.up(inputs(1))).failure, undefined);
    assert.deepEqual(nonconforming(typeTokens.aksKmsSettings, stack.state()?.outputs ?? {}), []);
    const sealed = JSON.parse(envelope()) as { unsigned?: boolean; signatures: unknown[]; payload: string };
    assert.deepEqual([sealed.unsigned, sealed.signatures], [true, []]);
    const text = Buffer.from(sealed.payload, "base64").toString();
    const report = JSON.parse(text) as AksReport;
    const { formatVersion, platform, command, cluster: named, goal, outcome, before: found, after: left } = report;
    assert.deepEqual([formatVersion, platform, command, named], [1, "aks", "pulumi up", `AKS cluster ${made.id}`]);
    const settings = { mode: "KmsPlugin", keyId: keyIds[0], vaultNetworkAccess: "Public" };
    assert.deepEqual([goal, outcome], [{ ...settings, keyVersion: 1 }, { kind: "done" }]);
    assert.deepEqual(found, { provisioningState: "Succeeded", settings: { mode: "Off" } });
    assert.deepEqual(left, { provisioningState: "Succeeded", settings });
    assert.deepEqual(
      report.steps.map(({ kind, provenUnder, secrets, storedAgain }) => [kind, provenUnder, secrets, storedAgain]),
      [
        ["rewrite", "plaintext", 2, 0],
        ["set", undefined, undefined, undefined],
        ["rewrite", keyIds[0], 2, 2],
      ],
    );
    assert.ok(report.steps.every(({ startedAt, finishedAt }) => finishedAt !== undefined && finishedAt >= startedAt));
    const { evidence } = report;
    assert.deepEqual([evidence?.method, evidence?.complete], ["api", true]);
    assert.deepEqual(evidence?.resources[0]?.keys, [{ provider: "azureKeyVaultKms", keyId: keyIds[0], objects: 2 }]);
    assert.match(evidence.discovery, /which of them answered was not seen.*stored bytes were not seen/);
    assert.doesNotMatch(text, /db-password/);
  });

  it("with the key itself => signed; the state is told to keep the key as a secret, and nothing else has it", async () => {
    const { inputs } = await cluster();
    const signed = inputs(1, { reportSigning: { privateKey } });
    assert.equal((await stack.up(signed)).failure, undefined);
    assert.equal(opened().goal.keyVersion, 1);
    const { secretInputs } = await side.resource(typeTokens.aksKmsSettings).check(undefined, signed);
    assert.ok([...secretInputs].includes("reportSigning.privateKey"), [...secretInputs].join());
    assert.equal(JSON.stringify(stack.state()?.outputs).includes(material), false);
    assert.equal(JSON.stringify(side.published).includes(material), false);
    assert.equal((await stack.preview(signed)).op, "same");
  });

  it("only the key to sign with is new => nothing is done to the cluster, and the report vouches for no earlier run's proof", async () => {
    const { inputs } = await cluster();
    await stack.up(inputs(1));
    const evidence = stack.state()?.outputs["evidence"] as Properties;
    const privateKeyFile = join(directory, "key.pem");
    writeFileSync(privateKeyFile, privateKey, { mode: 0o600 });
    assert.deepEqual(await stack.up(inputs(1, { reportSigning: { privateKeyFile } })), {
      op: "update",
      failure: undefined,
    });
    const { steps, provenEarlier, outcome, ...report } = opened();
    assert.deepEqual([steps, report.evidence, outcome.kind], [[], undefined, "done"]);
    assert.deepEqual(provenEarlier, { provenAt: evidence["provenAt"], digest: evidence["digest"] });
    assert.equal(JSON.stringify(stack.state()?.inputs).includes(material), false);
    const said = aksReportLines(opened()).join("\n");
    assert.match(said, /no rewrite was needed; proven by an earlier run/);
    assert.doesNotMatch(said, /proven complete/);
  });

  it("AKS can't do it => the report says what was tried, what AKS said, and where the cluster is; it proves nothing", async () => {
    const { keyIds, inputs } = await cluster();
    await stack.up(inputs(1));
    const late = await aks.vault("Public", []);
    const ungranted = inputs(2, { keyId: await late.key("k9"), reportSigning: { privateKey } });
    assert.match((await stack.up(ungranted)).failure ?? "", /ValidateIdentityPermission/);
    const { outcome, steps, evidence, after: left, ...report } = opened();
    assert.equal(outcome.kind, "blocked");
    assert.match(outcome.reason ?? "", /ValidateIdentityPermission.*back at the settings from before/);
    assert.deepEqual([evidence, left.settings.keyId, report.provenEarlier], [undefined, keyIds[0], undefined]);
    assert.match(
      steps.flatMap(({ problems = [] }) => problems).join(),
      /AKS could not do it.*ValidateIdentityPermission/,
    );
    const said = aksReportLines(opened()).join("\n");
    assert.match(
      said,
      /: blocked \(.*\n {3}AKS could not do it.*\nafter: KmsPlugin with \S+k1\S+, vault Public, by ARM's word/s,
    );
    assert.match(said, /nothing was proven about what is stored/);
  });

  it("nobody can see the cluster after the run => no report: the last one's signature would stand for what nobody has seen", async () => {
    const { made, inputs } = await cluster();
    await stack.up(inputs(1));
    assert.ok(envelope());
    const { resource } = side;
    const { inputs: before = {}, outputs = {} } = stack.state() ?? {};
    const { inputs: checked } = await resource(typeTokens.aksKmsSettings).check(before, inputs(2));
    const refusal = new ArmError(403, "AuthorizationFailed", "You may not read it.");
    aks.fake.arm.failNext(refusal, ({ path }) => path === made.id, 20);
    const thrown: unknown = await resource(typeTokens.aksKmsSettings)
      .update(before, outputs, checked)
      .then(
        () => undefined,
        (reason: unknown) => reason,
      );
    const failed = initFailure(thrown) ?? assert.fail("it did not fail");
    assert.match(failed.reasons.join(), /You may not read it/);
    assert.equal(failed.outputs["report"], undefined);
  });

  it("a key file that others can read, or that is not there => nothing is changed, and the message says what to do", async () => {
    const { made, inputs } = await cluster();
    const privateKeyFile = join(directory, "key.pem");
    for (const { make, said } of unusableKeyFiles(privateKeyFile, privateKey)) {
      make();
      const { failure = "" } = await stack.up(inputs(1, { reportSigning: { privateKeyFile } }));
      assert.match(failure, said);
      assert.doesNotMatch(failure, new RegExp(material));
      assert.deepEqual(made.memory.stored(), { "db-password": "identity", two: "identity" });
      stack.lose();
    }
  });

  it("what cannot be a key => told in preview, at the input, without the text; one that is not known yet is fine", async () => {
    const { inputs } = await cluster();
    const problems = async (reportSigning: Properties) =>
      (await side.resource(typeTokens.aksKmsSettings).check(undefined, inputs(1, { reportSigning }))).problems.join(
        "\n",
      );
    assert.match(await problems({}), /reportSigning: has no key/);
    assert.match(await problems({ privateKeyFile: "key.pem" }), /reportSigning.privateKeyFile: is no absolute path/);
    const wrong = await problems({ privateKey: "hunter2" });
    assert.match(wrong, /reportSigning.privateKey: is no private key in PEM form/);
    assert.doesNotMatch(wrong, /hunter2/);
    assert.equal(await problems({ privateKey: unknown }), "");
  });
});
