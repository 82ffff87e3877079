/** The requests on keys that are not cryptography: create, list keys and versions, change attributes, delete and recover. */
import { vaultError } from "./faults";
import type { VaultOperation } from "./key-vault";
import type { KeyOperation, VaultKeys, VaultKeyVersion } from "./vault-keys";
import { jsonAnswer, type WireAnswer, type WireRequest } from "./wire";

interface Managed {
  readonly operation: VaultOperation;
  answer(): WireAnswer;
}

/** Undefined for a request that is none of these. */
export function manageKey(
  request: WireRequest,
  keys: VaultKeys,
  segments: readonly string[],
  now: () => number,
): Managed | undefined {
  const [root, name = "", third = "", fourth] = segments;
  const { method } = request;
  const known = (act: (versions: readonly VaultKeyVersion[]) => WireAnswer) => () => {
    const versions = keys.versionsOf(name);
    return versions.length === 0 ? keyNotFound(name) : act(versions);
  };
  if (root === "keys" && name === "" && method === "GET") {
    const value = keys
      .names()
      .flatMap((key) => keys.versionsOf(key).slice(-1))
      .map((key) => ({ kid: key.kid.replace(/\/[^/]*$/, ""), attributes: attributesOf(key) }));
    return { operation: "list", answer: () => jsonAnswer(200, { value, nextLink: null }) };
  }
  if (name === "" || fourth !== undefined) return undefined;
  if (root === "deletedkeys") return deletedKey(request, keys, name, third, now);
  if (root !== "keys") return undefined;
  if (method === "POST" && third === "create")
    return { operation: "create", answer: () => create(request, keys, name) };
  if (method === "GET" && third === "versions") {
    return {
      operation: "list",
      answer: known((versions) =>
        jsonAnswer(200, {
          value: versions.map((key) => ({ kid: key.kid, attributes: attributesOf(key) })),
          nextLink: null,
        }),
      ),
    };
  }
  if (method === "PATCH") {
    return { operation: "update", answer: known((versions) => update(request, versions, third)) };
  }
  if (method === "DELETE" && third === "") {
    return {
      operation: "delete",
      answer: known((versions) => {
        keys.delete(name);
        return jsonAnswer(200, deletedBundle(versions, name, now));
      }),
    };
  }
  return undefined;
}

/** A key as GET gives it. */
export function keyBundle(key: VaultKeyVersion): Readonly<Record<string, unknown>> {
  const { n, e } = key.publicKey.export({ format: "jwk" });
  return {
    key: { kid: key.kid, kty: "RSA", key_ops: key.keyOps, n, e },
    attributes: attributesOf(key),
    ...(key.tags === undefined ? {} : { tags: key.tags }),
  };
}

function attributesOf(key: VaultKeyVersion): Readonly<Record<string, unknown>> {
  const seconds = (value: number) => Math.floor(value / 1_000);
  return {
    enabled: key.enabled,
    ...(key.notBefore === undefined ? {} : { nbf: seconds(key.notBefore) }),
    ...(key.expires === undefined ? {} : { exp: seconds(key.expires) }),
    created: seconds(key.created),
    updated: seconds(key.created),
    recoveryLevel: "Recoverable+Purgeable",
    recoverableDays: 90,
  };
}

function deletedBundle(versions: readonly VaultKeyVersion[], name: string, now: () => number): object {
  const newest = lastOf(versions);
  const deletedDate = Math.floor(now() / 1_000);
  const recoveryId = newest.kid.replace(/\/keys\/.*/, `/deletedkeys/${name}`);
  return { ...keyBundle(newest), recoveryId, deletedDate, scheduledPurgeDate: deletedDate + 90 * 86_400 };
}

function deletedKey(
  { method }: WireRequest,
  keys: VaultKeys,
  name: string,
  action: string,
  now: () => number,
): Managed | undefined {
  const found = (act: (versions: readonly VaultKeyVersion[]) => WireAnswer) => () => {
    const versions = keys.deletedVersionsOf(name);
    return versions.length === 0 ? keyNotFound(name) : act(versions);
  };
  if (method === "POST" && action === "recover") {
    return {
      operation: "recover",
      answer: found((versions) => {
        keys.recover(name);
        return jsonAnswer(200, keyBundle(lastOf(versions)));
      }),
    };
  }
  return method === "GET" && action === ""
    ? { operation: "get", answer: found((versions) => jsonAnswer(200, deletedBundle(versions, name, now))) }
    : undefined;
}

function lastOf(versions: readonly VaultKeyVersion[]): VaultKeyVersion {
  const last = versions.at(-1);
  if (last === undefined) throw new Error("the key has no version");
  return last;
}

function create(request: WireRequest, keys: VaultKeys, name: string): WireAnswer {
  const input = objectOf(request.body);
  if (input === undefined) return vaultError(400, "BadParameter", "The request body is not valid JSON.");
  const { kty, key_size: size = 2048, key_ops: operations, attributes } = input;
  if (kty !== "RSA") return vaultError(400, "BadParameter", "Property kty: this vault makes keys of type RSA only.");
  if (size !== 2048 && size !== 3072 && size !== 4096)
    return vaultError(400, "BadParameter", "Property key_size is invalid.");
  if (keys.isDeleted(name)) {
    return vaultError(
      409,
      "Conflict",
      `Key ${name} is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the key can only be recovered or purged.`,
      "ObjectIsDeletedButRecoverable",
    );
  }
  const key = keys.add({ name, modulusLength: size });
  if (Array.isArray(operations)) key.keyOps = operations as KeyOperation[];
  change(key, attributes);
  return jsonAnswer(200, keyBundle(key));
}

function update(request: WireRequest, versions: readonly VaultKeyVersion[], version: string): WireAnswer {
  const input = objectOf(request.body);
  if (input === undefined) return vaultError(400, "BadParameter", "The request body is not valid JSON.");
  const key = version === "" ? lastOf(versions) : versions.find((candidate) => candidate.version === version);
  if (key === undefined) return keyNotFound(version);
  const { key_ops: operations, attributes, tags } = input;
  if (Array.isArray(operations)) key.keyOps = operations as KeyOperation[];
  // Given tags take the place of all that there were.
  if (typeof tags === "object" && tags !== null) key.tags = tags as Readonly<Record<string, string>>;
  change(key, attributes);
  return jsonAnswer(200, keyBundle(key));
}

function change(key: VaultKeyVersion, attributes: unknown): void {
  if (typeof attributes !== "object" || attributes === null) return;
  const { enabled, exp, nbf } = attributes as Readonly<Record<string, unknown>>;
  if (typeof enabled === "boolean") key.enabled = enabled;
  if (typeof exp === "number") key.expires = exp * 1_000;
  if (typeof nbf === "number") key.notBefore = nbf * 1_000;
}

function objectOf(body: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : undefined;
  } catch {
    return undefined;
  }
}

function keyNotFound(name: string): WireAnswer {
  return vaultError(404, "KeyNotFound", `A key with (name/id) ${name} was not found in this key vault.`);
}
