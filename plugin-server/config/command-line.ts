/** From the command line to a typed configuration: which key provider is meant, and everything that is wrong, at once. */
import { KmsEtcdError } from "../../core/errors";
import { awsFlags, readAwsConfig } from "./aws";
import { azureFlags, readAzureConfig } from "./azure";
import { type FlagSpecs, type Flags, readFlags } from "./flags";
import { localFlags, readLocalConfig } from "./local";
import type { PluginConfig } from "./plugin-config";

export type CommandLine =
  | { readonly kind: "run"; readonly config: PluginConfig; readonly warnings: readonly string[] }
  | { readonly kind: "help"; readonly text: string }
  | { readonly kind: "version" };

interface Command {
  readonly about: string;
  readonly flags: FlagSpecs;
  readonly read: (flags: Flags) => PluginConfig;
  /** Flags that only this command has and that none of its uses lacks: by them it is known without being named. */
  readonly markers: readonly string[];
}

const commands: Readonly<Record<string, Command>> = {
  azure: {
    about: "key in Azure Key Vault; the flags of Azure/kubernetes-kms",
    flags: azureFlags,
    read: readAzureConfig,
    markers: ["keyvault-name", "key-name", "key-version"],
  },
  aws: {
    about: "keys in AWS KMS; the flags of aws-encryption-provider",
    flags: awsFlags,
    read: readAwsConfig,
    markers: ["key"],
  },
  local: {
    about: "key in a local file, for development",
    flags: localFlags,
    read: readLocalConfig,
    markers: ["key-file"],
  },
};

/** Throws `invalid-input` with all problems of the command line. */
export function readCommandLine(args: readonly string[]): CommandLine {
  const [first] = args;
  const name = first === undefined || first.startsWith("-") ? commandOf(args) : first;
  const command = name === undefined || !Object.hasOwn(commands, name) ? undefined : commands[name];
  if (name === undefined || command === undefined) return withoutCommand(args, name);
  const flags = readFlags(name === first ? args.slice(1) : args, command.flags, (flag) => ownerOf(flag));
  if (flags.flag("help") || flags.flag("h")) return { kind: "help", text: usage(name, command) };
  if (flags.flag("version")) return { kind: "version" };
  const config = command.read(flags);
  if (flags.problems.length > 0) throw problems(flags.problems, name);
  return { kind: "run", config, warnings: flags.warnings };
}

/** The one command whose markers stand among the flags; the upstream plugins have no subcommands. */
function commandOf(args: readonly string[]): string | undefined {
  const names = new Set(args.map((argument) => /^--?([^-=][^=]*)/.exec(argument)?.[1]));
  const meant = Object.entries(commands).filter(([, { markers }]) => markers.some((marker) => names.has(marker)));
  return meant.length === 1 ? meant[0]?.[0] : undefined;
}

function withoutCommand(args: readonly string[], name: string | undefined): CommandLine {
  if (args.some((argument) => /^--?version$/.test(argument))) return { kind: "version" };
  if (args.length === 0 || args.some((argument) => /^--?h(elp)?$/.test(argument)) || name === "help") {
    return { kind: "help", text: overview() };
  }
  throw problems(
    [
      name === undefined
        ? "the flags do not tell whether the key is in Azure Key Vault, in AWS KMS or in a local file"
        : `"${name}" is not one of ${Object.keys(commands).join(", ")}`,
    ],
    "azure|aws|local",
  );
}

function ownerOf(flag: string): string | undefined {
  return Object.entries(commands).find(([, { flags }]) => Object.hasOwn(flags, flag))?.[0];
}

function problems(list: readonly string[], name: string): KmsEtcdError {
  const lines = list.map((problem) => `\n  - ${problem}`).join("");
  const count = list.length === 1 ? "a problem" : `${list.length} problems`;
  return new KmsEtcdError("invalid-input", `the command line has ${count}:${lines}`, {
    remedy: `see kms-etcd-plugin ${name} --help`,
  });
}

function overview(): string {
  const lines = Object.entries(commands).map(
    ([name, { about }]) => `  kms-etcd-plugin ${name.padEnd(5)} [flags]  ${about}\n`,
  );
  return `A KMS plugin for Kubernetes: serves KMS v2 and v1 on a unix socket.\n\n${lines.join("")}\nWithout azure, aws or local the flags decide. --version prints the version.\n`;
}

function usage(name: string, { about, flags }: Command): string {
  const lines = Object.entries(flags).map(([flag, { placeholder, help, default: value }]) => {
    const left = `${flag.length === 1 ? "-" : "--"}${flag}${placeholder === undefined ? "" : ` ${placeholder}`}`;
    return `  ${left.padEnd(32)} ${help}${value === undefined ? "" : ` (default ${value})`}\n`;
  });
  return `kms-etcd-plugin ${name}: ${about}\n\n${lines.join("")}`;
}
