/** Invariant 1's proof: what each host's plugin encrypts, every host's plugin decrypts, and all report the same key_id. */
import { randomBytes } from "node:crypto";
import { describeError } from "../../../core/errors";
import type { EncryptResponse } from "../../../core/kms-protocol";
import type { CrosswiseProof } from "../../observation";
import type { Host } from "./host";
import { type KmsSocket, openKmsSocket } from "./kms-socket";

export interface ProbedHost {
  readonly host: Host;
  readonly socketPath: string;
}

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
        throw new Error(
          `${sample.server} encrypts with key_id ${sample.encrypted.keyId}, while its Status says ${sample.keyId}`,
        );
      }
      keyId ||= sample.keyId;
      if (sample.keyId !== keyId)
        throw new Error(`${servers[0]} has key_id ${keyId}, but ${sample.server} has ${sample.keyId}`);
    }
    for (const sample of samples) {
      for (const [server, socket] of sockets) {
        const decrypted = await told(`${server} cannot decrypt what ${sample.server} encrypted`, () =>
          socket.decrypt(sample.encrypted),
        );
        if (!sample.plaintext.equals(decrypted))
          throw new Error(`${server} decrypts what ${sample.server} encrypted to something else`);
      }
    }
    return { plugin, servers, keyId, failure: undefined };
  } catch (thrown) {
    return { plugin, servers, keyId, failure: describeError(thrown) };
  } finally {
    for (const socket of sockets.values()) socket.close();
  }
}

async function told<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    throw new Error(`${what}: ${describeError(thrown)}`, { cause: thrown });
  }
}
