/**
 * Setting an API server up for the engine, where the engine may edit its manifest: what is lacking, and the one act that adds
 * it. A configuration that the server reads already moves to the engine's own place, byte for byte; one that it does not read
 * is never put to use, because the other servers may not be able to read what it would write.
 */
import { dirname, join } from "node:path";
import { parseDocument } from "yaml";
import type { EncryptionConfiguration } from "../../../core/encryption-configuration";
import { KmsEtcdError } from "../../../core/errors";
import { staticPodAnnotations } from "../../../core/static-pod";
import type { SetUpNeed } from "../../observation";
import type { ApiServerDefinition } from "./api-server-definition";
import { isSameProcess, restartRequest } from "./api-server-manifest";
import { type ApiServerSetUp, apiServerSetUp } from "./api-server-setup";
import { keepBackup } from "./config-backups";
import { parseEncryptionConfig, renderEncryptionConfig } from "./encryption-config-file";
import { fileHash } from "./file-hash";
import type { FleetHost } from "./fleet-host";
import { reloadsVisibly } from "./loaded-config";
import { booleanFlag, flagValue, type Manifest } from "./manifest";
import { apiServerDefinition, applyDefinition, noDefinition } from "./read-api-server";
import { removeExpected, replaceFile } from "./replace-file";
import { isInPlace, keepSetUpRecord, nextSetUpRecord, presentHash, readSetUpRecord } from "./set-up-record";
import { readWrittenRecord } from "./written-record";

/** Before 1.28 a server does not show what it has reloaded, so nothing is gained by the flag. */
const firstMinorWithVisibleReload = 28;
/** From here on KMS v1 needs its feature gate (kubernetes pkg/features, KMSv1). */
const firstMinorWithoutKmsV1 = 29;

const configMode = 0o600;

/** What a server is given that had no configuration: it does the same as before. */
export const plaintextConfigText = renderEncryptionConfig(
  { blocks: [{ resources: ["secrets"], providers: [{ kind: "identity" }] }] },
  undefined,
);

/**
 * Undefined where nothing is lacking. `version` is what the API server says, empty while it does not answer; `runningSince` is the
 * start of its process; `isUnproven`: it was set up and has not been seen well since.
 */
export async function hostSetUpNeed(
  at: FleetHost,
  definition: ApiServerDefinition,
  version: string,
  runningSince?: number,
  isUnproven = false,
): Promise<SetUpNeed | undefined> {
  const { manifest, label, refusal } = definition;
  const setUp = definition.setUp(at, reloads(version));
  // The manifest from before, which may come back, names it.
  const stray = isUnproven ? [] : await strayConfigs(at, setUp, manifest);
  const reasons = [
    ...setUp.missing,
    ...stray.map((name) => `the kubelet's folder has the encryption configuration ${name}`),
  ];
  const isLate = isLost(definition, runningSince);
  if (isLate) reasons.push("the restart that it was to make has not come");
  const seen = {
    reloadAfter: reloadsVisibly(version, reloadAfterSetUp(manifest)) ? ("hot" as const) : ("restart" as const),
    ...((setUp.readsFrom === undefined || (isLate && isUnproven)) && { namesNoConfig: true as const }),
  };
  if (setUp.edited !== undefined) {
    return {
      ...seen,
      reason: setUp.edited,
      refused: `put it back, or remove the annotation ${staticPodAnnotations.setUp} to have that file taken over; then run again`,
    };
  }
  if (reasons.length === 0) return undefined;
  const reason = `${label}: ${reasons.join(", ")}`;
  if (refusal !== undefined) {
    return { ...seen, reason: `${reason}; ${refusal.reason}`, refused: refusal.refused };
  }
  if (manifest.runsAsRoot) return { ...seen, reason };
  // It would not start: the configuration and the sockets are root's alone.
  return {
    ...seen,
    reason: `${reason}; its process does not run as root, and could not read what is set up`,
    refused:
      "let it run as root (no runAsUser, runAsNonRoot or User=), or put the flags, the mounts and a configuration that it can read there yourself; then run again",
  };
}

