/**
 * In which order AKS takes its API servers from one pair of keys to the next, as far as its behaviour is known from outside: a
 * server has the key that it writes with and the one before, and never a third; plaintext needs no key and stays readable; what
 * one server writes, the others must be able to read, because clients reach any of them. Written from what AKS documents, and
 * sharing nothing with the engine, so that a mistake of the engine's can't be the same mistake here.
 */
import { createHash } from "node:crypto";
import { stringify } from "yaml";
import type { KmsWriter } from "../arm/kms-cluster";

/** What one API server can read, the first of which it writes with. */
export interface ServerKeys {
  readonly write: KmsWriter;
  readonly previous: KmsWriter | undefined;
}

/** Every server gets the first of them, one after the other, then every server the next. */
export function rolls(running: ServerKeys, wanted: ServerKeys, servers: number): readonly ServerKeys[] {
  const isNewKey = nameOf(wanted.write) !== nameOf(running.write) && wanted.write !== "identity";
  // A single server can't meet what another one has written.
  return servers > 1 && isNewKey ? [{ write: running.write, previous: wanted.write }, wanted] : [wanted];
}

/** The keys that need a plugin: at most two. */
export function keysOf({ write, previous }: ServerKeys): readonly Exclude<KmsWriter, "identity">[] {
  return [write, previous].filter((writer): writer is Exclude<KmsWriter, "identity"> => {
    return writer !== undefined && writer !== "identity";
  });
}

/** By what values are marked that a key has written: API servers refuse one name for two keys. */
export function nameOf(writer: KmsWriter): string {
  if (writer === "identity") return writer;
  const text = writer === "platform" ? writer : `${writer.keyId} ${writer.identity.principalId}`.toLowerCase();
  return `azurekmsprovider-${createHash("sha256").update(text).digest("hex").slice(0, 12)}`;
}

/** An EncryptionConfiguration for Secrets; `socketOf` names the socket of a key's plugin. */
export function encryptionConfig(keys: ServerKeys, socketOf: (name: string) => string): string {
  const writers = [keys.write, ...(keys.previous === undefined ? [] : [keys.previous])];
  const providers = writers
    .filter((writer) => writer !== "identity" || keys.write === "identity")
    .map((writer) =>
      writer === "identity"
        ? { identity: {} }
        : {
            kms: {
              apiVersion: "v2",
              name: nameOf(writer),
              endpoint: `unix://${socketOf(nameOf(writer))}`,
              timeout: "3s",
            },
          },
    );
  return stringify({
    apiVersion: "apiserver.config.k8s.io/v1",
    kind: "EncryptionConfiguration",
    resources: [
      { resources: ["secrets"], providers: keys.write === "identity" ? providers : [...providers, { identity: {} }] },
    ],
  });
}
