/** What is read from the static pod manifests of a host, ours and others'. */
import { parseDocument } from "yaml";

export interface Manifest {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Command and arguments of every container, one after the other. */
  readonly arguments: readonly string[];
  /** Ports that the containers say they have, and those that their probes ask. */
  readonly ports: readonly number[];
  /** Whether its processes have a file system of their own. */
  readonly isContainer: boolean;
  /** What the containers see of the host's files. */
  readonly mounts: readonly HostMount[];
  /** Whether nothing in it says that a container runs as another user than root. */
  readonly runsAsRoot: boolean;
}

export interface HostMount {
  readonly name: string;
  readonly mountPath: string;
  readonly hostPath: string;
  /** A file that is mounted by itself: replacing it on the host changes nothing for the container. */
  readonly isFile: boolean;
}

/** Undefined for a file that is no Pod: a kubelet would pass over it too. */
export function parseManifest(text: string): Manifest | undefined {
  const document = parseDocument(text, { prettyErrors: false });
  return document.errors.length > 0 ? undefined : readManifest(document.toJS());
}

/** The same for a document that has been parsed. */
export function readManifest(content: unknown): Manifest | undefined {
  const pod = record(content);
  if (pod["kind"] !== "Pod") return undefined;
  const metadata = record(pod["metadata"]);
  const containers = list(record(pod["spec"])["containers"]).map(record);
  const volumes = new Map(
    list(record(pod["spec"])["volumes"])
      .map(record)
      .map((volume) => [volume["name"], record(volume["hostPath"])]),
  );
  return {
    name: typeof metadata["name"] === "string" ? metadata["name"] : "",
    labels: texts(metadata["labels"]),
    annotations: texts(metadata["annotations"]),
    arguments: containers.flatMap((container) =>
      [...list(container["command"]), ...list(container["args"])].map(String),
    ),
    ports: containers.flatMap(portsOf),
    isContainer: true,
    mounts: containers.flatMap((container) =>
      list(container["volumeMounts"])
        .map(record)
        .flatMap(({ name, mountPath }): HostMount[] => {
          const { path, type } = volumes.get(name) ?? {};
          if (typeof name !== "string" || typeof mountPath !== "string" || typeof path !== "string") return [];
          return [{ name, mountPath, hostPath: path, isFile: type === "File" || type === "FileOrCreate" }];
        }),
    ),
    runsAsRoot: containers.every((container) => {
      const { runAsUser, runAsNonRoot } = {
        ...record(record(pod["spec"])["securityContext"]),
        ...record(container["securityContext"]),
      };
      return (runAsUser ?? 0) === 0 && runAsNonRoot !== true;
    }),
  };
}

function portsOf(container: Readonly<Record<string, unknown>>): readonly number[] {
  const probes = ["livenessProbe", "readinessProbe", "startupProbe"].map((name) =>
    record(record(container[name])["httpGet"]),
  );
  const ports = list(container["ports"])
    .map(record)
    .flatMap(({ containerPort, hostPort }) => [containerPort, hostPort]);
  return [...ports, ...probes.map(({ port }) => port)].filter((port) => typeof port === "number");
}

/** The mount through which the container sees `path`; undefined for a path that is the container's own. */
export function mountOf(manifest: Manifest, path: string): HostMount | undefined {
  const covering = manifest.mounts.filter(
    ({ mountPath }) => path === mountPath || path.startsWith(`${mountPath.replace(/\/$/, "")}/`),
  );
  return covering.sort((a, b) => b.mountPath.length - a.mountPath.length)[0];
}

/** Where on the host a container's path is. One that no mount covers stays the same: a process without a container has no other. */
export function hostPathOf(manifest: Manifest, path: string): string {
  const mount = mountOf(manifest, path);
  if (mount === undefined) return path;
  return `${mount.hostPath.replace(/\/$/, "")}${path.slice(mount.mountPath.replace(/\/$/, "").length)}`;
}

/** The value of `--name=value` or `--name value`; the last one, as Go's flag package has it. Undefined where it is not given. */
export function flagValue(manifest: Manifest, name: string): string | undefined {
  let value: string | undefined;
  for (const [index, argument] of manifest.arguments.entries()) {
    if (argument.startsWith(`--${name}=`)) value = argument.slice(name.length + 3);
    else if (argument === `--${name}`) value = manifest.arguments[index + 1] ?? "";
  }
  return value;
}

/** A boolean flag, which stands for true without a value. */
export function booleanFlag(manifest: Manifest, name: string): boolean {
  let value = false;
  for (const argument of manifest.arguments) {
    if (argument === `--${name}`) value = true;
    else if (argument.startsWith(`--${name}=`))
      value = ["1", "t", "true"].includes(argument.slice(name.length + 3).toLowerCase());
  }
  return value;
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function texts(value: unknown): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(record(value)).map(([key, text]) => [key, String(text)]));
}
