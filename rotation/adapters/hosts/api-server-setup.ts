/**
 * What a static pod of kube-apiserver needs so that the engine can work with it: the flag for the encryption configuration, one
 * for loading it again by itself, and mounts of the two directories. Mounts of directories, because a file that is mounted by
 * itself stays the old one when it is replaced. Everything else in the manifest, comments too, belongs to somebody else. Pure.
 */
import { dirname } from "node:path";
import { isMap, isScalar, isSeq, parseDocument, type YAMLMap, type YAMLSeq } from "yaml";
import { KmsEtcdError } from "../../../core/errors";
import { apiServerVolumes } from "../../../core/self-managed-cluster";
import { staticPodAnnotations } from "../../../core/static-pod";
import { flagValue, hostPathOf, type Manifest, mountOf, readManifest } from "./manifest";
import { manifestText } from "./manifest-text";

export interface SetUpPaths {
  /** On the host, and the same inside the API server's container. */
  readonly encryptionConfigFile: string;
  readonly pluginSocketDirectory: string;
  /** The kubelet's folder: a configuration that lies there leaves it. */
  readonly manifestDirectory?: string;
}

export interface ApiServerSetUp {
  /** What is missing, in words; none where the server is set up. */
  readonly missing: readonly string[];
  /** The configuration that it is told to read now, as a path on the host. */
  readonly readsFrom: string | undefined;
  /** Why it must not be changed: what the engine had set up has been changed by somebody since. */
  readonly edited: string | undefined;
}

export const configFlag = "encryption-provider-config";
export const reloadFlag = "encryption-provider-config-automatic-reload";

/** `reloads`: whether this version of kube-apiserver has automatic reload. */
export function apiServerSetUp(manifest: Manifest, paths: SetUpPaths, reloads: boolean): ApiServerSetUp {
  const flag = flagValue(manifest, configFlag);
  const readsFrom = flag === undefined ? undefined : hostPathOf(manifest, flag);
  const missing: string[] = [];
  if (flag === undefined) missing.push(`there is no --${configFlag}`);
  else if (readsFrom !== paths.encryptionConfigFile) missing.push(`--${configFlag} names ${flag}`);
  else if (flag !== paths.encryptionConfigFile) missing.push(`--${configFlag} names it by another path, ${flag}`);
  // Whoever has turned it off has a reason.
  if (reloads && flagValue(manifest, reloadFlag) === undefined && !manifest.arguments.includes(`--${reloadFlag}`)) {
    missing.push(`there is no --${reloadFlag}`);
  }
  for (const { path } of apiServerVolumes(paths)) {
    if (!seesDirectory(manifest, path)) missing.push(`there is no mount of ${path}`);
  }
  const marked = manifest.annotations[staticPodAnnotations.setUp];
  const edited =
    marked === undefined || flag === marked
      ? undefined
      : `somebody has changed --${configFlag} from ${marked} to ${flag ?? "nothing"}`;
  return { missing, readsFrom, edited };
}

function seesDirectory(manifest: Manifest, directory: string): boolean {
  // A process without a container sees the host's files as they are.
  if (!manifest.isContainer) return true;
  const mount = mountOf(manifest, directory);
  return mount !== undefined && !mount.isFile && hostPathOf(manifest, directory) === directory;
}

