/** The command line of `kms-etcd`: what can be said, and what each command does with it. */
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { KubeadmApiVersion } from "../../core/bootstrap";
import { describeError, KmsEtcdError } from "../../core/errors";
import { RotationStage, rotationStages } from "../../core/rotation-stage";
import type { Clock } from "../clock";
import { type Cluster, closeCluster } from "../cluster";
import { planRotation } from "../plan";
import { BootstrapPart, bootstrapParts, bootstrapText } from "./bootstrap-command";
import { errorDocument } from "./error-document";
import { ExitCode, exitCodeHelp } from "./exit-code";
import { jsonText } from "./json-text";
import { counted, lookAtStatus, parseTarget, type Target, targetOf } from "./look";
import { planDocument, planText } from "./plan-text";
import type { PlatformReader } from "./platform-blocks";
import { type PreviewCommentFlags, previewComment } from "./preview-comment";
import { prepareReport, type ReportFlags } from "./report-file";
import { type RetireRequest, reinstateCommand, retireCommand } from "./retire-command";
import { provenByWriting, type RunName, runCommand } from "./run-command";
import { readSettings, type Settings, type SettingsFlags } from "./settings";
import { writeStatusMetrics } from "./status-metrics";
import { statusText } from "./status-text";
import { type SubscriptionReader, subscriptionStatus } from "./subscription-status";
import { busy, type Output, type Terminal, terminal as terminalOf } from "./terminal";
import { UsageError } from "./usage-error";
import { type VerifyReportFlags, verifyReport } from "./verify-report";

export interface CliOptions {
  readonly stdout: Output;
  readonly stderr: Output;
  /** Aborted by ^C: the engine stops at its next safe point. */
  readonly signal: AbortSignal;
  readonly version: string;
  /** @default all platforms */
  readonly platforms?: ReadonlyMap<string, PlatformReader>;
  /** Of the engine. @default the system's */
  readonly clock?: Clock;
  /** What a subscription of Azure's has. @default ARM is asked */
  readonly subscription?: SubscriptionReader;
}

type CommonFlags = SettingsFlags & { readonly json?: boolean };
type RunFlags = CommonFlags &
  ReportFlags & { readonly advanceTo?: RotationStage } & LeaseFlags & {
    readonly compact?: boolean;
  };
interface BootstrapFlags {
  readonly print: BootstrapPart;
  readonly kubeadmApiVersion: KubeadmApiVersion;
}
interface LeaseFlags {
  readonly breakLease?: boolean;
  readonly withoutLease?: boolean;
}

/** Runs one command to its end. Does not throw: whatever happens is said on stderr, and in the exit code. */
export async function runCli(args: readonly string[], options: CliOptions): Promise<ExitCode> {
  const plain = terminalOf(options.stdout, options.stderr);
  let hasPrinted = false;
  const terminal: Terminal = {
    ...plain,
    print(text) {
      hasPrinted = true;
      plain.print(text);
    },
  };
  let exitCode: ExitCode = ExitCode.Ok;
  const program = commands(options, terminal, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(args, { from: "user" });
    return exitCode;
  } catch (thrown) {
    const code = explain(thrown, options, terminal);
    // One document, whatever happens; help and version are no results.
    const isResult = code !== ExitCode.Ok && !hasPrinted;
    if (isResult && args.includes("--json")) plain.print(jsonText(errorDocument(thrown, code)));
    return code;
  }
}