/** Where the configuration is that the API server reads, by its manifest; undefined where it reads none. */
export function configInUse(at: FleetHost, manifest: Manifest): string | undefined {
  return apiServerSetUp(manifest, at, true).readsFrom;
}

/**
 * Why a server that does not answer may be unable to start, whatever else it lacks: KMS v1 without its gate. Undefined where
 * that is not it.
 */
export function missingKmsV1Gate(manifest: Manifest, config: EncryptionConfiguration): Required<Refusal> | undefined {
  const usesV1 = config.blocks.some((block) =>
    block.providers.some((item) => item.kind === "kms" && item.apiVersion === "v1"),
  );
  const gates = flagValue(manifest, "feature-gates")?.split(",") ?? [];
  if (!usesV1 || gates.some((gate) => /^(KMSv1|AllAlpha|AllBeta)=true$/.test(gate.trim()))) return undefined;
  return {
    reason: `its configuration uses KMS v1, which Kubernetes 1.${firstMinorWithoutKmsV1} and later refuse`,
    refused: "add --feature-gates=KMSv1=true to its flags until the move to KMS v2 is through, then run again",
  };
}

type Refusal = Pick<SetUpNeed, "reason" | "refused">;

/** One step, needs the host's lock. `runningSince` is the start of the process that shall end. */
export async function setUpHost(at: FleetHost, version: string, runningSince: number | undefined): Promise<void> {
  const { host, manifestDirectory, backupDirectory } = at;
  // What somebody has written and not yet put into force counts from now on.
  await at.systemd?.control.reload();
  const definition = await apiServerDefinition(at);
  if (definition === undefined) throw new KmsEtcdError("not-found", `${host.name}: ${noDefinition(at)}`);
  const { path, bytes: present, refusal } = definition;
  const setUp = definition.setUp(at, reloads(version));
  if (setUp.edited !== undefined) throw new KmsEtcdError("conflict", `${host.name}: ${setUp.edited}`);
  const record = await readSetUpRecord(at);
  if (setUp.missing.length === 0) {
    const isUnproven = isInPlace(record, presentHash(present));
    for (const name of isUnproven ? [] : await strayConfigs(at, setUp, definition.manifest)) {
      const stray = join(manifestDirectory, name);
      const bytes = (await host.readFile(stray))?.bytes;
      if (bytes === undefined) continue;
      await keepBackup(host, backupDirectory, bytes);
      await removeExpected(host, stray, fileHash(bytes));
    }
    if (isLost(definition, runningSince)) await applyDefinition(at);
    return;
  }
  if (refusal !== undefined) {
    throw new KmsEtcdError("blocked", `${host.name}: ${refusal.reason}`, { remedy: refusal.refused });
  }
  const config = await placeConfig(at, setUp);
  await host.makeDirectory(at.pluginSocketDirectory);
  if (present === undefined) await host.makeDirectory(dirname(path));
  else await keepBackup(host, backupDirectory, present);
  const request = { hash: fileHash(config), restartOf: runningSince };
  const bytes = Buffer.from(definition.edited(request, { paths: at, reloads: reloads(version) }));
  // Before the file itself: from its rename on somebody has to know the way back, whatever becomes of this engine.
  await keepSetUpRecord(at, nextSetUpRecord(record, presentHash(present), fileHash(bytes)));
  await replaceFile(host, { path, expectedHash: present && fileHash(present), bytes, mode: configMode });
  await applyDefinition(at);
}

/** The engine was cut off between its file and the restart, which nobody makes by himself here. */
function isLost(definition: ApiServerDefinition, runningSince: number | undefined): boolean {
  return definition.restarting === false && runsFromBefore(definition, runningSince);
}

