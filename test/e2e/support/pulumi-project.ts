/** A Pulumi project of its own in a temporary directory, with the real CLI, a file backend and a home of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { findTool } from "../../../tools/find-tool";

export interface PulumiRun {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Standard output and error together, as a person sees them. */
  readonly text: string;
}

export interface PulumiProject {
  readonly directory: string;
  /** Where this project's CLI keeps its things; for tests that start it in another way. */
  readonly environment: Readonly<Record<string, string>>;
  /** Runs the CLI to its end. */
  run(args: readonly string[], environment?: Readonly<Record<string, string>>): Promise<PulumiRun>;
  /** Starts it; for tests that kill it. */
  start(
    args: readonly string[],
    environment?: Readonly<Record<string, string>>,
  ): { child: ChildProcess; ended: Promise<PulumiRun> };
  /** Runs it, and throws with all that it said when it fails. */
  succeed(args: readonly string[], environment?: Readonly<Record<string, string>>): Promise<string>;
  configure(values: Readonly<Record<string, string | number | boolean>>): Promise<void>;
  outputs(): Promise<Record<string, unknown>>;
  /** The resources in the state, by the part of the URN behind the project. */
  resources(): Promise<Record<string, Record<string, unknown>>>;
}

export const repository = join(__dirname, "..", "..", "..");

export interface ProjectOptions {
  readonly directory: string;
  readonly files: Readonly<Record<string, string>>;
  /** Where the program finds its packages: this repository's, unless the test installs its own. */
  readonly linkPackages?: boolean;
}

/** Writes the files and makes the stack `test`. */
export async function pulumiProject(options: ProjectOptions): Promise<PulumiProject> {
  const { directory } = options;
  const cli = (await findTool("pulumi")).path;
  const backend = join(directory, ".backend");
  mkdirSync(backend, { recursive: true });
  for (const [name, content] of Object.entries(options.files)) writeFileSync(join(directory, name), content);
  if (options.linkPackages !== false) symlinkSync(join(repository, "node_modules"), join(directory, "node_modules"));
  const path = `${dirname(cli)}:${process.env["PATH"] ?? ""}`;
  const environment = {
    PULUMI_HOME: join(directory, ".home"),
    PULUMI_BACKEND_URL: `file://${backend}`,
    PULUMI_CONFIG_PASSPHRASE: "",
    PULUMI_SKIP_UPDATE_CHECK: "1",
    PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "1",
  };

  function start(args: readonly string[], more: Readonly<Record<string, string>> = {}) {
    const child = spawn(cli, [...args, "--non-interactive", "--color", "never"], {
      cwd: directory,
      env: { ...process.env, PATH: path, ...environment, ...more },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let text = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
    // `exit`, not `close`: a provider that outlives a killed CLI holds the pipes open for a moment.
    const ended = new Promise<PulumiRun>((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code, signal) => setImmediate(() => resolve({ code, signal, text })));
    });
    return { child: child as ChildProcess, ended };
  }

  const run: PulumiProject["run"] = (args, more) => start(args, more).ended;
  const succeed: PulumiProject["succeed"] = async (args, more) => {
    const { code, signal, text } = await run(args, more);
    if (code !== 0) throw new Error(`pulumi ${args.join(" ")} ended with ${code ?? signal}:\n${text}`);
    return text;
  };

  await succeed(["stack", "init", "test"]);
  return {
    directory,
    environment,
    start,
    run,
    succeed,
    async configure(values) {
      const settings = Object.entries(values).flatMap(([name, value]) => ["--plaintext", `${name}=${value}`]);
      await succeed(["config", "set-all", ...settings]);
    },
    outputs: async () => JSON.parse(await succeed(["stack", "output", "--json"])) as Record<string, unknown>,
    async resources() {
      const { deployment } = JSON.parse(await succeed(["stack", "export"])) as {
        deployment: { resources?: { urn: string }[] };
      };
      return Object.fromEntries(
        (deployment.resources ?? []).map((resource) => [
          resource.urn.split("::").slice(2).join("::"),
          resource as unknown as Record<string, unknown>,
        ]),
      );
    },
  };
}

/** A project with a program in JavaScript and our provider. `others`: folders of other plugins, by name. */
export function programFiles(program: string, others?: Readonly<Record<string, string>>): Record<string, string> {
  return {
    "Pulumi.yaml": projectFile("index.js", join(repository, "provider"), others),
    // Pulumi warns where there is none.
    "package.json": JSON.stringify({ name: "program", private: true }),
    "index.js": program,
  };
}

/** An example's program, compiled: a preview with it takes half the time of one with TypeScript. */
export function exampleProgram(name: string): string {
  return `module.exports = require(${JSON.stringify(join(repository, "dist", "examples", name))});\n`;
}

/** A Pulumi.yaml for a program in JavaScript. `provider`: the folder of ours, where it is not found by itself; `others`: theirs, by name. */
export function projectFile(main: string, provider?: string, others: Readonly<Record<string, string>> = {}): string {
  const ours = provider === undefined ? {} : { "kms-etcd": provider };
  const providers = Object.entries({ ...ours, ...others }).map(([name, path]) => ({ name, path }));
  return JSON.stringify({
    name: "kms-etcd-test",
    main,
    runtime: { name: "nodejs", options: { typescript: false } },
    ...(providers.length === 0 ? {} : { plugins: { providers } }),
  });
}
