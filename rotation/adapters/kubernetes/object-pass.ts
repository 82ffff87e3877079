/**
 * One pass over every object of some resources: pages in, one request an object out, as many at a time as the API servers
 * take. An object that does not go through is tried again, and then again at the end of the pass; what still fails is the
 * ledger that the caller gets. Nothing is given up because of one object, and no resource because of another.
 */
import { setMaxListeners } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { KmsEtcdError } from "../../../core/errors";
import type { ObjectFailure } from "../../observation";
import type { Progress } from "../../stored-objects";
import { adaptiveConcurrency } from "./adaptive-concurrency";
import type { ApiClient, ApiResponse } from "./api-client";
import { describeStatus } from "./api-error";
import { failureLedger } from "./failure-ledger";
import { countObjects, type ListedObject, listPages } from "./paged-list";
import type { ServedResource } from "./resources";
import { serverChoice } from "./server-choice";

export interface ObjectPass {
  readonly clients: readonly ApiClient[];
  readonly resources: readonly ServedResource[];
  /** The one request for an object. It is safe to send it again. */
  readonly ask: (client: ApiClient, object: ListedObject) => Promise<ApiResponse>;
  /** The object's request was answered with 200, or with a status that `isAnswer` takes. */
  readonly onAnswer?: (object: ListedObject, response: ApiResponse) => void;
  /** Statuses that are no failure: 404, the object is gone; 409, someone else wrote it. */
  readonly isAnswer: (status: number) => boolean;
  /** Objects to leave as they are. @default none */
  readonly isWanted?: (object: ListedObject) => boolean;
  readonly onProgress: (progress: Progress) => void;
  readonly signal: AbortSignal;
  /** Ends the pass early after so many milliseconds, in order: for a sample. @default none */
  readonly timeLimit?: number;
}

export interface PassResult {
  /** Objects that were asked for. */
  readonly objects: number;
  /** Whether the time limit has ended it before the last object. */
  readonly cut: boolean;
  readonly failures: readonly ObjectFailure[];
}

/** For failures that another try may mend; what the API server asks for (429, Retry-After) does not count. */
const tries = 3;
const firstBackOff = 250;
/** How long one object may be kept waiting by 429 and 503. */
const longestThrottling = 120_000;
/** What a server is left alone that does not say for how long. */
const usualThrottling = 1_000;

