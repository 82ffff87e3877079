/** What kops prints, as values. Forms: kops 1.36 cmd/kops and upup/pkg/fi/dryrun_target.go. */
import { KmsEtcdError } from "../../../core/errors";
import { apiServerRoles, type InstanceGroup } from "./cluster-spec";

/** A machine as `kops get instances -o json` has it. */
export interface KopsInstance {
  readonly id: string;
  /** Name of its autoscaling group: that of the instance group, with the cluster's behind. */
  readonly group: string;
  /** Whether it runs an API server, by the role that the cloud has it tagged with. */
  readonly isApiServer: boolean;
  readonly needsUpdate: boolean;
  readonly nodeName: string | undefined;
  readonly internalAddress: string;
  readonly externalAddress: string;
}

/** One document or a list of them. */
export function readDocuments(stdout: string, what: string): readonly unknown[] {
  const parsed = parseJson(stdout, what);
  return Array.isArray(parsed) ? parsed : [parsed];
}

/** As kops has them in tags, through its versions. */
const serverRoles = new Set(["control-plane", "controlplane", "master", "apiserver", "api-server"]);

/** The instance group of an autoscaling group's name (kops pkg/model/names.go); undefined for one of no such group. */
export function instanceGroupOf(scalingGroup: string, groups: readonly string[], cluster: string): string | undefined {
  const suffixes = ["", `.${cluster}`, `.masters.${cluster}`, `.apiservers.${cluster}`];
  return groups.find((group) => suffixes.some((suffix) => scalingGroup === `${group}${suffix}`));
}

export function readInstances(stdout: string): readonly KopsInstance[] {
  return readDocuments(stdout, "kops get instances").map((entry) => {
    const { id, instanceGroup, status, roles, nodeName, internalIP, externalIP } = entry as Readonly<
      Record<string, unknown>
    >;
    if (typeof id !== "string" || typeof instanceGroup !== "string" || typeof status !== "string") {
      throw new KmsEtcdError("unsupported", "kops get instances printed an instance without id, group or status", {
        remedy: "use a kops of the cluster's own minor version",
      });
    }
    return {
      id,
      group: instanceGroup,
      isApiServer: Array.isArray(roles) && roles.some((role: unknown) => serverRoles.has(String(role).toLowerCase())),
      // `Detached` ones are about to go; they are replaced like those that are late.
      needsUpdate: status !== "UpToDate",
      nodeName: typeof nodeName === "string" ? nodeName : undefined,
      internalAddress: typeof internalIP === "string" ? internalIP : "",
      externalAddress: typeof externalIP === "string" ? externalIP : "",
    };
  });
}

/** Names of the tasks that an update would carry out, `Type/name`: they stand two blanks in, their changes further. */
export function pendingTasks(preview: string): readonly string[] {
  return [...preview.matchAll(/^ {2}(\w+\/\S+)$/gm)].map(([, task = ""]) => task);
}

/**
 * Whether an update would change what machines of the group get, or which template they are made from. Manifests of etcd (of its cluster and
 * the group) and of the API server's companions are files of their own, which machines read when they boot.
 */
export function isPending(tasks: readonly string[], { name, role }: Pick<InstanceGroup, "name" | "role">): boolean {
  return tasks.some(
    (task) =>
      task === `ManagedFile/nodeupconfig-${name}` ||
      task.startsWith(`LaunchTemplate/${name}.`) ||
      /^ManagedFile\/manifests-etcdmanager-[^-]+-(.+)$/.exec(task)?.[1] === name ||
      (apiServerRoles.includes(role) && task.startsWith("ManagedFile/manifests-static-")),
  );
}

/**
 * The failures that `kops validate cluster -o json` has named last; undefined where there were none. With --wait it prints a document for each
 * look, one behind the other.
 */
export function validationFailure(stdout: string): string | undefined {
  const { failures } = parseJson(lastDocument(stdout), "kops validate cluster") as {
    readonly failures?: readonly { readonly name?: string; readonly message?: string }[] | null;
  };
  if (failures === undefined || failures === null || failures.length === 0) return undefined;
  return failures.map(({ name, message }) => message ?? name ?? "").join("; ");
}

/** The last object of a text that is nothing but objects. */
function lastDocument(text: string): string {
  let start = 0;
  let depth = 0;
  for (const { 0: sign, index } of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}]/g)) {
    if (sign === "{" && (depth += 1) === 1) start = index;
    if (sign === "}") depth -= 1;
  }
  return text.slice(start);
}

function parseJson(stdout: string, what: string): unknown {
  try {
    return JSON.parse(stdout) as unknown;
  } catch (cause) {
    throw new KmsEtcdError("unsupported", `${what} printed no JSON`, {
      cause,
      remedy: "use a kops of the cluster's own minor version",
    });
  }
}
