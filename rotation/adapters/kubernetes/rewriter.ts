/** REWRITE: every object is stored again with the key that the API servers encrypt with, without its content leaving them. */
import type { Progress, RewriteResult } from "../../stored-objects";
import type { ApiClient } from "./api-client";
import { noOpPatch, resourceVersionOf } from "./no-op-patch";
import { runPass } from "./object-pass";
import type { ListedObject } from "./paged-list";
import type { ServedResource } from "./resources";

/** So many are named in the result, no more: a first pass rewrites all there are. */
const mostNames = 20;

/** Safe to repeat: what is stored with the right key already stays as it is. `isWanted`: what else is passed over. */
export async function rewriteObjects(
  clients: readonly ApiClient[],
  resources: readonly ServedResource[],
  onProgress: (progress: Progress) => void,
  signal: AbortSignal,
  isWanted: (object: ListedObject) => boolean = () => true,
): Promise<RewriteResult> {
  let rewritten = 0;
  const names: string[] = [];
  const { objects, failures } = await runPass({
    clients,
    resources,
    ask: noOpPatch,
    // 404: deleted meanwhile. 409: someone else wrote it meanwhile, and every server writes with the new key by now.
    isAnswer: (status) => status === 404 || status === 409,
    isWanted,
    onAnswer: (object, response) => {
      if (response.status !== 200 || resourceVersionOf(response) === object.resourceVersion) return;
      rewritten += 1;
      if (names.length < mostNames) names.push(`${object.namespace}/${object.name}`);
    },
    onProgress,
    signal,
  });
  const isFew = rewritten > 0 && rewritten <= mostNames;
  return { offered: objects, rewritten, ...(isFew ? { rewrittenNames: names } : {}), failures };
}
