/**
 * Runs the scripts of a pipeline of examples/ci as its service does: the same shell with the same options, the same way to put
 * values into scripts and to hand them on, and the same rule for what runs after a step that failed.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { reviewToken } from "./review-services";

export interface PipelineRun {
  readonly passed: boolean;
  readonly said: string;
}

export interface PipelineScene {
  /** A checkout with the folder `infrastructure`, and a temporary directory of the runner's. */
  readonly checkout: string;
  readonly temporary: string;
  readonly services: string;
  /** Of the runner: PATH, and what the stand-ins for programs read. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

type Variables = Readonly<Record<string, string>>;

const read = (name: string): unknown =>
  parse(readFileSync(join(__dirname, "..", "..", "..", "examples", "ci", name), "utf8"));

/** GitHub: every step in a shell of its own, `bash -e`; a step that fails ends the job. */
export async function runGithub(scene: PipelineScene): Promise<PipelineRun> {
  interface Step {
    readonly id?: string;
    readonly run?: string;
    readonly env?: Variables;
  }
  const { env, jobs } = read("github-actions.yml") as { env: Variables; jobs: { preview: { steps: readonly Step[] } } };
  const outputFile = join(scene.temporary, "output");
  writeFileSync(outputFile, "");
  const contexts = (): Variables => ({
    "github.token": reviewToken,
    "github.event.pull_request.number": "7",
    "secrets.PULUMI_PREVIEW_TOKEN": "reads-state",
    ...Object.fromEntries(
      [...readFileSync(outputFile, "utf8").matchAll(/^(\w+)=(.*)$/gm)].map(([, name, value = ""]) => [
        `steps.comment.outputs.${name}`,
        value,
      ]),
    ),
  });
  const expanded = (text: string) =>
    text.replaceAll(/\$\{\{ ([\w.]+) \}\}/g, (_, name: string) => contexts()[name] ?? assert.fail(`no ${name}`));
  let said = "";
  for (const { run: script, env: own = {} } of jobs.preview.steps.filter(({ run: script }) => script !== undefined)) {
    const { code, output } = await bash(scene, ["-e"], expanded(script ?? ""), {
      ...env,
      ...Object.fromEntries(Object.entries(own).map(([name, value]) => [name, expanded(value)])),
      GITHUB_REPOSITORY: "owner/repo",
      GITHUB_OUTPUT: outputFile,
      GITHUB_STEP_SUMMARY: join(scene.temporary, "summary"),
      RUNNER_TEMP: scene.temporary,
    });
    said += output;
    if (code !== 0) return { passed: false, said };
  }
  return { passed: true, said };
}

/**
 * GitLab: all lines in one shell that ends with the first that fails; then after_script, whatever has happened. Its image has git, curl and
 * node, and no jq.
 */
export async function runGitlab(scene: PipelineScene): Promise<PipelineRun> {
  interface Job {
    readonly script: readonly string[];
    readonly after_script: readonly string[];
    readonly variables: Variables;
  }
  const { "etcd-encryption-preview": job } = read("gitlab-ci.yml") as { "etcd-encryption-preview": Job };
  const image = join(scene.temporary, "image");
  mkdirSync(image, { recursive: true });
  writeFileSync(join(image, "jq"), "#!/bin/sh\necho 'jq: command not found' >&2\nexit 127\n", { mode: 0o755 });
  const environment = {
    ...job.variables,
    PATH: `${image}:${scene.environment["PATH"] ?? ""}`,
    CI_PROJECT_DIR: scene.checkout,
    CI_API_V4_URL: `${scene.services}/api/v4`,
    CI_MERGE_REQUEST_PROJECT_ID: "5",
    CI_MERGE_REQUEST_IID: "7",
    CLOUD_TOKEN: "signed-by-gitlab",
    PREVIEW_NOTE_TOKEN: reviewToken,
    PULUMI_ACCESS_TOKEN: "reads-state",
  };
  const { code, output } = await bash(scene, ["-eo", "pipefail"], job.script.join("\n"), environment, scene.checkout);
  const after = await bash(scene, ["-eo", "pipefail"], job.after_script.join("\n"), environment, scene.checkout);
  return { passed: code === 0, said: output + after.output };
}

/** Azure Pipelines: every step in a shell of its own that goes on after a command that fails; values by `$(name)` and `##vso[...]`. */
export async function runAzure(scene: PipelineScene): Promise<PipelineRun> {
  interface Step {
    readonly script?: string;
    readonly condition?: string;
    readonly env?: Variables;
    readonly inputs?: { readonly inlineScript?: string };
    readonly displayName?: string;
  }
  const { variables, steps } = read("azure-pipelines.yml") as { variables: object; steps: readonly Step[] };
  const known: Record<string, string> = {
    ...Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, String(value)])),
    "Agent.TempDirectory": scene.temporary,
    "Build.Repository.ID": "repo",
    "System.AccessToken": reviewToken,
    "System.CollectionUri": `${scene.services}/organisation/`,
    "System.PullRequest.PullRequestId": "7",
    "System.TeamProject": "project",
    pulumiPreviewToken: "reads-state",
  };
  const expanded = (text: string) =>
    text.replaceAll(/\$\(([\w.]+)\)/g, (_, name: string) => known[name] ?? assert.fail(`no variable ${name}`));
  let said = "";
  for (const step of steps) {
    const script = step.script ?? step.inputs?.inlineScript;
    // It downloads the CLI.
    if (script === undefined || step.displayName === "Install Pulumi") continue;
    assert.ok([undefined, "and(succeeded(), eq(variables['Build.Reason'], 'PullRequest'))"].includes(step.condition));
    const { code, output } = await bash(scene, ["--noprofile", "--norc"], expanded(script), {
      ...Object.fromEntries(Object.entries(step.env ?? {}).map(([name, value]) => [name, expanded(value)])),
      ...(step.script === undefined
        ? { servicePrincipalId: "client", tenantId: "tenant", idToken: "signed-by-azure" }
        : {}),
    });
    said += output;
    for (const [, name = "", value = ""] of output.matchAll(/^##vso\[task\.setvariable variable=(\w+)\](.*)$/gm))
      known[name] = value;
    if (code !== 0) return { passed: false, said };
  }
  return { passed: true, said };
}

async function bash(
  { checkout, temporary, services, environment }: PipelineScene,
  options: readonly string[],
  script: string,
  more: Readonly<Record<string, string>>,
  cwd = join(checkout, "infrastructure"),
): Promise<{ code: number | null; output: string }> {
  mkdirSync(temporary, { recursive: true });
  const file = join(temporary, "script.sh");
  writeFileSync(file, script);
  const child = spawn("bash", [...options, file], {
    cwd,
    env: { ...environment, ...more, SERVICES: services, TMPDIR: temporary },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (output += String(chunk)));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  return { code, output };
}
