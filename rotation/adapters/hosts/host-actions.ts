/**
 * What the engine changes on one host. Each action looks first and does nothing where the host is already as it should be, so
 * that it can be repeated after it was cut off anywhere. Needs the host's lock.
 */
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { EncryptionConfiguration } from "../../../core/encryption-configuration";
import { KmsEtcdError } from "../../../core/errors";
import type { PluginInstance } from "../../../core/plugin-instance";
import { isPending, restartRequest, withRestartRequest } from "./api-server-manifest";
import { keepBackup, readBackup } from "./config-backups";
import { parseEncryptionConfig, renderEncryptionConfig } from "./encryption-config-file";
import { fileHash } from "./file-hash";
import type { FleetHost } from "./fleet-host";
import type { Host } from "./host";
import { hostManifests } from "./host-manifests";
import { parseManifest } from "./manifest";
import { isOurPlugin } from "./plugin-manifest";
import { removeExpected, replaceFile } from "./replace-file";
import { isAsWritten, manifestDifferences, sealManifest } from "./sealed-manifest";
import { keepWrittenRecord, nextRecord, readWrittenRecord } from "./written-record";

const configMode = 0o600;
const manifestMode = 0o600;

/** `config` has the endpoints of this host; `loadedHash` is what its API server has loaded, where that is known. */
export async function writeHostConfig(
  at: FleetHost,
  expectedHash: string | undefined,
  config: EncryptionConfiguration,
  loadedHash?: string,
): Promise<void> {
  const { host, encryptionConfigFile: path, backupDirectory } = at;
  const present = (await host.readFile(path))?.bytes;
  const hash = present && fileHash(present);
  const text = present?.toString("utf8");
  // Cut off behind the rename, or done by another engine with the same goal.
  if (text !== undefined && hash !== expectedHash && isModel(text, config)) return;
  const bytes = Buffer.from(renderEncryptionConfig(config, text));
  if (hash === expectedHash) {
    if (present !== undefined) await keepBackup(host, backupDirectory, present);
    // The new one too: it may be overwritten by hand after it was loaded.
    await keepBackup(host, backupDirectory, bytes);
    await record(at, fileHash(bytes), hash, loadedHash);
  }
  await replaceFile(host, { path, expectedHash, bytes, mode: configMode });
}

/** Before the file itself, so that there is no file of the engine's without its record. */
async function record(
  { host, backupDirectory }: FleetHost,
  written: string,
  replaced: string | undefined,
  loaded: string | undefined,
): Promise<void> {
  const before = await readWrittenRecord(host, backupDirectory);
  await keepWrittenRecord(host, backupDirectory, nextRecord(before, { written, replaced, loaded }));
}

/** The API server is ready with the file that has this hash: there is nothing to go back to any more. */
export async function confirmHostConfig(at: FleetHost, hash: string): Promise<void> {
  const { host, encryptionConfigFile: path, backupDirectory } = at;
  const present = (await host.readFile(path))?.bytes;
  if (present === undefined || fileHash(present) !== hash) return;
  await keepBackup(host, backupDirectory, present);
  await keepWrittenRecord(host, backupDirectory, { written: hash, replaced: hash, loaded: hash });
}

export async function restoreHostConfig(
  at: FleetHost,
  expectedHash: string | undefined,
  loadedHash: string,
): Promise<void> {
  const { host, encryptionConfigFile: path, backupDirectory } = at;
  const present = (await host.readFile(path))?.bytes;
  const hash = present && fileHash(present);
  if (hash === loadedHash) return;
  const bytes = await readBackup(host, backupDirectory, loadedHash);
  if (bytes === undefined) {
    throw new KmsEtcdError("not-found", `${host.name}: ${backupDirectory} has no backup of ${loadedHash}`, {
      remedy: `put the file with this SHA-256 back to ${path} by hand; it is what the API server was last well with`,
    });
  }
  if (hash === expectedHash) {
    if (present !== undefined) await keepBackup(host, backupDirectory, present);
    await record(at, loadedHash, hash, loadedHash);
  }
  await replaceFile(host, { path, expectedHash, bytes, mode: configMode });
}

