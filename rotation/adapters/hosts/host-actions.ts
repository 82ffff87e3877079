/**
 * What the engine changes on one host. Each action looks first and does nothing where the host is already as it should be, so
 * that it can be repeated after it was cut off anywhere. Needs the host's lock.
 */
import { dirname, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { EncryptionConfiguration } from "../../../core/encryption-configuration";
import { KmsEtcdError } from "../../../core/errors";
import type { PluginInstance } from "../../../core/plugin-instance";
import { isPending, restartRequest } from "./api-server-manifest";
import { keepBackup, readBackup } from "./config-backups";
import { parseEncryptionConfig, renderEncryptionConfig } from "./encryption-config-file";
import { fileHash } from "./file-hash";
import type { FleetHost } from "./fleet-host";
import type { Host } from "./host";
import { definitionFiles } from "./host-manifests";
import { pluginForm, wantedPlugin } from "./plugin-form";
import { isOurPlugin } from "./plugin-manifest";
import { apiServerDefinition, applyDefinition, noDefinition } from "./read-api-server";
import { removeExpected, replaceFile } from "./replace-file";
import { isInPlace, keepSetUpRecord, nextSetUpRecord, presentHash, readSetUpRecord } from "./set-up-record";
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
  const form = pluginForm(at);
  const files = await definitionFiles(at);
  const wanted = wantedPlugin(at, plugin, files);
  await host.makeDirectory(pluginSocketDirectory);
  const path = join(manifestDirectory, `${plugin.name}${form.ending}`);
  const present = (await host.readFile(path))?.bytes;
  const text = present?.toString("utf8");
  const differing = text === undefined || text === wanted ? [] : form.differences(text, wanted);
  if (text === undefined || differing.length > 0) {
    if (text !== undefined && !form.isAsWritten(text)) {
      throw new KmsEtcdError(
        "blocked",
        `${host.name}: ${path} is not the ${form.what} that the engine writes; it differs in ${differing.join(", ")}`,
        { remedy: "take the edit back, or move the file away and let the engine write it, then run again" },
      );
    }
    if (present !== undefined) await keepBackup(host, at.backupDirectory, present);
    // A unit is not restarted by its file. Stopped first, it is not there until it runs with the new one, whatever happens in between.
    // It starts at boot all the same, should nobody come back to it before.
    if (text !== undefined) await at.systemd?.control.stop(`${plugin.name}.service`);
    const expectedHash = present && fileHash(present);
    try {
      await replaceFile(host, { path, expectedHash, bytes: Buffer.from(wanted), mode: manifestMode });
    } catch (thrown) {
      // The one that was there goes on; where it cannot, what failed first tells more.
      if (text !== undefined) await at.systemd?.control.enable(`${plugin.name}.service`).catch(() => undefined);
      throw thrown;
    }
  }
  if (at.systemd === undefined) return;
  const { control } = at.systemd;
  await control.reload();
  await control.enable(`${plugin.name}.service`);
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
  const form = pluginForm(at);
  for (const { fileName, text, manifest } of await definitionFiles(at)) {
    if (manifest.name !== plugin || !isOurPlugin(manifest)) continue;
    const bytes = Buffer.from(text);
    // What somebody has edited in it is kept.
    if (!form.isAsWritten(text)) await keepBackup(host, at.backupDirectory, bytes);
    // With its file gone systemd could not take it out of what starts at boot.
    await at.systemd?.control.disable(fileName);
    await removeExpected(host, join(manifestDirectory, fileName), fileHash(bytes));
    await at.systemd?.control.reload();
  }
}

/** `runningSince` is undefined where the API server does not answer. */
export async function requestRestart(at: FleetHost, runningSince: number | undefined): Promise<void> {
  const { host, encryptionConfigFile } = at;
  const definition = await apiServerDefinition(at);
  if (definition === undefined) throw new KmsEtcdError("not-found", `${host.name}: ${noDefinition(at)}`);
  const { path, bytes: present, manifest, restarting, refusal } = definition;
  const hash = fileHash(await required(host, encryptionConfigFile, "the encryption configuration"));
  const request = restartRequest(manifest);
  const isAsked = request !== undefined && isPending(request, hash, runningSince);
  if (isAsked && restarting !== false) return;
  if (refusal !== undefined) {
    throw new KmsEtcdError("blocked", `${host.name}: ${refusal.reason}`, { remedy: refusal.refused });
  }
  if (!isAsked) {
    const bytes = Buffer.from(definition.edited({ hash, restartOf: runningSince }));
    if (present === undefined) await host.makeDirectory(dirname(path));
    // As somebody else has left it. The next ones differ in what the engine notes in it alone: a rotation by restarts has three a host.
    else if (request === undefined) await keepBackup(host, at.backupDirectory, present);
    // A set-up that has not been seen to work can be taken back all the same.
    const setUp = await readSetUpRecord(at);
    if (isInPlace(setUp, presentHash(present))) {
      await keepSetUpRecord(at, nextSetUpRecord(setUp, presentHash(present), fileHash(bytes)));
    }
    await replaceFile(host, { path, expectedHash: present && fileHash(present), bytes, mode: manifestMode });
  }
  await applyDefinition(at);
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
