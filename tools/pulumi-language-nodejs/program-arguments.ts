/** How the SDK's own runner is told what to run. Pure. */

/** A `Run` request, as far as it matters here. */
export interface ProgramRun {
  readonly engineAddress: string;
  readonly monitorAddress: string;
  readonly organization: string;
  readonly project: string;
  readonly rootDirectory: string;
  readonly stack: string;
  readonly workingDirectory: string;
  readonly dryRun: boolean;
  readonly parallel: number;
  readonly entryPoint: string;
  readonly arguments: readonly string[];
  /** By `namespace:key`. */
  readonly config: ReadonlyMap<string, string>;
  readonly secretKeys: readonly string[];
  /** `runtime.options` of Pulumi.yaml. */
  readonly options: Readonly<Record<string, unknown>>;
}

/** Arguments for node, from its own flags to those of the program. */
export function programArguments(runner: string, run: ProgramRun): readonly string[] {
  return [
    ...nodeArguments(run.options),
    runner,
    "--monitor",
    run.monitorAddress,
    "--engine",
    run.engineAddress,
    "--organization",
    run.organization,
    "--project",
    run.project,
    "--root-directory",
    run.rootDirectory,
    "--stack",
    run.stack,
    "--pwd",
    run.workingDirectory,
    ...(run.dryRun ? ["--dry-run"] : []),
    "--parallel",
    String(run.parallel),
    run.entryPoint,
    ...run.arguments,
  ];
}

/** Variables that the SDK reads its configuration and its TypeScript settings from. */
export function programEnvironment(run: ProgramRun): Record<string, string> {
  const config = Object.fromEntries([...run.config].map(([key, value]) => [sdkKey(key), value]));
  const tsconfig = run.options["tsconfig"];
  return {
    PULUMI_CONFIG: JSON.stringify(config),
    PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(run.secretKeys.map(sdkKey)),
    PULUMI_NODEJS_TYPESCRIPT: run.options["typescript"] === false ? "false" : "true",
    ...(typeof tsconfig === "string" && { PULUMI_NODEJS_TSCONFIG_PATH: tsconfig }),
  };
}

/** `nodeargs` of `runtime.options`: one text, flags separated by spaces. */
export function nodeArguments(options: Readonly<Record<string, unknown>>): readonly string[] {
  const text = options["nodeargs"];
  return typeof text === "string" ? text.split(/\s+/).filter((word) => word !== "") : [];
}

/** The SDK takes `config:` out of a key again, and would take it out of a key of the user's that begins so. */
function sdkKey(key: string): string {
  const colon = key.indexOf(":");
  return colon < 0 ? key : `${key.slice(0, colon)}:config:${key.slice(colon + 1)}`;
}