/** Whether the process is the one that the engine's file was to end. */
export function runsFromBefore(
  { manifest, writtenAt }: ApiServerDefinition,
  runningSince: number | undefined,
): boolean {
  const request = restartRequest(manifest);
  if (request === undefined || runningSince === undefined) return false;
  // A process that did not answer when it was asked for is known by being older than the file. Its time is the end of a second.
  if (request.restartOf === undefined) return runningSince < writtenAt - fileTimeMargin;
  return isSameProcess(request.restartOf, runningSince);
}

const fileTimeMargin = 3_000;

/** The configuration's bytes, which are at the engine's place when this returns. */
async function placeConfig(at: FleetHost, { readsFrom }: ApiServerSetUp): Promise<Buffer> {
  const { host, encryptionConfigFile: path, backupDirectory } = at;
  const own = (await host.readFile(path))?.bytes;
  if (readsFrom === path && own !== undefined) return own;
  const adopted = readsFrom === undefined ? undefined : (await host.readFile(readsFrom))?.bytes;
  if (readsFrom !== undefined && adopted === undefined) {
    throw new KmsEtcdError("not-found", `${host.name}: the encryption configuration ${readsFrom} is not there`, {
      remedy: "put it there; another server, or the backup directory, may have it",
    });
  }
  // An upgrade that makes the manifest anew (kubeadm's does) drops the flags: the engine's own file is then put to use again.
  const record = await readWrittenRecord(host, backupDirectory);
  const isOurs = own !== undefined && (isPlaintext(own) || fileHash(own) === record?.written);
  const bytes = adopted ?? (isOurs ? own : Buffer.from(plaintextConfigText));
  if (own?.equals(bytes)) return bytes;
  if (own !== undefined) {
    throw new KmsEtcdError("blocked", `${host.name}: ${path} is there, but its API server does not read it`, {
      remedy: "move it away, or name another file in layout.encryptionConfigFile; then run again",
    });
  }
  await host.makeDirectory(dirname(path));
  await keepBackup(host, backupDirectory, bytes);
  await replaceFile(host, { path, expectedHash: undefined, bytes, mode: configMode });
  return bytes;
}

/**
 * Encryption configurations in the kubelet's folder, which takes them for broken manifests; not the one that is still in use, and
 * none that the API server's pod has a volume of: without its file the kubelet would not start the pod again.
 */
async function strayConfigs(
  at: FleetHost,
  { readsFrom }: ApiServerSetUp,
  { mounts }: Manifest,
): Promise<readonly string[]> {
  const { host, manifestDirectory } = at;
  // Only a kubelet takes every file for one of its own.
  if (at.systemd !== undefined) return [];
  const names = await host.listFiles(manifestDirectory);
  const found = await Promise.all(
    names.map(async (name) => {
      const path = join(manifestDirectory, name);
      if (name.startsWith(".") || path === readsFrom || mounts.some(({ hostPath }) => hostPath === path)) return [];
      const text = (await host.readFile(join(manifestDirectory, name)))?.bytes.toString("utf8") ?? "";
      return isEncryptionConfig(text) ? [name] : [];
    }),
  );
  return found.flat();
}

function isEncryptionConfig(text: string): boolean {
  if (!/Encryption(Configuration|Config)\b/.test(text)) return false;
  const document = parseDocument(text, { prettyErrors: false });
  return /^Encryption(Configuration|Config)$/.test(String(document.get("kind")));
}

function isPlaintext(bytes: Buffer): boolean {
  try {
    return parseEncryptionConfig(bytes.toString("utf8")).blocks.every((block) =>
      block.providers.every((item) => item.kind === "identity"),
    );
  } catch {
    return false;
  }
}

/** What is there stays as it is; what is not there is turned on. */
function reloadAfterSetUp(manifest: Manifest): boolean {
  const name = "encryption-provider-config-automatic-reload";
  return flagValue(manifest, name) === undefined || booleanFlag(manifest, name);
}

function reloads(version: string): boolean {
  const minor = Number(/^v?1\.(\d+)/.exec(version)?.[1] ?? Number.NaN);
  // One that does not answer is asked again when it does.
  return Number.isNaN(minor) || minor >= firstMinorWithVisibleReload;
}
