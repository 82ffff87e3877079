import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { typeTokens } from "../../../core/type-tokens";
import type { Properties } from "../../../provider/property-values";
import { unknown } from "../../../provider/property-values";
import { startProvider } from "../../../provider/provider";
import { openEnvelope, readPublicKey } from "../../../rotation/report/envelope";
import type { RotationReport } from "../../../rotation/report/report";
import { keyVersion } from "../../rotation/goals";
import { randomFrom } from "../../rotation/random";
import { simulateCluster } from "../../rotation/simulated-cluster";
import { type EngineSide, engineSide } from "../support/engine-side";
import { rolloutStack } from "../support/rollout-stack";
import { simulatedEngine } from "../support/simulated-engine";
import { unusableKeyFiles } from "../support/unusable-key-files";

const controlPlaneFile = "/simulated/control-plane.json";

describe("the report of a rollout, and the key that it is signed with", () => {
  let side: EngineSide;
  let stack: ReturnType<typeof rolloutStack>;
  let directory: string;
  let cluster: ReturnType<typeof simulateCluster>;
  const { privateKey, publicKey } = generateKeyPairSync("ed25519", {
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
  const material = privateKey.split("\n")[1] ?? "";

  beforeEach(async () => {
    cluster = simulateCluster({ hosts: 3, reload: "hot", objects: 5, clients: false, random: randomFrom(3) });
    side = await engineSide((engineAddress) =>
      startProvider({
        engineAddress,
        engine: simulatedEngine(new Map([[controlPlaneFile, cluster]])),
        identity: { version: "0.0.0", schema: async () => "{}" },
      }),
    );
    stack = rolloutStack(side);
    directory = mkdtempSync(join(tmpdir(), "kms-report-"));
  });
  afterEach(async () => {
    await side.close();
    rmSync(directory, { recursive: true, force: true });
  });

  const wanted = (version: number, more: Properties = {}): Properties => ({
    keyVersion: version,
    keys: [1, 2].map((known) => {
      const { key } = keyVersion(known);
      return { version: known, local: key.kind === "local" ? { file: key.file, keyId: key.keyId } : null };
    }),
    local: { controlPlaneFile },
    ...more,
  });
  const envelope = () => stack.state()?.outputs["report"] as string;
  function opened(): RotationReport {
    const { payload, problem } = openEnvelope(envelope(), readPublicKey(publicKey, "public"), "the output");
    assert.equal(problem, undefined);
    return JSON.parse(payload) as RotationReport;
  }

  it("without a key => a report that is marked as unsigned; no key in it, no object's name", async () => {
    assert.equal((await stack.up(wanted(1))).failure, undefined);
    const report = JSON.parse(envelope()) as { unsigned?: boolean; signatures: unknown[]; payload: string };
    assert.deepEqual([report.unsigned, report.signatures], [true, []]);
    const said = JSON.parse(Buffer.from(report.payload, "base64").toString()) as RotationReport;
    assert.deepEqual([said.command, said.outcome.kind, said.after.complete], ["pulumi up", "done", true]);
    assert.deepEqual(said.goal.servers, ["cp1", "cp2", "cp3"]);
    assert.equal(said.before?.resources[0]?.keys[0]?.provider, "identity");
    assert.equal(JSON.stringify(said).includes("s1"), false);
  });

  it("with the key itself => signed; the state is told to keep the key as a secret, and nothing else has it", async () => {
    const signed = wanted(1, { reportSigning: { privateKey } });
    assert.equal((await stack.up(signed)).failure, undefined);
    const { goal, stages } = opened();
    assert.deepEqual([goal.keyVersion, stages.at(-1)?.stage], [1, "Prune"]);
    const { secretInputs } = await side.rollout.check(undefined, signed);
    assert.ok([...secretInputs].includes("reportSigning.privateKey"), [...secretInputs].join());
    assert.equal(JSON.stringify(stack.state()?.outputs).includes(material), false);
    assert.equal(JSON.stringify(side.published).includes(material), false);
  });

  it("with a file that is its owner's alone => signed; a run that is refused is signed too", async () => {
    const privateKeyFile = join(directory, "key.pem");
    writeFileSync(privateKeyFile, privateKey, { mode: 0o600 });
    assert.equal((await stack.up(wanted(1, { reportSigning: { privateKeyFile } }))).failure, undefined);
    assert.equal(opened().outcome.kind, "done");
    assert.equal(JSON.stringify(stack.state()?.inputs).includes(material), false);
    cluster.faults.etcdMembers = [
      { name: "m1", version: "3.6.5", state: "voting", problems: ["alarm:NOSPACE"], underWay: [] },
    ];
    assert.match((await stack.up(wanted(2, { reportSigning: { privateKeyFile } }))).failure ?? "", /NOSPACE/);
    const refused = opened();
    assert.equal(refused.outcome.kind, "blocked");
    assert.match(refused.outcome.reason ?? "", /NOSPACE/);
  });

  it("a run that breaks off leaves no report: the last one's signature would stand for a cluster that nobody has seen", async () => {
    assert.equal((await stack.up(wanted(1))).failure, undefined);
    assert.ok(envelope());
    const { startPlugin } = cluster.fleet;
    Object.assign(cluster.fleet, { startPlugin: () => Promise.reject(new Error("a defect")) });
    assert.match((await stack.up(wanted(2))).failure ?? "", /run pulumi up again/);
    assert.equal(envelope(), undefined);
    Object.assign(cluster.fleet, { startPlugin });
    assert.equal((await stack.up(wanted(2))).failure, undefined);
    assert.ok(envelope());
  });

  it("a file that others can read, or that is not there => nothing is changed, and the message says what to do", async () => {
    const privateKeyFile = join(directory, "key.pem");
    for (const { make, said } of unusableKeyFiles(privateKeyFile, privateKey)) {
      make();
      const { failure = "" } = await stack.up(wanted(1, { reportSigning: { privateKeyFile } }));
      assert.match(failure, said);
      assert.doesNotMatch(failure, new RegExp(material));
      assert.equal(stack.state()?.outputs["activeKeyVersion"], undefined);
      stack.lose();
    }
  });

  it("what cannot be a key => told in preview, at the input, without the text", async () => {
    const problems = async (reportSigning: Properties) =>
      (await side.rollout.check(undefined, wanted(1, { reportSigning }))).problems.join("\n");
    assert.match(await problems({}), /reportSigning: has no key/);
    assert.match(await problems({ privateKey, privateKeyFile: "/k" }), /reportSigning: has two keys/);
    assert.match(await problems({ privateKeyFile: "key.pem" }), /reportSigning.privateKeyFile: is no absolute path/);
    assert.match(await problems({ other: 1 }), /reportSigning.other: is not an input/);
    const wrong = await problems({ privateKey: "hunter2" });
    assert.match(wrong, /reportSigning.privateKey: is no private key in PEM form/);
    assert.doesNotMatch(wrong, /hunter2/);
    assert.equal(await problems({ privateKey: unknown }), "", typeTokens.encryptionRollout);
  });
});
