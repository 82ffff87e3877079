/**
 * An API server that systemd runs. Its flags come from the unit, its drop-ins and the variables of both; they belong to somebody
 * else. The engine's own file is one drop-in that starts the same command line, variables and all, with two flags more at its
 * end: of a flag that is given twice kube-apiserver takes the last. It notes which command line it was made from, so that a later
 * change of the unit is seen and taken over.
 */
import { basename, join } from "node:path";
import { unitDirectory } from "../../../core/self-managed-cluster";
import { staticPodAnnotations } from "../../../core/static-pod";
import { isUnitAsWritten, sealedUnit } from "../systemd/sealed-unit";
import type { UnitState } from "../systemd/unit-control";
import { environmentOf, type ServiceUnit, serviceUnit } from "../systemd/unit-file";
import { commandWord, splitWords, withVariables } from "../systemd/unit-words";
import type { ApiServerDefinition, Refusal } from "./api-server-definition";
import type { RestartRequest } from "./api-server-manifest";
import { apiServerSetUp, configFlag, reloadFlag, type SetUpPaths } from "./api-server-setup";
import { fileHash } from "./file-hash";
import type { SystemdHost } from "./fleet-host";
import type { Host, HostFile } from "./host";
import type { Manifest } from "./manifest";

/** Behind everybody else's: the last drop-in has the last word. */
const dropInName = "zz-kms-etcd.conf";

/** Undefined where systemd has no such unit. */
export async function readApiServerUnit(host: Host, systemd: SystemdHost): Promise<ApiServerDefinition | undefined> {
  const { apiServerUnit: unit, control } = systemd;
  const path = join(unitDirectory, `${unit}.d`, dropInName);
  const [state] = await control.states([unit]);
  if (state?.isLoaded !== true) return undefined;
  const others = state.files.filter((file) => file !== path);
  const [own, ...read] = await Promise.all([path, ...others].map((file) => host.readFile(file)));
  const files = read.filter((file) => file !== undefined);
  const base = serviceUnit(files.map(textOf));
  const ordered = state.files.includes(path) || own === undefined ? state.files : [...others, path];
  const texts = ordered.map((name) => (name === path ? own : read[others.indexOf(name)])).flatMap((file) => file ?? []);
  const inForce = serviceUnit(texts.map(textOf));
  const environmentFiles = await Promise.all(
    inForce.environmentFiles.map((name) => host.readFile(name.replace(/^-/, ""))),
  );
  const present = environmentFiles.filter((file) => file !== undefined);
  const variables = Object.fromEntries(
    [inForce.environment, ...present.map((file) => environmentOf(textOf(file)))].flatMap((values) =>
      Object.entries(values),
    ),
  );
  const manifest = asManifest(unit, inForce, variables);
  const baseArguments = commandOf(base.commands[0], variables) ?? [];
  const baseHash = fileHash(Buffer.from(base.commands.join("\n")));
  return {
    manifest,
    label: unit,
    path,
    bytes: own?.bytes,
    writtenAt: own?.modifiedAt ?? 0,
    modifiedAt: Math.max(...[...files, ...present, ...(own ? [own] : [])].map((file) => file.modifiedAt), 0),
    restarting: state.hasJob || state.activeState === "deactivating",
    trouble: troubleOf(unit, state),
    refusal: refusalOf(unit, base, inForce, own, path),
    setUp: (paths, reloads) => {
      const found = apiServerSetUp(manifest, paths, reloads);
      const noted = inForce.notes[staticPodAnnotations.baseHash];
      if (noted === undefined || noted === baseHash) return found;
      return { ...found, missing: [...found.missing, "somebody has changed the unit's ExecStart= since"] };
    },
    edited: (request, setUp) =>
      dropIn({ base, baseHash, baseArguments, inForce }, request, setUp?.paths, setUp?.reloads),
  };
}

interface Known {
  readonly base: ServiceUnit;
  readonly baseHash: string;
  readonly baseArguments: readonly string[];
  readonly inForce: ServiceUnit;
}

