import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCli } from "../../../rotation/cli/program";

/** What the real CLI wrote: for a real control plane of two servers, and of AKS and kOps for those that the tests have in their place; paths shortened, source positions and times taken out. */
const previews = join(__dirname, "previews");

describe("kms-etcd plan --markdown, on real previews", () => {
  let directory: string;
  before(() => {
    directory = mkdtempSync(join(tmpdir(), "kms-etcd-preview-"));
  });
  after(() => rmSync(directory, { recursive: true }));

  const run = async (...args: readonly string[]) => {
    const seen = { stdout: "", stderr: "" };
    const code = await runCli(["plan", ...args], {
      stdout: { write: (text) => (seen.stdout += text) },
      stderr: { write: (text) => (seen.stderr += text) },
      signal: new AbortController().signal,
      version: "0.0.0-test",
    });
    return { code, ...seen };
  };
  const preview = (name: string) => join(previews, `${name}.json`);

  for (const [name, code] of [
    ["enable", 0],
    ["rotate", 0],
    ["same", 0],
    ["failed", 4],
    ["removed", 0],
    ["aks-rotate", 0],
    ["kops-enable", 0],
  ] as const) {
    it(`${name} => exit ${code}, and the comment of previews/${name}.md`, async () => {
      const result = await run("--markdown", preview(name));
      assert.equal(result.code, code, result.stderr);
      const golden = join(previews, `${name}.md`);
      if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(golden, result.stdout);
      assert.equal(result.stdout, readFileSync(golden, "utf8"));
    });
  }

  /** The preview `name` with changes to every step that `change` returns something for. */
  function changed(name: string, change: (step: Step) => Step): string {
    const document = JSON.parse(readFileSync(preview(name), "utf8")) as { steps: Step[] };
    const file = join(directory, `${name}.json`);
    writeFileSync(file, JSON.stringify({ ...document, steps: document.steps.map(change) }));
    return file;
  }

  it("a key that is deleted and not retained => unguarded-deletion, 4", async () => {
    const file = changed("removed", (step) =>
      step.urn.includes("LocalKey") ? { ...step, oldState: { ...step.oldState, retainOnDelete: false } } : step,
    );
    const { code, stdout } = await run("--markdown", file);
    assert.equal(code, 4);
    assert.match(stdout, /\*\*unguarded-deletion\*\* \(`etcd-key-v1`\): delete of a kms-etcd:index:LocalKey/);
  });

  it("a rollout that stops before VERIFY => unverified-data, 4", async () => {
    const file = changed("rotate", (step) => withInputs(step, { advanceTo: "Write" }));
    const { code, stdout } = await run("--markdown", file);
    assert.equal(code, 4);
    assert.match(stdout, /\*\*unverified-data\*\* \(`etcd`\): advanceTo is Write/);
  });

  it("evidence that is not complete, and no change that mends it => unverified-data, 4", async () => {
    const file = changed("same", (step) => {
      const outputs = step.oldState?.outputs;
      return outputs?.["evidence"] === undefined
        ? step
        : {
            ...step,
            oldState: { ...step.oldState, outputs: { ...outputs, evidence: { complete: false, method: "etcd" } } },
          };
    });
    const { code, stdout } = await run("--markdown", file);
    assert.equal(code, 4);
    assert.match(stdout, /\*\*unverified-data\*\* \(`etcd`\): the last look did not see every stored object/);
  });

  it("a key older than --max-key-age => key-age, 4; younger => 0", async () => {
    const aged = (days: number) =>
      changed("same", (step) => {
        const keys = step.newState?.inputs?.["keys"];
        if (!Array.isArray(keys)) return step;
        const createdAt = new Date(Date.now() - days * 86_400_000).toISOString();
        return withInputs(step, { keys: keys.map((key: object) => ({ ...key, createdAt })) });
      });
    const old = await run("--markdown", aged(91), "--max-key-age", "90");
    assert.equal(old.code, 4);
    assert.match(
      old.stdout,
      /\*\*key-age\*\* \(`etcd`\): the key that encrypts \(version 1\) is 91 days old, more than 90/,
    );
    assert.equal((await run("--markdown", aged(89), "--max-key-age", "90")).code, 0);
  });

  it("--max-key-age where the age of the key is not in the preview => said, with what to do; not taken for young", async () => {
    const aks = await run("--markdown", preview("aks-rotate"), "--max-key-age", "90");
    assert.match(aks.stdout, /the age of etcd's key was not held against 90 days: .*`keyExpiry`/);
    const kops = await run("--markdown", preview("kops-enable"), "--max-key-age", "90");
    assert.match(kops.stdout, /was not held against 90 days: .*`policy\.maximumKeyAgeDays`/);
    assert.doesNotMatch((await run("--markdown", preview("enable"), "--max-key-age", "90")).stdout, /was not held/);
  });

  it("on AKS, a change that would stop on its way, and data that is proven for nothing => unfinished, unverified-data, 4", async () => {
    const plan = ["1. Set: the KMS plugin with key version 2, vault Public", "2. Stop: the key is disabled; enable it"];
    const stops = await run(
      "--markdown",
      changed("aks-rotate", (step) => withInputs(step, { plan })),
    );
    assert.equal(stops.code, 4);
    assert.match(stops.stdout, /\*\*unfinished\*\* \(`etcd`\): the key is disabled; enable it\./);
    const unproven = changed("aks-rotate", (step) => {
      const isRollout = rolloutUrn.test(step.urn);
      const outputs = { ...step.oldState?.outputs, evidence: { complete: false, method: "api" } };
      return isRollout ? { ...withInputs(step, { plan: [] }), oldState: { ...step.oldState, outputs } } : step;
    });
    const seen = await run("--markdown", unproven);
    assert.equal(seen.code, 4);
    assert.match(seen.stdout, /\*\*unverified-data\*\*/);
  });

  it("names that would be HTML, a mention or another cell => shown as they are", async () => {
    const plan = ["Read: every <script> | @everyone; on cp1"];
    const { stdout } = await run(
      "--markdown",
      changed("rotate", (step) => withInputs(step, { plan })),
    );
    assert.match(stdout, /\| Read \| every &lt;script> \\\| &#64;everyone \| on cp1 \|/);
  });

  it("a file that is no preview, one that is not there, and neither file nor target => what to do instead", async () => {
    const noPreview = await run("--markdown", join(__dirname, "preview-comment.test.ts"));
    assert.equal(noPreview.code, 1);
    assert.match(noPreview.stderr, /is no output of pulumi preview --json\nremedy: run/);
    assert.match((await run("--markdown", "/no/such/file")).stderr, /\/no\/such\/file can't be read \(ENOENT\)/);
    const nothing = await run();
    assert.equal(nothing.code, 2);
    assert.match(nothing.stderr, /^error: target is missing; name a declared key version, or identity/);
  });
});

interface State {
  readonly inputs?: Readonly<Record<string, unknown>>;
  readonly outputs?: Readonly<Record<string, unknown>>;
  readonly retainOnDelete?: boolean;
}

interface Step {
  readonly urn: string;
  readonly oldState?: State;
  readonly newState?: State;
}

const rolloutUrn = /\$kms-etcd:index:(EncryptionRollout|AksKmsSettings|KopsKmsSettings)::/;

function withInputs(step: Step, inputs: Readonly<Record<string, unknown>>): Step {
  if (!rolloutUrn.test(step.urn)) return step;
  return { ...step, newState: { ...step.newState, inputs: { ...step.newState?.inputs, ...inputs } } };
}