function commands(options: CliOptions, terminal: Terminal, finish: (code: ExitCode) => void): Command {
  const { signal, platforms, clock } = options;
  const context = { terminal, signal };
  const root = new Command("kms-etcd")
    .description("etcd encryption with a KMS and its key rotation, without Pulumi")
    .version(options.version)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => options.stdout.write(text),
      writeErr: (text) => options.stderr.write(text),
    })
    .addHelpText("after", exitCodeHelp);

  /** What can be wrong with what was given is found before anything is looked at: `prepare` returns what to do then. */
  async function onCluster(
    flags: CommonFlags,
    prepare: (settings: Settings) => Promise<(cluster: Cluster) => Promise<ExitCode>>,
  ): Promise<void> {
    const settings = await readSettings(flags, platforms);
    const work = await prepare(settings);
    const cluster = await settings.platform.open();
    try {
      finish(await work(cluster));
    } finally {
      await closeCluster(cluster);
    }
  }

  async function plan(cluster: Cluster, settings: Settings, wanted: number, flags: RunFlags): Promise<ExitCode> {
    const target = await targetOf(cluster, settings, wanted, flags.advanceTo ?? RotationStage.Prune, context);
    const { stored, text } = counted(cluster.stored);
    const { fleet } = cluster;
    const planned = await busy(terminal, text, planRotation({ goal: target.goal, fleet, stored, signal }));
    if (signal.aborted) throw new KmsEtcdError("cancelled", "stopped; nothing was changed");
    terminal.print(flags.json ? jsonText(planDocument(planned, target)) : planText(planned, target));
    if (planned.blocked !== undefined) return ExitCode.Blocked;
    return planned.changes ? ExitCode.Pending : ExitCode.Ok;
  }

  const command = (name: string, description: string) =>
    root
      .command(name)
      .description(description)
      .option("--config <file>", "YAML file that names the cluster and its keys")
      .option("--control-plane <file>", "control-plane.json of a control plane on this machine")
      .option("--key <version=file>", "a version of the key, in a local key file; repeat it for each", collect)
      .option(
        "--resource <name>",
        "a resource to encrypt; repeat it for each (default: what is encrypted now)",
        collect,
      )
      .option("--json", "print one JSON document");
  const run = (name: RunName, description: string, takesTarget: "required" | "optional") => {
    const argument = takesTarget === "required" ? "<target>" : "[target]";
    return command(name, description)
      .argument(argument, targetHelp(takesTarget))
      .option("--report <file>", "write what was proven to this new file, as a DSSE envelope")
      .option("--sign-with <file>", "sign the report with this private key (PEM, Ed25519 or ECDSA, mode 0600)")
      .action((target: string | undefined, flags: RunFlags) =>
        onCluster(flags, async (settings) => {
          const wanted = target === undefined ? undefined : parseTarget(target, settings);
          const reportFile = await prepareReport(flags);
          const advanceTo = name === "rotate" ? (flags.advanceTo ?? RotationStage.Prune) : RotationStage.Verify;
          return async (cluster) =>
            runCommand({
              ...context,
              name,
              cluster,
              settings,
              target: compacting(await targetOf(cluster, settings, wanted, advanceTo, context), flags.compact === true),
              breakLease: flags.breakLease === true,
              withoutLease: flags.withoutLease === true,
              json: flags.json === true,
              reportFile,
              ...(clock && { clock }),
            });
        }),
      );
  };
  const advanceTo = () => new Option("--advance-to <stage>", "the last stage to carry out").argParser(parseStage);
  const plaintextReads = () =>
    new Option("--allow-plaintext-reads", "keep identity as the last reader, for objects stored in plaintext");
  const rewriteBy = () =>
    new Option("--rewrite-by <method>", "who rewrites objects: Patch (this program) or InTreeMigration (the cluster)");
  const breakLease = () => new Option("--break-lease", "take over from another engine, which then stops");
  const withoutLease = () =>
    new Option("--without-lease", "go on where the Lease that keeps a second engine out cannot be had");
  const etcdSnapshot = () =>
    new Option("--etcd-snapshot <directory>", "keep a snapshot of etcd there before anything leaves a configuration");
  const custody = (name: string, description: string, work: (request: RetireRequest) => Promise<ExitCode>) =>
    command(name, description)
      .argument("<version>", "a declared key version")
      .addOption(etcdSnapshot())
      .action((text: string, { breakLease, withoutLease, ...flags }: CommonFlags & LeaseFlags) =>
        onCluster(flags, async (settings) => {
          const version = parseTarget(text, settings);
          if (version === 0) throw new UsageError([{ path: "the version", reason: "is identity, which has no key" }]);
          const lease = { breakLease: breakLease === true, withoutLease: withoutLease === true };
          return (cluster) => work({ ...context, cluster, settings, version, json: flags.json === true, ...lease });
        }),
      );

  command("status", "show servers, plugins, and what is stored with which key")
    .option("--metrics <file>", "write it in Prometheus' text form too, for a textfile collector")
    .option("--subscription <id>", "of Azure: list its clusters of AKS and how each encrypts, and look at nothing else")
    .action(async (flags: CommonFlags & { readonly metrics?: string; readonly subscription?: string }) => {
      const { subscription, ...rest } = flags;
      if (subscription !== undefined)
        return finish(await subscriptionStatus({ ...rest, subscription }, context, options.subscription));
      await onCluster(flags, async (settings) => async (cluster) => {
        const status = await lookAtStatus(cluster, settings, context);
        if (flags.metrics !== undefined) await writeStatusMetrics(flags.metrics, status);
        terminal.print(flags.json ? jsonText(status) : statusText(status));
        if (status.trouble.length > 0) return ExitCode.Blocked;
        return status.pending.length > 0 ? ExitCode.Pending : ExitCode.Ok;
      });
    });

  command("plan", "show what rotate would do; changes nothing")
    .argument("[target]", targetHelp("required"))
    .addOption(advanceTo())
    .addOption(plaintextReads())
    .addOption(rewriteBy())
    .option(
      "--markdown <file>",
      "make a pull request's comment of what `pulumi preview --json` has written (- for stdin)",
    )
    .addOption(new Option("--max-key-age <days>", "with --markdown: how old the key may be").argParser(parseDays))
    .action(async (text: string | undefined, flags: RunFlags & Partial<PreviewCommentFlags>) => {
      const { markdown, ...rest } = flags;
      if (markdown !== undefined) return finish(await previewComment({ ...rest, markdown }, terminal, Date.now()));
      if (text === undefined)
        throw new UsageError([{ path: "target", reason: `is missing; name ${targetHelp("required")}` }]);
      await onCluster(flags, async (settings) => {
        const wanted = parseTarget(text, settings);
        return (cluster) => plan(cluster, settings, wanted, flags);
      });
    });

  run("rotate", "take the cluster to a key version, or to identity: enable, rotate, roll back, disable", "required")
    .addOption(advanceTo())
    .addOption(plaintextReads())
    .addOption(rewriteBy())
    .addOption(etcdSnapshot())
    .option("--compact", "have etcd forget what was overwritten, then defragment its members, at the end")
    .addOption(breakLease())
    .addOption(withoutLease());
  run("rewrite", "write every stored object again that is stale; changes no configuration", "optional")
    .addOption(rewriteBy())
    .addOption(breakLease())
    .addOption(withoutLease());
  run("verify", "prove what is stored with which key; changes no configuration", "optional")
    .addHelpText("after", `\n${capitalized(provenByWriting)}.`)
    .addOption(breakLease())
    .addOption(withoutLease());

  command("bootstrap", "print what a new control-plane host needs to join with the configuration in force")
    .addOption(
      new Option("--print <part>", "the part to print").choices(bootstrapParts).default(BootstrapPart.CloudInit),
    )
    .addOption(
      new Option("--kubeadm-api-version <version>", "of kubeadm's configuration")
        .choices(Object.values(KubeadmApiVersion))
        .default(KubeadmApiVersion.V1Beta4),
    )
    .action((flags: CommonFlags & BootstrapFlags) =>
      onCluster(flags, async (settings) => {
        const { keys, platform } = settings;
        const described = platform.selfManaged;
        if (described === undefined) {
          throw new UsageError([
            { path: "selfManaged", reason: "is missing: bootstrap is for hosts reached over SSH" },
          ]);
        }
        const { print: part, kubeadmApiVersion } = flags;
        return async (cluster) => {
          const text = await bootstrapText({ ...context, cluster, described, keys, part, kubeadmApiVersion });
          terminal.print(flags.json === true ? jsonText({ command: "bootstrap", part, text }) : text);
          return ExitCode.Ok;
        };
      }),
    );

  custody("retire", "make the key of a version unusable, if nothing needs it; nothing of it is lost", retireCommand)
    .addHelpText("after", `\n${capitalized(provenByWriting)}.`)
    .addOption(breakLease())
    .addOption(withoutLease());
  custody("reinstate", "make the key of a retired version usable again", reinstateCommand);

  root
    .command("verify-report")
    .description("check the signature of a report, and show what it says")
    .argument("<file>", "a file that --report has written")
    .requiredOption("--public-key <file>", "public key or certificate (PEM) of whoever signed it")
    .option("--json", "print one JSON document")
    .action(async (file: string, flags: VerifyReportFlags) => {
      finish(await verifyReport(file, flags, terminal));
    });
  return root;
}

