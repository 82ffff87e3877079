import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KmsEtcdError } from "../../../../core/errors";
import { rewriteScript } from "../../../../rotation/adapters/aks/rewrite-script";
import { runCommandRewriter } from "../../../../rotation/adapters/aks/run-command-rewriter";
import type { ArmBody } from "../../../../rotation/adapters/azure/arm-client";

const id = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.ContainerService/managedClusters/aks";
const never = new AbortController().signal;

/** What ARM is asked, and what it answers with. */
function armWith(answer: ArmBody) {
  const asked: { path: string; body: ArmBody | undefined }[] = [];
  const post = async (path: string, _version: string, body: ArmBody | undefined) => {
    asked.push({ path, body });
    return answer;
  };
  return { asked, post };
}
const noToken = async () => assert.fail("no token is needed");

describe("Secrets written again by a command in the cluster", function () {
  this.timeout(30_000); // other work may share the machine
  it("a pass that went well => its counts; what was deleted meanwhile is no failure", async () => {
    const names = Array.from({ length: 7 }, (_, index) => `a/s${index}`);
    const again = names.map((name) => `kms-etcd rewritten ${name}\n`).join("");
    const logs = `${again}kms-etcd offered=12 rewritten=7 gone=1 failed=0\n`;
    const arm = armWith({ properties: { exitCode: 0, logs, provisioningState: "Succeeded" } });
    const seen: number[] = [];
    const result = await runCommandRewriter(arm, { id }, noToken).rewrite(({ done }) => seen.push(done), never);
    assert.deepEqual(result, { offered: 12, rewritten: 7, rewrittenNames: names, failures: [] });
    assert.deepEqual(seen, [0, 12]);
    const [asked] = arm.asked;
    assert.equal(asked?.path, `${id}/runCommand`);
    assert.match(JSON.stringify(asked.body), /kubectl patch secret/);
  });

  it("Secrets that could not be written => failures by name, with the reason, and the rest as a number", async () => {
    const logs = [
      'kms-etcd failed Error from server (Forbidden): secrets "s1" is forbidden: no',
      "kms-etcd offered=30 rewritten=5 gone=0 failed=25",
    ].join("\n");
    const arm = armWith({ properties: { exitCode: 0, logs } });
    const { failures } = await runCommandRewriter(arm, { id }, noToken).rewrite(() => undefined, never);
    assert.deepEqual(
      failures.map(({ name, reason }) => [name, reason]),
      [
        ["s1", "Error from server (Forbidden): secrets is forbidden: no"],
        ["", "24 more of them"],
      ],
    );
  });

  it("a command that failed, or whose pod found no room => unreachable, with what AKS says", async () => {
    const failed = armWith({ properties: { exitCode: 1, logs: "The connection to the server was refused" } });
    await assert.rejects(
      runCommandRewriter(failed, { id }, noToken).rewrite(() => undefined, never),
      (thrown: unknown) =>
        thrown instanceof KmsEtcdError && thrown.code === "unreachable" && thrown.message.includes("was refused"),
    );
    const unscheduled = armWith({ properties: { provisioningState: "Failed", reason: "pod can't be scheduled" } });
    await assert.rejects(
      runCommandRewriter(unscheduled, { id }, noToken).rewrite(() => undefined, never),
      /pod can't be scheduled/,
    );
  });

  /** `patch` is what kubectl does with a batch of `$3`, `$4` and so on; so few Secrets are a batch each, 25 are two a batch. */
  for (const [what, patch, summary, secrets] of [
    [
      "kubectl is ended in the middle => all that it said nothing about has failed",
      "kill -9 $$",
      "rewritten=0 gone=0 failed=3",
      3,
    ],
    [
      "a batch's namespace is gone => one that is gone, and the others are not taken for done",
      "echo 'Error from server (NotFound): namespaces \"a\" not found' >&2; exit 1",
      "rewritten=0 gone=13 failed=12",
      25,
    ],
    [
      "a key that the vault does not find, a webhook's own NotFound, a Secret that is gone => the first two have failed",
      `case $3 in
       s1) echo 'Error from server (InternalError): Internal error occurred: failed to decrypt: StatusCode=404 Code="KeyNotFound" Message="it was not found"' ;;
       s2) echo 'Error from server (NotFound): admission webhook "w" denied the request: nothing like it is not found' ;;
       s3) echo 'Error from server (NotFound): secrets "s3" not found' ;;
       esac >&2; exit 1`,
      "rewritten=0 gone=1 failed=2",
      3,
    ],
    [
      "a warning for each => no failure",
      'echo "secret/$3 patched"; echo "Warning: as it is" >&2',
      "rewritten=3 gone=0 failed=0",
      3,
    ],
    [
      "two were as they should be => one was written",
      'if [ $3 = s1 ]; then echo "secret/$3 patched"; else echo "secret/$3 patched (no change)"; fi',
      "rewritten=1 gone=0 failed=0",
      3,
    ],
  ] as const) {
    it(`the script itself: ${what}`, () => {
      const directory = mkdtempSync(join(tmpdir(), "kms-etcd-run-command-"));
      try {
        const table = Array.from({ length: secrets }, (_, index) => `a s${index + 1} Opaque 1 1d\\n`).join("");
        const kubectl = `#!/bin/sh\nif [ "$1" = get ]; then printf '${table}'; exit 0; fi\n${patch}\n`;
        writeFileSync(join(directory, "kubectl"), kubectl, { mode: 0o755 });
        const env = { PATH: `${directory}:${process.env["PATH"]}`, TMPDIR: directory };
        const { stdout } = spawnSync("bash", ["-c", rewriteScript], { env, encoding: "utf8" });
        assert.match(stdout, new RegExp(`^kms-etcd offered=${secrets} ${summary}$`, "m"), stdout);
        const named = stdout.match(/^kms-etcd rewritten a\/s\d$/gm)?.length ?? 0;
        assert.equal(named, Number(/rewritten=(\d)/.exec(summary)?.[1]), stdout);
      } finally {
        rmSync(directory, { recursive: true });
      }
    });
  }

  it("a cluster with Entra ID => the command runs as whom a token for its API servers names", async () => {
    const arm = armWith({ properties: { exitCode: 0, logs: "kms-etcd offered=0 rewritten=0 gone=0 failed=0" } });
    const cluster = { id, properties: { aadProfile: { managed: true } } };
    const rewriter = runCommandRewriter(arm, cluster, async (server) => `token-for-${server}`);
    await rewriter.rewrite(() => undefined, never);
    assert.equal(arm.asked[0]?.body?.["clusterToken"], "token-for-6dae42f8-4368-4678-94ff-3960e28e3630");
  });

  it("a cluster that runs no commands => blocked before anything is asked, with both ways out", () => {
    const cluster = { id, properties: { apiServerAccessProfile: { disableRunCommand: true } } };
    assert.throws(
      () => runCommandRewriter(armWith({}), cluster, noToken),
      (thrown: unknown) =>
        thrown instanceof KmsEtcdError &&
        thrown.code === "blocked" &&
        (thrown.remedy ?? "").includes("kubernetes.reach"),
    );
  });
});
