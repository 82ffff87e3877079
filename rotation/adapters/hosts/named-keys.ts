/**
 * Puts ARNs in the place of aliases in the manifest of a plugin that the engine did not start, and takes that back. Needs the host's lock. What was
 * there before is noted first, beside the backups, until the plugin has been seen to work: whoever wrote the manifest may be killed
 * before. It is evidence and no step: it counts only while the file that is there is the one that it speaks of.
 */
import { join } from "node:path";
import { KmsEtcdError } from "../../../core/errors";
import { withKeyArns } from "../aws/with-key-arns";
import { keepBackup, readBackup } from "./config-backups";
import { fileHash, isFileHash } from "./file-hash";
import type { FleetHost } from "./fleet-host";
import { type DefinitionFile, definitionFiles } from "./host-manifests";
import { isOurPlugin } from "./plugin-manifest";
import { removeExpected, replaceFile } from "./replace-file";

interface NamedKeysRecord {
  /** In the folder of the manifests. */
  readonly fileName: string;
  /** Hashes of what was put there, and of what was there before, of which there is a backup. */
  readonly written: string;
  readonly replaced: string;
}

type Place = Pick<FleetHost, "host" | "backupDirectory">;

/** The name of the file that has ARNs since, unconfirmed; undefined without one. */
export async function unconfirmedManifest(at: Place, files: readonly DefinitionFile[]): Promise<string | undefined> {
  const record = await readRecord(at);
  const file = files.find(({ fileName }) => fileName === record?.fileName);
  return file !== undefined && hashOf(file) === record?.written ? file.fileName : undefined;
}

/** The plugin has been seen to work with what is there. */
export async function confirmNamedKeys(at: Place): Promise<void> {
  const path = recordPath(at);
  const present = await at.host.readFile(path);
  if (present !== undefined) await removeExpected(at.host, path, fileHash(present.bytes));
}

/** Does nothing where none of the aliases is left. Throws `blocked` where they stand in a way that can't be edited. */
export async function nameHostKeysByArn(
  at: FleetHost,
  plugin: string,
  arns: Readonly<Record<string, string>>,
): Promise<void> {
  const { host, manifestDirectory, backupDirectory } = at;
  const found = (await definitionFiles(at)).filter(
    ({ manifest }) => manifest.name === plugin && !isOurPlugin(manifest),
  );
  const byAlias = new Map(Object.entries(arns));
  for (const file of at.systemd === undefined ? found : []) {
    const path = join(manifestDirectory, file.fileName);
    const edited = withKeyArns(file.text, byAlias);
    if (edited === file.text) continue;
    if (edited === undefined) {
      throw new KmsEtcdError("blocked", `${host.name}: ${path} has an alias in a way that can't be edited here`, {
        remedy: `write ${Object.values(arns).join(", ")} there yourself, then run again`,
      });
    }
    const [present, bytes] = [Buffer.from(file.text), Buffer.from(edited)];
    await keepBackup(host, backupDirectory, present);
    const record = { fileName: file.fileName, written: fileHash(bytes), replaced: fileHash(present) };
    await keepRecord(at, record);
    await replaceFile(host, { path, expectedHash: record.replaced, bytes, mode: 0o600 });
  }
}

/** Throws `conflict` where somebody has changed the manifest since, and `not-found` without the backup. */
export async function restoreNamedKeys(at: FleetHost): Promise<void> {
  const { host, manifestDirectory, backupDirectory } = at;
  const record = await readRecord(at);
  if (record === undefined) return;
  const path = join(manifestDirectory, record.fileName);
  const present = (await host.readFile(path))?.bytes;
  if (present !== undefined && fileHash(present) !== record.replaced) {
    const before = await readBackup(host, backupDirectory, record.replaced);
    if (before === undefined) {
      throw new KmsEtcdError(
        "not-found",
        `${host.name}: ${backupDirectory} has no backup of ${path} (${record.replaced})`,
        {
          remedy: `write its alias back into ${path} by hand, then run again`,
        },
      );
    }
    await replaceFile(host, { path, expectedHash: record.written, bytes: before, mode: 0o600 });
  }
  await confirmNamedKeys(at);
}

/** Undefined where there is none, or where it is damaged. */
async function readRecord(at: Place): Promise<NamedKeysRecord | undefined> {
  const file = await at.host.readFile(recordPath(at));
  if (file === undefined) return undefined;
  try {
    const { fileName, written, replaced } = JSON.parse(file.bytes.toString("utf8")) as Record<string, unknown>;
    const isRecord =
      typeof fileName === "string" && !fileName.includes("/") && isFileHash(written) && isFileHash(replaced);
    return isRecord ? { fileName, written, replaced } : undefined;
  } catch {
    return undefined;
  }
}

async function keepRecord(at: Place, record: NamedKeysRecord): Promise<void> {
  const path = recordPath(at);
  const present = await at.host.readFile(path);
  const bytes = Buffer.from(`${JSON.stringify(record)}\n`);
  await replaceFile(at.host, { path, expectedHash: present && fileHash(present.bytes), bytes, mode: 0o600 });
}

function hashOf({ text }: DefinitionFile): string {
  return fileHash(Buffer.from(text));
}

function recordPath({ backupDirectory }: Place): string {
  return join(backupDirectory, "named-keys.json");
}