/** The manifest's text with all that is missing. Throws `invalid-input` where it is not a Pod with an API server. */
export function withApiServerSetUp(text: string, paths: SetUpPaths, reloads: boolean): string {
  const document = parseDocument(text, { prettyErrors: false });
  const container = document.errors.length > 0 ? undefined : apiServerContainer(document.getIn(["spec", "containers"]));
  const flags = container && flagList(container);
  if (container === undefined || flags === undefined) {
    throw new KmsEtcdError("invalid-input", "the API server's manifest is not a Pod that runs kube-apiserver", {
      remedy: "mend it, or name the right file in layout.apiServerManifest",
    });
  }
  const present = readManifest(document.toJS());
  const { readsFrom } = present === undefined ? {} : apiServerSetUp(present, paths, reloads);
  if (readsFrom !== undefined && dirname(readsFrom) === paths.manifestDirectory) dropVolumeOf(readsFrom);
  setFlag(flags, configFlag, paths.encryptionConfigFile);
  if (reloads && !hasFlag(flags, reloadFlag)) setFlag(flags, reloadFlag, "true");
  document.setIn(["metadata", "annotations", staticPodAnnotations.setUp], paths.encryptionConfigFile);
  const mount = (name: string, path: string, readOnly: boolean) => {
    const volume = { name, hostPath: { path, type: "DirectoryOrCreate" } };
    setNamed(sequenceIn(container, "volumeMounts"), { name, mountPath: path, ...(readOnly && { readOnly }) });
    setNamed(sequenceIn(document.get("spec") as YAMLMap, "volumes"), volume);
  };
  const seen = (directory: string) => {
    const manifest = readManifest(document.toJS());
    return manifest !== undefined && seesDirectory(manifest, directory);
  };
  for (const { name, path, readOnly } of apiServerVolumes(paths)) if (!seen(path)) mount(name, path, readOnly);
  return manifestText(document, text);

  /** Of that very file: a kubelet does not start a pod with a volume whose file is gone. */
  function dropVolumeOf(file: string): void {
    const volumes = document.getIn(["spec", "volumes"]);
    const isOfFile = (item: unknown) => isMap(item) && item.getIn(["hostPath", "path"]) === file;
    if (!isSeq(volumes) || container === undefined) return;
    const names = volumes.items.filter(isOfFile).map((item) => (item as YAMLMap).get("name"));
    const containers = document.getIn(["spec", "containers"]);
    const others = isSeq(containers) ? containers.items.filter((item) => isMap(item) && item !== container) : [];
    // One that another container has too stays, and then so does the file.
    if (others.some((item) => mountsAny(item, names))) return;
    volumes.items = volumes.items.filter((item) => !isOfFile(item));
    const mounts = container.get("volumeMounts");
    if (isSeq(mounts)) mounts.items = mounts.items.filter((item) => !isMap(item) || !names.includes(item.get("name")));
  }

  function sequenceIn(map: YAMLMap, name: string): YAMLSeq {
    if (!isSeq(map.get(name))) map.set(document.createNode(name), document.createNode([]));
    return map.get(name) as YAMLSeq;
  }

  function setNamed(list: YAMLSeq, entry: Readonly<Record<string, unknown>>): void {
    const index = list.items.findIndex((item) => isMap(item) && item.get("name") === entry["name"]);
    const node = document.createNode(entry);
    if (index < 0) list.items.push(node);
    else list.items[index] = node;
  }

  function setFlag(list: YAMLSeq, name: string, value: string): void {
    const items = list.items.map((item) => (isScalar(item) ? String(item.value) : ""));
    const joined = items.findIndex((item) => item.startsWith(`--${name}=`));
    const apart = items.indexOf(`--${name}`);
    const change = (index: number, content: string) => {
      const item = list.items[index];
      if (isScalar(item)) item.value = content;
    };
    if (joined >= 0) change(joined, `--${name}=${value}`);
    else if (apart >= 0) change(apart + 1, value);
    else list.items.push(document.createNode(`--${name}=${value}`));
  }
}

function mountsAny(container: unknown, volumes: readonly unknown[]): boolean {
  const mounts = isMap(container) ? container.get("volumeMounts") : undefined;
  return isSeq(mounts) && mounts.items.some((item) => isMap(item) && volumes.includes(item.get("name")));
}

function hasFlag(list: YAMLSeq, name: string): boolean {
  return list.items.some(
    (item) => isScalar(item) && (item.value === `--${name}` || String(item.value).startsWith(`--${name}=`)),
  );
}

/** The container that runs kube-apiserver: a pod may have others beside it. */
function apiServerContainer(containers: unknown): YAMLMap | undefined {
  if (!isSeq(containers)) return undefined;
  const maps = containers.items.filter(isMap);
  const byName = maps.find((container) => container.get("name") === "kube-apiserver");
  return byName ?? (maps.length === 1 ? maps[0] : undefined);
}

/** Flags stand in `command` or in `args`, wherever there are some already. */
function flagList(container: YAMLMap): YAMLSeq | undefined {
  const lists = ["command", "args"].map((name) => container.get(name)).filter(isSeq);
  const isFlag = (item: unknown) => isScalar(item) && String(item.value).startsWith("--");
  return lists.find((list) => list.items.some(isFlag)) ?? lists.at(-1);
}