/** Throws `cancelled` at a safe point, `not-found` for a resource that is not served, `unreachable` when no page can be had. */
export async function runPass(pass: ObjectPass): Promise<PassResult> {
  const { clients, resources, onProgress } = pass;
  // Of its own, because every request in flight listens to it.
  const stop = new AbortController();
  const { signal } = stop;
  setMaxListeners(0, signal);
  const abort = () => stop.abort();
  pass.signal.addEventListener("abort", abort, { once: true });
  if (pass.signal.aborted) abort();
  const servers = serverChoice(clients);
  const concurrency = adaptiveConcurrency();
  const running = new Set<Promise<void>>();
  const ledger = failureLedger();
  const failures: ObjectFailure[] = [];
  let total = await countAll(pass);
  let done = 0;
  let leftOut = 0;
  let cut = false;
  let broken: { readonly thrown: unknown } | undefined;
  const endAt = pass.timeLimit === undefined ? Number.POSITIVE_INFINITY : performance.now() + pass.timeLimit;

  /** Undefined once the object has its answer, or the reason why it has none. */
  async function settle(object: ListedObject): Promise<string | undefined> {
    const throttledUntil = Date.now() + longestThrottling;
    for (let attempt = 1; ; ) {
      const client = await servers.take(signal);
      let reason: string;
      let wait = firstBackOff * 2 ** (attempt - 1);
      try {
        const start = performance.now();
        // Without the signal: a request that has begun ends, within its own time.
        const response = await pass.ask(client, object);
        servers.answered(client);
        if (response.status === 200 || pass.isAnswer(response.status)) {
          concurrency.answered(performance.now() - start);
          pass.onAnswer?.(object, response);
          return undefined;
        }
        reason = describeStatus(response.status, response.body);
        if (response.status === 429 || (response.status === 503 && response.retryAfter !== undefined)) {
          concurrency.throttled();
          const left = endAt - performance.now();
          if (left <= 0) throw new TimeIsUp();
          servers.pause(client, Math.min(response.retryAfter ?? usualThrottling, left));
          if (Date.now() > throttledUntil) return reason;
          continue;
        }
        if (response.status < 500) return reason;
      } catch (thrown) {
        if (!(thrown instanceof KmsEtcdError)) throw thrown;
        reason = thrown.message;
        concurrency.throttled();
        servers.pause(client);
        wait = 0;
      } finally {
        servers.release(client);
      }
      if (attempt === tries) return reason;
      attempt += 1;
      await delay(wait, undefined, { signal }).catch(() => undefined);
    }
  }

  async function handle(object: ListedObject): Promise<void> {
    const reason = await settle(object);
    if (reason !== undefined) ledger.add(object, reason);
    progressBy(1);
  }

  function progressBy(objects: number): void {
    done += objects;
    total = Math.max(total, done);
    onProgress({ done, total });
  }

  let oneHasEnded: () => void = () => undefined;

  function start(object: ListedObject): void {
    const task: Promise<void> = handle(object).finally(() => {
      running.delete(task);
      oneHasEnded();
    });
    running.add(task);
    // Whoever awaits `running` sees the error; until then it must not count as unhandled.
    task.catch((thrown: unknown) => {
      broken ??= { thrown };
    });
  }

  /** Resolves when another request may be sent. Not by Promise.race, which would look at every request for every object. */
  async function slot(): Promise<void> {
    while (running.size >= concurrency.limit() && broken === undefined) {
      await new Promise<void>((resolve) => {
        oneHasEnded = resolve;
      });
    }
    if (broken !== undefined) throw broken.thrown;
    if (signal.aborted) throw new KmsEtcdError("cancelled", "stopped at a safe point");
    if (performance.now() > endAt) throw new TimeIsUp();
  }

  try {
    for (const resource of resources) {
      try {
        for await (const objects of listPages(clients, resource, signal)) {
          for (const object of objects) {
            if (pass.isWanted?.(object) === false || ledger.passesOver(object)) {
              leftOut += 1;
              progressBy(1);
              continue;
            }
            await slot();
            start(object);
          }
        }
      } catch (thrown) {
        // A list that fails inside the server is most often an object that can't be decrypted: say so, see the rest.
        if (!(thrown instanceof KmsEtcdError) || thrown.code !== "corrupt") throw thrown;
        failures.push({ resource: resource.name, namespace: "", name: "", reason: thrown.message });
      }
    }
    await Promise.all(running);
    for (const object of ledger.takeForRetry()) {
      await slot();
      done -= 1;
      start(object);
    }
    await Promise.all(running);
  } catch (thrown) {
    cut = thrown instanceof TimeIsUp;
    if (!cut) throw thrown;
  } finally {
    await Promise.allSettled(running);
    pass.signal.removeEventListener("abort", abort);
  }
  if (signal.aborted) throw new KmsEtcdError("cancelled", "stopped at a safe point");
  return { objects: done - leftOut, cut, failures: [...failures, ...ledger.result()] };
}

class TimeIsUp extends Error {}

async function countAll({ clients, resources, signal }: ObjectPass): Promise<number> {
  let total = 0;
  for (const resource of resources) {
    for (const client of clients) {
      try {
        total += await countObjects(client, resource, signal);
        break;
      } catch (thrown) {
        // Only for the progress line: the pass itself finds out what is wrong.
        if (thrown instanceof KmsEtcdError && thrown.code === "cancelled") throw thrown;
      }
    }
  }
  return total;
}
