/** Invariant 1's proof: what each host's plugin encrypts, every host's plugin decrypts, and all report the same key_id. */
import { randomBytes } from "node:crypto";
import { describeError, type ErrorCode, KmsEtcdError } from "../../../core/errors";
import type { EncryptResponse } from "../../../core/kms-protocol";
import type { CrosswiseProof } from "../../observation";
import type { Host } from "./host";
import { type KmsSocket, openKmsSocket } from "./kms-socket";

export interface ProbedHost {
  readonly host: Host;
  readonly socketPath: string;
}

/** The plugins do not hold the same key. */
class OtherKey extends Error {}

/** Errors of a plugin that does not answer now. */
const passing: ReadonlySet<ErrorCode> = new Set(["unreachable", "timeout", "not-found"]);

interface Sample {
  readonly server: string;
  readonly keyId: string;
  readonly plaintext: Buffer;
  readonly encrypted: EncryptResponse;
}

/** A failure is returned, and names the hosts. `signal` bounds the whole probe. */
export async function probeCrosswise(
  plugin: string,
  hosts: readonly ProbedHost[],
  signal: AbortSignal,
): Promise<CrosswiseProof> {
  const servers = hosts.map(({ host }) => host.name);
  const sockets = new Map<string, KmsSocket>();
  let keyId = "";
  try {
    const samples: Sample[] = [];
    for (const { host, socketPath } of hosts) {
      const sample = await told(`${host.name} cannot encrypt`, async (): Promise<Sample> => {
        const socket = await openKmsSocket(host, socketPath, signal);
        sockets.set(host.name, socket);
        const plaintext = randomBytes(32);
        return {
          server: host.name,
          keyId: await socket.keyId(),
          plaintext,
          encrypted: await socket.encrypt(plaintext),
        };
      });
      samples.push(sample);
      if (sample.encrypted.keyId !== sample.keyId) {
        throw new OtherKey(
          `${sample.server} encrypts with key_id ${sample.encrypted.keyId}, while its Status says ${sample.keyId}`,
        );
      }
      keyId ||= sample.keyId;
      if (sample.keyId !== keyId)
        throw new OtherKey(`${servers[0]} has key_id ${keyId}, but ${sample.server} has ${sample.keyId}`);
    }
    for (const sample of samples) {
      for (const [server, socket] of sockets) {
        const decrypted = await told(`${server} cannot decrypt what ${sample.server} encrypted`, () =>
          socket.decrypt(sample.encrypted),
        );
        if (!sample.plaintext.equals(decrypted))
          throw new OtherKey(`${server} decrypts what ${sample.server} encrypted to something else`);
      }
    }
    return { plugin, servers, keyId, failure: undefined };
  } catch (thrown) {
    // One that is away, restarting or slow has shown nothing about its key: that may pass, a wrong key does not.
    if (thrown instanceof KmsEtcdError && passing.has(thrown.code)) throw thrown;
    return { plugin, servers, keyId, failure: describeError(thrown) };
  } finally {
    for (const socket of sockets.values()) socket.close();
  }
}

async function told<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    const code = thrown instanceof KmsEtcdError ? thrown.code : "internal";
    const message = `${what}: ${describeError(thrown)}`;
    throw passing.has(code)
      ? new KmsEtcdError(code, message, { cause: thrown })
      : new OtherKey(message, { cause: thrown });
  }
}
