/** Asks API servers in turn for what any of them can tell. */
import { KmsEtcdError } from "../../../core/errors";
import type { ApiClient } from "./api-client";

/** Answers that another server would give too: there is no point in asking on. */
const final: ReadonlySet<string> = new Set(["cancelled", "unsupported"]);

/** The answer of the first server that has one; throws what the last one said. */
export async function firstOf<T>(clients: readonly ApiClient[], ask: (client: ApiClient) => Promise<T>): Promise<T> {
  let failure: unknown = new KmsEtcdError("invalid-input", "no API server was given");
  for (const client of clients) {
    try {
      return await ask(client);
    } catch (thrown) {
      failure = thrown;
      if (thrown instanceof KmsEtcdError && final.has(thrown.code)) throw thrown;
    }
  }
  throw failure;
}