function explain(thrown: unknown, { stderr, signal }: CliOptions, terminal: Terminal): ExitCode {
  // commander has said it already; help and version are no mistakes.
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? ExitCode.Ok : ExitCode.Usage;
  if (thrown instanceof UsageError) {
    const lines = thrown.violations.map(({ path, reason }) => `${path} ${reason}`);
    if (lines.length === 1) terminal.say(`error: ${lines.join("")}`);
    else
      for (const line of [`error: ${lines.length} problems with what was given:`, ...lines.map((line) => `  ${line}`)])
        terminal.say(line);
    return ExitCode.Usage;
  }
  if (!(thrown instanceof KmsEtcdError)) {
    // A bug: its stack says where.
    stderr.write(`error: ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}\n`);
    return ExitCode.Error;
  }
  terminal.say(`error: ${thrown.message}`);
  if (thrown.remedy !== undefined) terminal.say(`remedy: ${thrown.remedy}`);
  if (thrown.cause instanceof KmsEtcdError) terminal.say(`cause: ${describeError(thrown.cause)}`);
  return signal.aborted || thrown.code === "cancelled" ? ExitCode.Interrupted : ExitCode.Error;
}

/** Asked for in this very run, so whatever this run finds to do. */
function compacting(target: Target, compact: boolean): Target {
  return compact ? { ...target, goal: { ...target.goal, compact: "now" } } : target;
}

function targetHelp(takes: "required" | "optional"): string {
  const text = "a declared key version, or identity for plaintext";
  return takes === "required" ? text : `${text} (default: the one that the servers encrypt with now)`;
}

function capitalized(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

function parseDays(text: string): number {
  const days = Number(text);
  if (Number.isSafeInteger(days) && days >= 1) return days;
  throw new InvalidArgumentError("Write a whole number of days, 1 or greater.");
}

function parseStage(text: string): RotationStage {
  const stage = rotationStages.find((known) => known.toLowerCase() === text.toLowerCase());
  if (stage !== undefined) return stage;
  throw new InvalidArgumentError(`Write one of ${rotationStages.join(", ")}.`);
}