function dropIn(
  { base, baseHash, baseArguments, inForce }: Known,
  request: RestartRequest,
  paths: SetUpPaths | undefined,
  reloads = false,
): string {
  const notes: Record<string, string> = {
    ...inForce.notes,
    [staticPodAnnotations.encryptionConfigHash]: request.hash,
    [staticPodAnnotations.restartOf]: request.restartOf === undefined ? "" : String(request.restartOf),
  };
  if (paths === undefined) return sealedUnit(notes, serviceSection(noted(inForce) ? inForce.commands : []));
  // Whoever has set it has a reason.
  const isTheirs = baseArguments.some((word) => word === `--${reloadFlag}` || word.startsWith(`--${reloadFlag}=`));
  const flags = [
    `--${configFlag}=${paths.encryptionConfigFile}`,
    ...(reloads && !isTheirs ? [`--${reloadFlag}=true`] : []),
  ];
  return sealedUnit(
    {
      ...notes,
      [staticPodAnnotations.setUp]: paths.encryptionConfigFile,
      [staticPodAnnotations.baseHash]: baseHash,
    },
    serviceSection([`${base.commands[0] ?? ""} ${flags.map(commandWord).join(" ")}`]),
  );
}

/** Whether the command line in force is the engine's. */
function noted({ notes }: ServiceUnit): boolean {
  return notes[staticPodAnnotations.baseHash] !== undefined;
}

function serviceSection(commands: readonly string[]): string {
  const [command] = commands;
  return command === undefined ? "" : `[Service]\nExecStart=\nExecStart=${command}\n`;
}

function asManifest(unit: string, service: ServiceUnit, variables: Readonly<Record<string, string>>): Manifest {
  return {
    name: unit,
    labels: {},
    annotations: service.notes,
    arguments: commandOf(service.commands[0], variables) ?? [],
    ports: [],
    mounts: [],
    isContainer: false,
    runsAsRoot: service.user === undefined,
  };
}

/** Program and arguments of an `ExecStart=` line; undefined where it is none. */
export function commandOf(
  line: string | undefined,
  variables: Readonly<Record<string, string>>,
): readonly string[] | undefined {
  const [, prefix = "", rest = ""] = /^([@:+!|-]*)(.*)$/s.exec(line ?? "") ?? [];
  const words = splitWords(rest)?.map((word) => word.replaceAll("%%", "%"));
  const [program, ...given] = words ?? [];
  if (program === undefined) return undefined;
  const arguments_ = prefix.includes("@") ? given.slice(1) : given;
  return [program, ...(prefix.includes(":") ? arguments_ : withVariables(arguments_, variables))];
}

function refusalOf(
  unit: string,
  base: ServiceUnit,
  inForce: ServiceUnit,
  own: HostFile | undefined,
  path: string,
): Refusal | undefined {
  if (own !== undefined && !isUnitAsWritten(textOf(own))) {
    return {
      reason: `somebody has edited ${path}`,
      refused: "take the edit back, or move what is yours to a drop-in of your own and remove the file; then run again",
    };
  }
  const ours = own && serviceUnit([textOf(own)]).commands[0];
  if (ours !== undefined && inForce.commands[0] !== ours) {
    return {
      reason: `another drop-in of ${unit} comes after ${dropInName} and has an ExecStart= of its own`,
      refused: "give it a name that comes before, then run again",
    };
  }
  const [line, ...more] = base.commands;
  const [program, ...words] = commandOf(line, {}) ?? [];
  if (more.length === 0 && program !== undefined && basename(program) === "kube-apiserver" && !words.includes(";"))
    return undefined;
  return {
    reason: `${unit} has no single ExecStart= that runs kube-apiserver itself`,
    refused:
      "let ExecStart= name kube-apiserver and its flags, which may come from variables, and no script or shell in front of it; then run again",
  };
}

function troubleOf(unit: string, { activeState, subState, result }: UnitState): string | undefined {
  if (activeState === "active") return undefined;
  const why = result === "success" || result === "" ? "" : `: ${result}`;
  return `systemd has ${unit} as ${activeState} (${subState})${why}`;
}

function textOf(file: HostFile): string {
  return file.bytes.toString("utf8");
}