/**
 * Never overwrites what somebody else wrote under the plugin's file name, or edited: throws `blocked`, saying where it differs.
 */
export async function startHostPlugin(at: FleetHost, plugin: PluginInstance): Promise<void> {
  const { host, manifestDirectory, pluginSocketDirectory } = at;
  const wanted = sealManifest(at.pluginManifest(plugin, await hostManifests(host, manifestDirectory)));
  await host.makeDirectory(pluginSocketDirectory);
  const path = join(manifestDirectory, `${plugin.name}.yaml`);
  const present = (await host.readFile(path))?.bytes;
  const text = present?.toString("utf8");
  if (text === wanted) return;
  const differing = text === undefined ? [] : manifestDifferences(text, wanted);
  if (text !== undefined && differing.length === 0) return;
  if (text !== undefined && !isAsWritten(text)) {
    throw new KmsEtcdError(
      "blocked",
      `${host.name}: ${path} is not the manifest that the engine writes; it differs in ${differing.join(", ")}`,
      { remedy: "take the edit back, or move the file away and let the engine write it, then run again" },
    );
  }
  const expectedHash = present && fileHash(present);
  await replaceFile(host, { path, expectedHash, bytes: Buffer.from(wanted), mode: manifestMode });
}

/**
 * Takes away the manifest with our label and this name, whatever its file is called. Throws `conflict` where the configuration
 * names its socket by now: another engine may have written it since this one looked (invariant 4).
 */
export async function stopHostPlugin(at: FleetHost, plugin: string): Promise<void> {
  const { host, manifestDirectory, encryptionConfigFile } = at;
  const config = (await host.readFile(encryptionConfigFile))?.bytes.toString("utf8") ?? "";
  if (config.includes(`/${plugin}.socket`)) {
    throw new KmsEtcdError("conflict", `${host.name}: the encryption configuration names ${plugin} again, so it stays`);
  }
  for (const name of await host.listFiles(manifestDirectory)) {
    if (name.startsWith(".")) continue;
    const path = join(manifestDirectory, name);
    const bytes = (await host.readFile(path))?.bytes;
    const manifest = bytes && parseManifest(bytes.toString("utf8"));
    if (bytes === undefined || manifest?.name !== plugin || !isOurPlugin(manifest)) continue;
    // What somebody has edited in it is kept.
    if (!isAsWritten(bytes.toString("utf8"))) await keepBackup(host, at.backupDirectory, bytes);
    await removeExpected(host, path, fileHash(bytes));
  }
}

/** `runningSince` is undefined where the API server does not answer. */
export async function requestRestart(at: FleetHost, runningSince: number | undefined): Promise<void> {
  const { host, manifestDirectory, apiServerManifest, encryptionConfigFile } = at;
  const path = join(manifestDirectory, apiServerManifest);
  const manifestFile = await required(host, path, "the API server's manifest");
  const hash = fileHash(await required(host, encryptionConfigFile, "the encryption configuration"));
  const text = manifestFile.toString("utf8");
  const manifest = parseManifest(text);
  const request = manifest && restartRequest(manifest);
  if (request !== undefined && isPending(request, hash, runningSince)) return;
  const bytes = Buffer.from(withRestartRequest(text, { hash, restartOf: runningSince }));
  await replaceFile(host, { path, expectedHash: fileHash(manifestFile), bytes, mode: manifestMode });
}

async function required(host: Host, path: string, what: string): Promise<Buffer> {
  const file = await host.readFile(path);
  if (file !== undefined) return file.bytes;
  throw new KmsEtcdError("not-found", `${host.name}: ${what} ${path} is not there`);
}

function isModel(text: string, config: EncryptionConfiguration): boolean {
  try {
    return isDeepStrictEqual(parseEncryptionConfig(text), config);
  } catch {
    return false;
  }
}
