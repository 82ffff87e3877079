import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCli } from "../../rotation/cli/program";
import { writePipelinePrograms } from "./support/pipeline-programs";
import { type ReviewServices, reviewToken, startReviewServices } from "./support/review-services";
import { type PipelineRun, runAzure, runGithub, runGitlab } from "./support/run-pipeline";

/** Real previews of a real control plane, and the comments that are made of them. */
const previews = join(__dirname, "..", "rotation", "cli", "previews");
const comment = (name: string) => readFileSync(join(previews, `${name}.md`), "utf8");

/** The services themselves can't be had here. Their shells can, and so can what they would be asked. */
describe("the pipelines in examples/ci, their scripts run as the services run them", function () {
  this.timeout(120_000);
  let directory: string;
  let bin: string;
  let services: ReviewServices;

  before(function () {
    const missing = ["bash", "curl", "jq"].filter((program) => spawnSync(program, ["--version"]).status !== 0);
    if (missing.length === 0) return;
    process.stdout.write(`      not run: ${missing.join(", ")} can't be had\n`);
    this.skip();
  });
  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), "kms-etcd-pipeline-"));
    bin = writePipelinePrograms(directory);
    mkdirSync(join(directory, "checkout", "infrastructure"), { recursive: true });
    mkdirSync(join(directory, "runner"));
    services = await startReviewServices(async (args) => {
      let stdout = "";
      const code = await runCli(
        args.map((arg) => (arg === "preview.json" ? join(directory, "checkout", "infrastructure", arg) : arg)),
        {
          stdout: { write: (text) => (stdout += text) },
          stderr: { write: () => true },
          signal: new AbortController().signal,
          version: "0.0.0-test",
        },
      );
      return { code, stdout };
    });
  });
  afterEach(async () => {
    await services.close();
    rmSync(directory, { recursive: true });
  });

  const pipelines = { "GitHub Actions": runGithub, GitLab: runGitlab, "Azure Pipelines": runAzure } as const;

  for (const [name, pipeline] of Object.entries(pipelines)) {
    const run = (preview: string): Promise<PipelineRun> =>
      pipeline({
        checkout: join(directory, "checkout"),
        temporary: join(directory, "runner"),
        services: services.url,
        environment: {
          ...process.env,
          PATH: `${bin}:${process.env["PATH"] ?? ""}`,
          PREVIEW_FILE: join(previews, `${preview}.json`),
          PREVIEW_CODE: preview === "failed" ? "1" : "0",
        },
      });

    it(`${name}: a rotation, then a change without one => passes; one comment, replaced; other comments stay`, async () => {
      const [person] = services.comments;
      const first = await run("rotate");
      assert.ok(first.passed, first.said);
      assert.deepEqual(services.comments, [person, comment("rotate")]);
      const second = await run("same");
      assert.ok(second.passed, second.said);
      assert.deepEqual(services.comments, [person, comment("same")]);
    });

    it(`${name}: a preview that failed => the comment says why, and the pipeline fails`, async () => {
      const { passed, said } = await run("failed");
      assert.ok(!passed, said);
      assert.deepEqual(services.comments.slice(1), [comment("failed")]);
    });

    it(`${name}: a comment that is refused => the pipeline fails, so that nobody merges what nobody saw`, async () => {
      services.refuse();
      const { passed, said } = await run("rotate");
      assert.ok(!passed, said);
      assert.match(said, /403/);
      assert.equal(services.comments.length, 1);
    });

    it(`${name}: tokens => in no output, and in no file that stays`, async () => {
      const { said } = await run("rotate");
      assert.ok(!said.includes(reviewToken));
      assert.ok(!existsSync(join(directory, "checkout.tmp")), "GitLab's folder beside the checkout is removed");
      const kept = readdirSync(directory, { recursive: true, withFileTypes: true }).filter(
        // The runner's own copy of a step's script has what the service put into it.
        (entry) => entry.isFile() && entry.name !== "script.sh",
      );
      for (const { parentPath, name: file } of kept)
        assert.ok(!readFileSync(join(parentPath, file), "utf8").includes(reviewToken), file);
    });
  }
});
